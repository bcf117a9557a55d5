"""`knowngood resume`: go on with an interrupted run, or with a held one once its cause is mended."""

from __future__ import annotations

import sys

import click

from knowngood.cli.asking import ask, end_if_dry
from knowngood.cli.existing_run import Known, known, place_of, refuse_overtaken, wait_for_orphans
from knowngood.cli.options import Settings, dry_run_option, run_options, yes_option
from knowngood.cli.play import check_identity, play, show
from knowngood.cli.terminal import say
from knowngood.model.going_on import again


@click.command("resume")
@click.argument("run")
@dry_run_option
@yes_option
@run_options
def command(settings: Settings, run: str, yes: bool, output: str) -> int:
    """Go on with an interrupted or a held run.

    Plans nothing anew: the journal says what is done, at most one step is repeated, and that one looks first
    whether it was done already. The run's checkpoint in the cluster counts: what another machine did is taken over
    from it, once its Lease has run out, and a run that ended there is left alone. Waits until nothing that a killed
    run started is alive. Refuses where the cluster file says something else than when the run began, but for contacts
    and the reference to the Git token.

    A run that ended held goes on, once a person has mended the cause and says yes, from the step that stopped it: with
    its batch, whose nodes are claimed, drained and judged once more; who passed already is left at work. It holds anew
    whom it had let go. Where the cause stands it ends held again. It is refused where the run has begun its way back,
    or left other nodes out of service: give these back first (`knowngood clear NODE`).

    \b
    Examples:
      knowngood resume r20260822-031500-7f3a
      knowngood resume r20260822-031500-7f3a --kubeconfig ~/.kube/ams-prod     (started elsewhere)
      knowngood resume r20260822-031500-7f3a --yes                             (held, and mended)

    \b
    Exit codes: those of `upgrade`; 2 also where the cluster file was changed (nothing is written);
      1 also where the journal here and the checkpoint tell different stories, or a held run can't go on;
      4 the run goes on somewhere else
    """
    with known(settings, run) as found:
        end = found.state.end if not found.untold else None
        held = end is not None and end.name == "held" and (yes or settings.dry_run or sys.stdin.isatty())
        if end is not None and not held:
            on = "; once what stopped it is mended, --yes goes on" if end.name == "held" else ""
            say(f"run {found.run_id} has ended: {found.summary.end}{on}", err=True)
            return show(found.summary, output)
        refuse_overtaken(found)
        if held:
            _ask(found, yes=yes)
        end_if_dry(f"would go on with run {found.run_id}, after {found.state.last or 'its plan'}")
        place = place_of(settings, found)
        wait_for_orphans(found)
    check_identity(place.cluster, place.kubeconfig)

    return show(play(place, found.plan, known=True, on=held), output)


def _ask(run: Known, *, yes: bool) -> None:
    """Whether what stopped a held run is mended: only a person can say so."""
    say(f"run {run.run_id} is held: {run.summary.why}", err=True)
    at = again(run.state.intended, run.state.results)
    ask(f"Is that mended, so that it goes on from {at.batch or at.at or 'where it stopped'}?", yes=yes)
