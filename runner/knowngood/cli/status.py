"""`knowngood status`: one screen that says where a run is, why it stopped, what to type next."""

from __future__ import annotations

import json

import click

from knowngood.cli import runs
from knowngood.cli.known import Ask, Known, known
from knowngood.cli.options import Settings, debug_option, kubeconfig_option, output_option, runs_option
from knowngood.model.jsonable import to_json
from knowngood.report.console import now
from knowngood.report.estimate import estimate, words
from knowngood.report.text import columns, summary_text


@click.command("status")
@click.argument("run", required=False)
@click.option("--all", "everything", is_flag=True, help="List all runs on this machine instead.")
@kubeconfig_option
@runs_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, run: str | None, everything: bool, output: str) -> int:
    """Where a run is, why it stopped, and what to type next.

    RUN is an id or the beginning of one; without it the newest run on this machine. A run that another machine
    started is read from its checkpoint in the cluster (--kubeconfig). Changes nothing, also while the run goes on.

    \b
    Examples:
      knowngood status
      knowngood status r20260822-0315 --output json
      knowngood status r20260822-031500-7f3a --kubeconfig ~/.kube/ams-prod

    \b
    Exit codes: 0 shown (how the run ended is in the text), 2 there is no such run, 3 the cluster does not answer
    """
    if everything:
        return _list(settings, output)
    with known(settings, run, Ask.MAY) as found:
        if output == "json":
            click.echo(json.dumps(to_json(found.summary), indent=2))
            return 0
        click.echo(summary_text(found.summary), nl=False)
        for line in _time_left(found):
            click.echo(line)
    return 0


def _time_left(run: Known) -> list[str]:
    """What only a run that has not ended can say."""
    if run.state.end is not None:
        return []
    soak = float(run.state.frozen.get("soak", 0.0))
    window = str(run.state.frozen.get("window_end", ""))
    at = estimate(run.plan, run.state, soak=soak, window_end=window, now=now())
    bound = "" if at.exact else "at least "
    lines = [
        f"  {words(at.elapsed)} since its start, {bound}{words(at.left)} to go, an undo takes {words(at.undo)}"
    ]
    if at.undo_by:
        lines.append(f"  undo must start by {at.undo_by}")
    return lines


def _list(settings: Settings, output: str) -> int:
    rows = []
    for folder in runs.all_runs(settings.runs):
        with known(settings, folder.name, Ask.NO) as run:
            s = run.summary
            state = s.end or ("interrupted" if s.interrupted else "open")
            rows.append((s.run, s.cluster, f"{s.from_release} → {s.to_release}", state))
    if output == "json":
        keys = ("run", "cluster", "move", "state")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo("\n".join(columns(rows, "")) or f"no run in {settings.runs}")
    return 0
