"""BMCs before a run and before each ring: what waits there is started by the next boot, whoever asks for that."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.engine.work import Work
from knowngood.model.errors import CouldNot
from knowngood.model.finding import Finding
from knowngood.model.plan import Plan
from knowngood.model.verdict import Verdict
from knowngood.planner.readiness.bmcs import against


def found(work: Work, nodes: Sequence[str]) -> list[Finding]:
    """What speaks against taking these nodes; nothing where the cluster file names no BMCs."""
    plan, states = work.plan, work.ports.bmcs.look(nodes)
    told = [f for node in states for f in against(node, states[node], plan.starts_with(node), plan.schemes)]
    flashed = _flashed(plan)
    return [*told, *(work.ports.bmcs.ready(nodes, flashed) if flashed else ())]


def _flashed(plan: Plan) -> dict[str, list[str]]:
    """Component -> the versions that BMCs are given by this plan, there and back."""
    found: dict[str, list[str]] = {}
    for move in (m for hop in plan.hops for m in hop.moves):
        if move.component in plan.movers and plan.movers[move.component].firmware:
            found.setdefault(move.component, []).extend((move.from_version, move.to_version))
    return found


def waiting(work: Work, nodes: Sequence[str]) -> str:
    """Which jobs wait at these nodes' BMCs, in words. CouldNot where one does not say: it is asked again.

    What runs there is not asked any more: an earlier hop may have moved it.
    """
    states = work.ports.bmcs.look(nodes)
    there = [f for node in states for f in against(node, states[node], {}, {})]
    measured = [str(f) for f in there if f.verdict is Verdict.FAIL]
    if there and not measured:
        raise CouldNot("; ".join(map(str, there[:5])))
    return "; ".join(measured[:5])
