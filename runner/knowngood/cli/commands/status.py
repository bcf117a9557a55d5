"""`knowngood status`: one screen that says where a run is, why it stopped, what to type next."""

from __future__ import annotations

from pathlib import Path

import click

from knowngood.cli import runs
from knowngood.cli.existing_run import Ask, Known, known
from knowngood.cli.options import Settings, debug_option, kubeconfig_option, output_option, runs_option
from knowngood.cli.terminal import say, say_json
from knowngood.cli.told import asked, of_cluster, open_one, with_cluster
from knowngood.cli.watch import watch
from knowngood.model.errors import KnowngoodError, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.run_summary import RunSummary
from knowngood.model.text import Page, as_json, page
from knowngood.report.columns import move as shown
from knowngood.report.console import now
from knowngood.report.estimate import estimate, words
from knowngood.report.text import columns, summary_text


@click.command("status")
@click.argument("run", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="List all runs instead: those here and the cluster's."
)
@click.option("--watch", "watching", is_flag=True, help="Show it again and again until the run has ended.")
@kubeconfig_option
@runs_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, run: str | None, everything: bool, watching: bool, output: str) -> int:
    """Where a run is, why it stopped, and what to type next.

    RUN is an id or the beginning of one; without it the run that is open on the cluster, wherever it was started
    (--kubeconfig, else the cluster of the newest run here), else the newest here. What it says is held is what the
    nodes say now; where they can't be asked, it says that it is as of the journal. Changes nothing, also while the
    run goes on.

    \b
    Examples:
      knowngood status
      knowngood status --watch
      knowngood status --all --kubeconfig ~/.kube/ams-prod
      knowngood status r20260822-0315 --output json

    \b
    Exit codes: 0 shown (how the run ended is in the text), 2 there is no such run, 3 the cluster does not answer
    """
    if everything and (run or watching):
        raise UsageError("--all lists every run", hint="leave the run and --watch away")
    if watching and output == "json":
        raise UsageError("--watch is for people", hint="ask again without --watch for JSON")
    if everything:
        return _list(with_cluster(settings), output)
    settings, run, ask = _meant(settings, run)
    if watching:
        watch(lambda: _screen(settings, run, Ask.MAY))
        return 0
    say(_screen(settings, run, ask, output)[0])
    return 0


def _meant(settings: Settings, run: str | None) -> tuple[Settings, str | None, Ask]:
    """The run that is meant where none is named: the one open on the cluster, else the newest here, else there.

    A cluster that did not answer just now is not asked again.
    """
    if run is not None:
        return settings, run, Ask.MAY
    at = with_cluster(settings)
    try:
        there = of_cluster(at)
    except KnowngoodError as error:
        say(f"the cluster does not answer ({error}): what follows is of this machine", err=True)
        return settings, None, Ask.NO
    found = open_one(there)
    if found is None and there and not runs.all_runs(settings.runs):
        found = there[0]
    return (at, found.run, Ask.MAY) if found else (settings, None, Ask.MAY)


def _screen(settings: Settings, run: str | None, ask: Ask, output: str = "text") -> tuple[Page, bool]:
    """What is shown of a run, and whether it has ended."""
    with known(settings, run, ask) as local:
        found = local if ask is Ask.NO else asked(local)
        ended = found.state.end is not None
        if output == "json":
            return as_json(to_json(found.summary)), ended
        return page([summary_text(found.summary), *_time_left(found)]), ended


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


KEYS = ("run", "started", "updated", "cluster", "move", "who", "where", "state")
DAY_AND_MINUTE = 16
"""Characters of a time that a list shows."""


def _list(settings: Settings, output: str) -> int:
    """All runs, the newest first: those of this machine and those that the cluster knows. Reads no state there."""
    rows = {row["run"]: row for row in (_row_here(settings, f) for f in runs.all_runs(settings.runs))}
    try:
        there = of_cluster(settings)
    except KnowngoodError as error:
        there = ()
        say(f"the cluster does not answer ({error}): these are the runs of this machine", err=True)
    for run in there:
        rows[run.run] = _row_there(run, rows.get(run.run))
    newest = sorted(rows.values(), key=lambda row: (row["started"], row["run"]), reverse=True)
    if output == "json":
        say_json({"runs": newest})
        return 0
    for row in newest:
        row |= {key: row[key][:DAY_AND_MINUTE] for key in ("started", "updated")}
    shown = [tuple(row[key] for key in KEYS) for row in newest]
    say(page(columns(shown, "")) or f"no run in {settings.runs}")
    return 0


def _row_here(settings: Settings, folder: Path) -> dict[str, str]:
    """A run of this machine: by its summary, which says how it ended, else by its journal."""
    found = runs.ended_summary(folder)
    if found is None:
        with known(settings, folder.name, Ask.NO) as run:
            found = to_json(run.summary)
    move = shown(found["from_release"], found["to_release"])
    state = found["end"] or ("interrupted" if found["interrupted"] else "open")
    told = (found[key] for key in ("run", "started", "updated", "cluster"))
    return dict(zip(KEYS, (*told, move, found.get("who", ""), "here", state), strict=True))


def _row_there(run: RunSummary, here: dict[str, str] | None) -> dict[str, str]:
    """A run that the cluster knows. Its word counts, but whether a runner is gone is known on its machine only."""
    gone = here is not None and here["state"] == "interrupted"
    state = run.end or ("interrupted" if gone else "open")
    move = shown(run.from_release, run.to_release) if run.from_release else (here or {}).get("move", "")
    where = "here, cluster" if here else "cluster"
    told = (run.run, run.started, run.updated, run.cluster, move, run.who, where, state)
    return dict(zip(KEYS, told, strict=True))
