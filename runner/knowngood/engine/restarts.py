"""A module that was loaded anew between two looks of ours: told as what it is, never taken for the run's own work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from knowngood.engine import judging
from knowngood.engine.steps import RingStep, Verb
from knowngood.engine.work import Work
from knowngood.model.context import Window
from knowngood.model.detail import Detail
from knowngood.model.node import NodeState
from knowngood.model.steppath import StepPath
from knowngood.planner.version import TEXT, runs

BY_OTHERS = "by somebody else, not by this run"


def restarted(work: Work, step: RingStep, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """Node -> how its driver was restarted since the ring's baseline; only nodes of which both looks can tell.

    Where a batch is done once more its nodes have been moved, or mended by hand, since then.
    """
    if step.path.parent in work.state.redone:
        return {}
    before, now = at_baseline(work, step), judging.loads_of(seen)
    return {
        node: _words(before[node], load, work.plan.words_of(step.hop.name).it)
        for node, load in now.items()
        if node in before and not _same(before[node], load)
    }


def otherwise(work: Work, step: RingStep, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """Nodes that run another version than before this ring's hop already, with how they came to it.

    Not where a batch is done once more: the run itself may have brought it. What follows another component may be none
    of the plan's own versions: then the move says what it comes from.
    """
    if step.path.parent in work.state.redone:
        return {}
    told = restarted(work, step, seen)
    asked = replace(step, verb=Verb.BASELINE)
    found: dict[str, str] = {}
    for node, state in seen.items():
        wanted = judging.expected(work.plan, asked, node)
        before = {move.component: wanted.get(move.component, move.from_version) for move in step.ring.moves}
        for component, version in sorted(before.items()):
            running = state.versions.get(component, "")
            scheme = work.plan.schemes.get(component, TEXT)
            if running and version and not runs(scheme, version, running):
                how = told.get(node, f"its {work.plan.words_of(step.hop.name).it} was restarted {BY_OTHERS}")
                found[node] = f"{how}: it runs {component} {running} before the run came to it"
    return found


def at_baseline(work: Work, step: RingStep) -> dict[str, Window]:
    """Since when each node's module was loaded when the ring was measured, before it was declared."""
    result = work.state.results.get(StepPath(step.hop.name).child(step.ring.name, Verb.BASELINE))
    return dict(result.detail.loads) if result else {}


def _same(one: Window, other: Window) -> bool:
    return (one.boot_id, one.monotonic) == (other.boot_id, other.monotonic)


def _words(before: Window, now: Window, its: str) -> str:
    if before.boot_id != now.boot_id:
        return f"it was rebooted {BY_OTHERS}, and its {its} loaded at {now.monotonic:.1f} s after that boot"
    return f"its {its} was restarted at {now.monotonic:.1f} s after boot {BY_OTHERS}"


def telling(detail: Detail, told: Mapping[str, str]) -> Detail:
    """An outcome that also says which restarts were not ours."""
    if not told:
        return detail
    return replace(detail, restarted=told, why=detail.why or why("not this run's work", told))


def why(what: str, nodes: Mapping[str, str], most: int = 5) -> str:
    """The nodes and their reasons in one line."""
    named: Sequence[tuple[str, str]] = list(nodes.items())[:most]
    return f"{what}: " + "; ".join(f"{node} ({reason})" for node, reason in named)
