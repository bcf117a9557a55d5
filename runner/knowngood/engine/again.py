"""What is loaded a second time on the canary, once it was proven: by which step, since when, judged by which gates."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.engine.work import Work
from knowngood.model.context import Window
from knowngood.model.matrix import Disruption
from knowngood.model.mover import Again
from knowngood.model.record import Status
from knowngood.model.state import StepResult

BOOTS = (Disruption.REBOOT, Disruption.POWER_CYCLE)
"""Disruptions of a hop whose arrival on a node is a boot."""
ARRIVALS = (Verb.APPLY, Verb.SECOND_LOAD)
"""The verbs that load what moves."""


def judged_by(work: Work, step: Step) -> StepResult | None:
    """How the second load ended that this step judges; None for a step that judges something else."""
    return work.state.results.get(step.path.sibling(Verb.SECOND_LOAD))


def gates(work: Work, loaded: StepResult) -> tuple[str, ...]:
    """What judges a second load. Where it did not come there is nothing to compute on."""
    active = work.plan.active_gates if loaded.status is Status.OK else ()
    return (*active, *work.plan.passive_gates, *work.plan.second_load_gates)


def first_loads(work: Work, step: Step) -> dict[str, Window]:
    """When these nodes had loaded for the first time what a step of this part loads, or judges, once more."""
    applied = work.state.results.get(step.path.parent.parent.child(Verb.APPLY))
    known = applied.detail.loads if applied else {}
    return {node: known[node] for node in step.nodes if node in known}


def moved(step: Step) -> tuple[str, ...]:
    """The components that the step's hop brings, along with what it moves, too."""
    return tuple(m.component for m in (*step.hop.moves, *step.hop.follows)) if step.hop else ()


def not_again(loaded: StepResult) -> dict[str, str]:
    """Node -> why its second load did not come, where that was measured."""
    told = loaded.detail
    return {node: why for node, why in told.failed.items() if node not in told.could_not}


def own_boots(work: Work, step: Step, nodes: Sequence[str]) -> dict[str, int]:
    """Node -> how often this run booted it since it was claimed last, or a way back looked at it: such a boot is ours.

    For a second load, or because what moves comes with a boot: then one arrival is one boot, and any more are not.
    """
    reboots = {hop.name for hop in work.plan.hops if hop.again and hop.again.how is Again.REBOOT}
    booting = {hop.name for hop in work.plan.hops if hop.disruption in BOOTS}
    found: dict[str, int] = {}
    claimed: dict[str, str] = {}  # node -> the boot that it was claimed on
    opens = (
        Verb.LOOK if step.undo else Verb.CLAIM
    )  # a way back is judged since it looked, or claimed what it could not
    for path in (p for p in work.state.intended if (reboots or booting) and p.is_undo == step.undo):
        result = work.state.results.get(path)
        if path.verb in (opens, Verb.CLAIM) and result:
            windows = result.detail.windows
            opened = {n: w.boot_id for n, w in windows.items() if path.verb == opens or n not in claimed}
            found |= dict.fromkeys(opened, 0)
            claimed |= opened
            continue
        for node in {*result.detail.done, *result.detail.failed} if result else ():
            if path.verb == Verb.SECOND_LOAD and path.hop in reboots:
                found[node] = found.get(node, 0) + 1
            elif path.verb == Verb.APPLY and path.hop in booting and result:
                loaded = result.detail.loads.get(node)
                known = loaded is not None and node in claimed  # of an unknown boot none is known to be ours
                found[node] = found.get(node, 0) + bool(known and loaded and loaded.boot_id != claimed[node])
    return {node: found[node] for node in nodes if found.get(node)}


def how(step: RingStep) -> Again:
    """By which way it is loaded again."""
    return (step.hop.again and step.hop.again.how) or Again.RELOAD
