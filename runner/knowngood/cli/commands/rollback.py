"""`knowngood rollback`: take a run back, or a cluster back to the release that its file pins."""

from __future__ import annotations

from pathlib import Path

import click

from knowngood.adapters.gitops.matrix_target import destination
from knowngood.cli.asking import ask, confirm
from knowngood.cli.existing_run import (
    Known,
    by_its_matrix,
    known,
    place_of,
    refuse_overtaken,
    wait_for_orphans,
)
from knowngood.cli.matrix_folder import find, tell
from knowngood.cli.matrix_source import Source, at, kubeconfig_of, load, refuse_dirty
from knowngood.cli.options import Settings, dry_run_option, record_option, run_options, yes_option
from knowngood.cli.play import Request, check_cluster, check_identity, planned, play, show, start
from knowngood.cli.runs import BEGINS
from knowngood.cli.terminal import say, width
from knowngood.cli.try_again import heeded
from knowngood.cli.wiring import checkpoint
from knowngood.model.errors import ExitCode, KnowngoodError, LockHeld, UsageError
from knowngood.model.values import Object
from knowngood.report.plan_text import plan_text
from knowngood.report.summary import Summary


@click.command("rollback")
@click.argument("what", metavar="RUN|CLUSTER")
@dry_run_option
@yes_option
@click.option("--allow-dirty", is_flag=True, help="Go on although the matrix has uncommitted changes.")
@record_option
@run_options
def command(settings: Settings, what: str, yes: bool, allow_dirty: bool, record: str, output: str) -> int:
    """Take a run back, or a cluster to the release that its file pins.

    A run that ended held or quarantined is opened again and all its rings are undone; an interrupted one goes on
    with the undo of its open ring; a run that is done is taken back by a new run to the release before, with the same
    gates. A cluster goes to its pinned release by a new run: for upgrades half done by hand. Never a rollback of a
    rollback.
    --record says where a new run's record goes; a run that is opened again keeps to what it began with.

    \b
    Examples:
      knowngood rollback r20260822-031500-7f3a
      knowngood rollback ams-prod --kubeconfig ~/.kube/ams-prod

    \b
    Exit codes: 6 the run was taken back and everything is as before, 0 the new run is done,
      1 refused, 2 usage, 4 another run holds the cluster, 5 a human is needed, 130 interrupted
    """
    source = _matrix(settings, what)
    if source is not None:
        release = source.cluster(what).release
        kubeconfig = kubeconfig_of(settings)
        return _back(settings, source, (what, release, kubeconfig), (yes, allow_dirty, record), output)
    with known(settings, what) as run:
        if run.summary.end in ("held", "quarantined", "", "done"):
            refuse_overtaken(run)
        match run.summary.end:
            case "held" | "quarantined" | "":
                return show(_undo(settings, run, yes=yes), output)
            case "done":
                source = load(by_its_matrix(settings, run))
                aim = (run.plan.cluster, run.plan.from_release, run.cluster())
                return _back(settings, source, aim, (yes, allow_dirty, record), output)
            case "restored" if run.summary.moved:
                raise UsageError(
                    f"run {run.run_id} is back at the rest between two hops, proven; it takes back no more",
                    hint=f"knowngood rollback {run.plan.cluster}",
                )
            case end:
                raise UsageError(
                    f"run {run.run_id} ended {end}: there is nothing to take back by machine",
                    hint=f"knowngood handover {run.run_id}",
                )


def _matrix(settings: Settings, what: str) -> Source | None:
    """The matrix if `what` is one of its clusters. A run is taken back from anywhere: it knows its own."""
    try:
        source = at(find(settings))
    except KnowngoodError:
        if settings.matrix is not None or not BEGINS.match(what):
            raise
        return None
    if what not in source.matrix.clusters:
        return None
    tell(source.folder)
    return source


def _back(
    settings: Settings, source: Source, aim: tuple[str, str, Path], said: tuple[bool, bool, str], output: str
) -> int:
    """A new run to an earlier release."""
    (cluster, release, kubeconfig), (yes, allow_dirty, record) = aim, said
    refuse_dirty(source, allow_dirty=allow_dirty)
    to = destination(source.folder, record)
    check_cluster(source.cluster(cluster), kubeconfig)
    request = Request(source, cluster, release, kubeconfig, settings.runs, to)
    plan = planned(request)
    again: Object = {}
    if plan.hops:  # the way back is told of, never barred
        plan, again = heeded(source, plan, kubeconfig, try_again=False, back=True)
    say(plan_text(plan, width()), err=True)
    if not plan.hops:
        say(f"nothing to do: Git declares {release} already")
        return int(ExitCode.DONE)
    say(f"the record goes to {to}", err=True)
    confirm(plan, yes=yes)
    return show(start(request, plan, more=again), output)


def _undo(settings: Settings, run: Known, *, yes: bool) -> Summary:
    """Undo an open or held run."""
    ask(f"Take run {run.run_id} on {run.plan.cluster} back?", yes=yes)
    place = place_of(settings, run, back=True)
    wait_for_orphans(run)
    check_identity(place.cluster, place.kubeconfig)
    if run.state.end is not None:
        return play(place, run.plan, known=True, back=True)
    checkpoint(place.kubeconfig).ask_abort(run.run_id, "stop")
    try:
        return play(place, run.plan, known=True)
    except LockHeld:
        say(
            f"its runner, which is at work, was asked to stop: knowngood status {run.run_id} shows it",
            err=True,
        )
        raise
