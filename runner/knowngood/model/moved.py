"""What a run that is not done leaves on its new version: by the records, so that no end forgets a node. Pure."""

from __future__ import annotations

from knowngood.model.plan import FLEET, Hop, Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import RunState, StepResult
from knowngood.model.steppath import StepPath


def still_moved(plan: Plan, state: RunState) -> dict[str, str]:
    """Node -> what of the run's new versions it still runs, or Git still declares for it."""
    found: dict[str, str] = {}
    for hop in plan.hops:
        everywhere = hop.fleet is not None and _declares(hop, hop.fleet, state)
        if everywhere:
            declared = state.results.get(StepPath(hop.name).child(FLEET, "declare"))
            leaks = hop.leaky and not _proven(hop, state)
            since = f", since {declared.ended}" if declared and leaks else ""
            found |= {EVERYWHERE: f"{hop.leaky if leaks else f'Git declares {_versions(hop)}'}{since}"}
        for ring in hop.rings:
            found |= _of_ring(hop, ring, state, everywhere=everywhere)
    return found


EVERYWHERE = "the cluster"
"""In place of a node's name: what is declared once for all of them."""


def _proven(hop: Hop, state: RunState) -> bool:
    """Whether each ring of a hop was judged to its end: then what any new pod takes is what runs everywhere."""
    proofs = ((StepPath(hop.name).child(r.name, last) for last in ("confirm", "retest")) for r in hop.rings)
    return all(
        any(p in state.results and state.results[p].status is Status.OK for p in of_ring)
        for of_ring in proofs
    )


def _declares(hop: Hop, part: PlannedRing, state: RunState) -> bool:
    at, declared = StepPath(hop.name).child(part.name), False
    for path in state.intended:
        if path.within(at) and path.verb == "declare":
            declared = _declared(declared, state.results.get(path), back=path.is_undo)
    return declared


def _versions(hop: Hop) -> str:
    return ", ".join(f"{m.component} {m.to_version}" for m in hop.moves)


def _of_ring(hop: Hop, ring: PlannedRing, state: RunState, *, everywhere: bool) -> dict[str, str]:
    at = StepPath(hop.name).child(ring.name)
    steps = [(p, state.results.get(p)) for p in state.intended if p.within(at)]
    declared, runs = everywhere or _declares(hop, ring, state), dict.fromkeys(ring.nodes, False)
    for path, result in steps:
        verb, back = path.verb, path.is_undo
        if verb == "look" and back and result and result.status is Status.OK:
            changed = result.detail.changed
            runs |= {n: n in changed for n in ring.nodes}
        elif verb == "apply":
            done = result.detail.done if result else ()
            runs |= dict.fromkeys(done if back else (done or ring.nodes), not back)
    versions = _versions(hop)
    told = {n: f"may run {versions}" for n, new in runs.items() if new}
    return {n: f"Git declares {versions}" for n in ring.nodes if declared} | told


def _declared(before: bool, result: StepResult | None, *, back: bool) -> bool:
    """Whether Git declares the new versions after a commit; one of unknown outcome may have reached the branch."""
    if back:
        return before and not (result and result.status is Status.OK)
    return result is None or result.status is Status.OK or before
