"""`knowngood clear`: give back a node that no open run holds."""

from __future__ import annotations

import click

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.nodes import clearing
from knowngood.cli.asking import ask
from knowngood.cli.matrix_source import kubeconfig_of
from knowngood.cli.options import Settings, debug_option, kubeconfig_option, yes_option
from knowngood.cli.terminal import say
from knowngood.model.claims import Marks
from knowngood.model.errors import LockHeld
from knowngood.planner import clearing as planner


@click.command("clear")
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@yes_option
@kubeconfig_option
@debug_option
@click.pass_obj
def command(settings: Settings, nodes: tuple[str, ...], yes: bool) -> int:
    """Give back a node that no open run holds.

    For a quarantined node that is mended, and for what a killed or hand-made claim left: takes our claim, taints and
    annotations off, and our cordon. Shows first what it will do, and asks. A cordon or taint of somebody else stays;
    so does a cordon of which can't be told whose it is, and that is said. Refuses where an open run holds the node:
    that one gives it back itself (resume, rollback). Looks at no driver: see to it that the node runs what Git
    declares.

    \b
    Examples:
      knowngood clear gpu-4 --kubeconfig ~/.kube/ams-prod
      knowngood clear gpu-4 gpu-5 --yes

    \b
    Exit codes: 0 given back, or nothing of ours was on it; 1 not confirmed; 2 no such node, or usage;
      3 the cluster does not answer, or the node was changed meanwhile; 4 an open run holds the node
    """
    kube = Kube(kubeconfig_of(settings))
    found = clearing.marks_of(kube, tuple(dict.fromkeys(nodes)))
    refuse_held(kube, found)
    for node, marks in found.items():
        _show(node, marks)
    ours = {node: marks for node, marks in found.items() if planner.clearing(marks).take}
    if not ours:
        return 0
    ask(f"Give back {', '.join(ours)} on {kube.access.server}?", yes=yes)
    refuse_held(kube, ours)  # somebody may have gone on while we asked
    for node, marks in ours.items():
        clearing.clear(kube, node, marks)
        say(f"{node}: given back")
    return 0


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


def _show(node: str, marks: Marks) -> None:
    decided = planner.clearing(marks)
    if not decided.take:
        say(f"{node}: nothing of ours is on it", err=True)
    for what in decided.take:
        say(f"{node}: takes off {what}", err=True)
    for what in decided.leave:
        say(f"{node}: leaves {what}", err=True)
