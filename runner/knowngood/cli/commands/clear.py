"""`knowngood clear`: give back a node that no open run holds, and let go what an ended one still holds."""

from __future__ import annotations

from collections.abc import Sequence

import click

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.nodes import clearing
from knowngood.adapters.nodes.holding import KubeHolds, standing
from knowngood.cli.asking import ask
from knowngood.cli.matrix_source import kubeconfig_of, load
from knowngood.cli.options import Settings, debug_option, dry_run_option, kubeconfig_option, yes_option
from knowngood.cli.terminal import say
from knowngood.model.alerts import NONE, Alertmanager
from knowngood.model.errors import Inconclusive, KnowngoodError, LockHeld, UsageError
from knowngood.model.marks import Marks
from knowngood.model.mover import HOLDS
from knowngood.model.node import Leftover
from knowngood.planner import clearing as planner


@click.command("clear")
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@click.option("--holds", is_flag=True, help="Let those go on whose work an ended run still holds.")
@click.option(
    "--flash-ended", is_flag=True, help="Take off the note of a flash, too: you looked at the node's BMC."
)
@dry_run_option
@yes_option
@kubeconfig_option
@debug_option
@click.pass_obj
def command(settings: Settings, nodes: tuple[str, ...], holds: bool, flash_ended: bool, yes: bool) -> int:
    """Give back a node that no open run holds, and let go what an ended run still holds.

    For a quarantined node that is mended, and for what a killed or hand-made claim left: takes our claim, taints and
    annotations off, and our cordon. Shows first what it will do, and asks. A cordon or taint of somebody else stays;
    so does a cordon of which can't be told whose it is, and that is said. Refuses where an open run holds the node:
    that one gives it back itself (resume, rollback). Looks at no driver: see to it that the node runs what Git
    declares.

    The note that its machine was asked to take an image, and that nobody saw the end of that, stays on the node, and no
    run claims it: the image may come with any boot. Look at its BMC, or which Talos it runs; once nothing of it waits
    there: --flash-ended.

    With --holds it is about others whose work a run paused and could not let go on: machine-config pools, health
    checks, nodes kept from the autoscaler, silenced alerts. What somebody else paused stays paused. A machine-config
    pool that is let go boots every node of it that lacks its config, at once and undrained: which do, it says first.

    \b
    Examples:
      knowngood clear gpu-4 --kubeconfig ~/.kube/ams-prod
      knowngood clear gpu-4 gpu-5 --yes
      knowngood clear gpu-4 --dry-run
      knowngood clear gpu-4 --flash-ended
      knowngood clear --holds

    \b
    Exit codes: 0 given back or let go, or nothing of ours was there; 1 not confirmed; 2 no such node, or usage;
      3 the cluster does not answer, it was changed meanwhile, or could not be let go; 4 an open run holds it
    """
    if flash_ended and not nodes:
        raise UsageError(
            "--flash-ended is of nodes, and none is named", hint="knowngood clear NODE --flash-ended"
        )
    if not nodes and not holds:
        raise UsageError("nothing to clear is named", hint="knowngood clear NODE, or knowngood clear --holds")
    kube = Kube(kubeconfig_of(settings))
    if holds:
        let_go(kube, alertmanager_of(settings, kube), yes=yes, go_on=bool(nodes) and settings.dry_run)
    return give_back(kube, nodes, yes=yes, flash_ended=flash_ended)


def give_back(kube: Kube, nodes: tuple[str, ...], *, yes: bool, flash_ended: bool = False) -> int:
    """Give these nodes back; the exit code."""
    found = clearing.marks_of(kube, tuple(dict.fromkeys(nodes)))
    refuse_held(kube, found)
    decided = {node: planner.clearing(marks, flash_ended=flash_ended) for node, marks in found.items()}
    for node, what in decided.items():
        _show(node, found[node], what)
    ours = {node: marks for node, marks in found.items() if decided[node].take}
    if not ours:
        return 0
    ask(f"Give back {', '.join(ours)} on {kube.access.server}?", yes=yes)
    refuse_held(kube, ours)  # somebody may have gone on while we asked
    for node, marks in ours.items():
        clearing.clear(kube, node, marks, flash_ended=flash_ended)
        say(f"{node}: given back")
    return 0


def alertmanager_of(settings: Settings, kube: Kube) -> Alertmanager | None:
    """As the matrix has it of the cluster that this one's runs name; None, and said, where that can't be told."""
    clusters = {run.cluster for run in ConfigMapCheckpoint(kube).runs() if run.cluster}
    try:
        known = load(settings).matrix.clusters if clusters else {}
        why = f"this matrix has no cluster {', '.join(sorted(clusters - known.keys()))}"
    except KnowngoodError as error:
        known, why = {}, str(error)
    if not clusters:
        why = "no run is kept here that says which cluster of the matrix this is"
    if not clusters or clusters - known.keys():
        say(f"silences of alerts are not looked for: {why}", err=True)
        return None
    return next((found for name in sorted(clusters) if (found := known[name].alertmanager) != NONE), NONE)


def let_go(kube: Kube, alerts: Alertmanager | None, *, yes: bool, go_on: bool = False) -> None:
    """Let go what runs that have ended still hold. LockHeld where an open run holds something.

    `go_on`: only show it, without an end, since a dry run has more to show.
    """
    untold, alerts = alerts is None, alerts or NONE
    found = standing(kube, alerts)
    refuse_open(kube, found)
    if not found:
        say("nothing else is held" if untold else "nothing is held", err=True)
        return
    for hold in found:
        starts = f"; that {hold.starts}" if hold.starts else ""
        say(f"{hold.where}: lets it go on, held by a hold {hold.detail}{starts}", err=True)
    if go_on:
        return
    ask(f"Let go {', '.join(hold.where for hold in found)} on {kube.access.server}?", yes=yes)
    refuse_open(kube, found)  # somebody may have gone on while we asked
    for run in dict.fromkeys(hold.run for hold in found):
        gone = KubeHolds(kube, alerts).let_go(HOLDS, run)
        for what in gone.done:
            say(f"{what}: goes on")
        if gone.failed:
            told = "; ".join(f"{what}: {why}" for what, why in gone.failed.items())
            raise Inconclusive(f"could not be let go: {told}", hint="knowngood clear --holds")


def refuse_open(kube: Kube, found: Sequence[Leftover]) -> None:
    """LockHeld where one of these holds is an open run's."""
    still = planner.open_runs(ConfigMapCheckpoint(kube).runs(), clearing.at_work(kube))
    for hold in found:
        if hold.run in still:
            raise LockHeld(
                f"{hold.where} is held by run {hold.run}, which has not ended: it lets it go itself",
                hint=f"knowngood resume {hold.run}, or knowngood rollback {hold.run}",
            )


def refuse_held(kube: Kube, nodes: dict[str, Marks]) -> None:
    """LockHeld where an open run holds one of them."""
    known, at_work = ConfigMapCheckpoint(kube).runs(), clearing.at_work(kube)
    for node, marks in nodes.items():
        if run := planner.holder(marks, known, at_work):
            raise LockHeld(
                f"{node} is held by run {run}, which has not ended",
                hint=f"knowngood resume {run}, or knowngood rollback {run}; to end it as it is: "
                f"knowngood abort {run} --hold, then resume",
            )


def _show(node: str, marks: Marks, decided: planner.Clearing) -> None:
    if not (marks.any or marks.flash):
        say(f"{node}: nothing of ours is on it", err=True)
    for what in decided.take:
        say(f"{node}: takes off {what}", err=True)
    for what in decided.leave:
        say(f"{node}: leaves {what}", err=True)
