"""`knowngood resume`: go on with an interrupted run."""

from __future__ import annotations

import click

from knowngood.cli.asking import end_if_dry
from knowngood.cli.existing_run import known, place_of, refuse_overtaken, wait_for_orphans
from knowngood.cli.options import Settings, dry_run_option, run_options
from knowngood.cli.play import check_identity, play, show
from knowngood.cli.terminal import say


@click.command("resume")
@click.argument("run")
@dry_run_option
@run_options
def command(settings: Settings, run: str, output: str) -> int:
    """Go on with an interrupted run.

    Plans nothing anew: the journal says what is done, at most one step is repeated, and that one looks first
    whether it was done already. The run's checkpoint in the cluster counts: what another machine did is taken over
    from it, once its Lease has run out, and a run that ended there is left alone. Waits until nothing that a killed
    run started is alive. Refuses where the cluster file says something else than when the run began, but for contacts
    and the reference to the Git token.

    \b
    Examples:
      knowngood resume r20260822-031500-7f3a
      knowngood resume r20260822-031500-7f3a --kubeconfig ~/.kube/ams-prod     (started elsewhere)

    \b
    Exit codes: those of `upgrade`; 2 also where the cluster file was changed (nothing is written);
      1 also where the journal here and the checkpoint tell different stories; 4 the run goes on somewhere else
    """
    with known(settings, run) as found:
        if found.state.end is not None and not found.untold:
            say(f"run {found.run_id} has ended: {found.summary.end}", err=True)
            return show(found.summary, output)
        refuse_overtaken(found)
        end_if_dry(f"would go on with run {found.run_id}, after {found.state.last or 'its plan'}")
        place = place_of(settings, found)
        wait_for_orphans(found)
    check_identity(place.cluster, place.kubeconfig)

    return show(play(place, found.plan, known=True), output)
