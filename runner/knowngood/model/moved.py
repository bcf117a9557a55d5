"""What a run that is not done leaves on its new version: by the records, so that no end forgets a node. Pure."""

from __future__ import annotations

from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import RunState, StepResult
from knowngood.model.steppath import StepPath


def still_moved(plan: Plan, state: RunState) -> dict[str, str]:
    """Node -> what of the run's new versions it still runs, or Git still declares for it."""
    found: dict[str, str] = {}
    for hop in plan.hops:
        for ring in hop.rings:
            found |= _of_ring(hop, ring, state)
    return found


def _of_ring(hop: Hop, ring: PlannedRing, state: RunState) -> dict[str, str]:
    at = StepPath(hop.name).child(ring.name)
    steps = [(p, state.results.get(p)) for p in state.intended if p.within(at)]
    declared, runs = False, dict.fromkeys(ring.nodes, False)
    for path, result in steps:
        verb, back = path.verb, path.is_undo
        if verb == "declare":
            declared = _declared(declared, result, back=back)
        elif verb == "look" and back and result and result.status is Status.OK:
            changed = result.detail.changed
            runs |= {n: n in changed for n in ring.nodes}
        elif verb == "apply":
            done = result.detail.done if result else ()
            runs |= dict.fromkeys(done if back else (done or ring.nodes), not back)
    versions = ", ".join(f"{m.component} {m.to_version}" for m in hop.moves)
    told = {n: f"may run {versions}" for n, new in runs.items() if new}
    return {n: f"Git declares {versions}" for n in ring.nodes if declared} | told


def _declared(before: bool, result: StepResult | None, *, back: bool) -> bool:
    """Whether Git declares the new versions after a commit; one of unknown outcome may have reached the branch."""
    if back:
        return before and not (result and result.status is Status.OK)
    return result is None or result.status is Status.OK or before
