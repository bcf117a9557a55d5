"""`knowngood abort`: ask a run to stop, wherever it runs."""

from __future__ import annotations

import click

from knowngood.cli.asking import end_if_dry
from knowngood.cli.existing_run import known
from knowngood.cli.options import Settings, debug_option, dry_run_option, kubeconfig_option, runs_option
from knowngood.cli.terminal import say
from knowngood.cli.wiring import checkpoint
from knowngood.model.errors import UsageError


@click.command("abort")
@click.argument("run")
@click.option("--hold", is_flag=True, help="Freeze as it is, instead of undoing the open ring.")
@dry_run_option
@kubeconfig_option
@runs_option
@debug_option
@click.pass_obj
def command(settings: Settings, run: str, hold: bool) -> int:
    """Ask a run to stop, wherever it runs.

    Writes an annotation on the run's checkpoint; the runner reads it after each step and at each heartbeat of its
    Lease, and cuts a drain, a reload, a soak or a judgement short. Without --hold the open ring is undone and proven
    to be as before, and rings that were proven before it stay (the run ends held: a human decides on them); with
    --hold everything stays as it is. Where no runner is alive, `knowngood resume` heeds it.

    \b
    Examples:
      knowngood abort r20260822-031500-7f3a
      knowngood abort r20260822-031500-7f3a --hold

    \b
    Exit codes: 0 asked, 1 the journal here and the checkpoint tell different stories, 2 no such run or it has ended,
      3 the cluster does not answer
    """
    with known(settings, run) as found:
        if found.state.end is not None:
            raise UsageError(
                f"run {found.run_id} has ended: {found.summary.end}", hint=f"knowngood status {found.run_id}"
            )
        end_if_dry(f"would ask run {found.run_id} to {'hold' if hold else 'stop'}")
        checkpoint(found.cluster()).ask_abort(found.run_id, "hold" if hold else "stop")
        say(f"asked run {found.run_id} to {'hold' if hold else 'stop'}")
        say(f"  watch: knowngood status {found.run_id}", err=True)
        say(f"  if its runner is gone: knowngood resume {found.run_id}", err=True)
    return 0
