"""A hop that can't be undone: once its commit may be out, the run stops where it stands and claims no way back.

What measurably failed is quarantined, and so is a node to which what moved did not come; every other one stays as it
is. Those who would move the others on by themselves stay paused: that is the hop's brake.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.engine.judging import nodes_of
from knowngood.engine.steps import Verb
from knowngood.model.claims import Hold, held
from knowngood.model.errors import Refused
from knowngood.model.going_on import again, can_go_on
from knowngood.model.marks import Marks
from knowngood.model.plan import Plan
from knowngood.model.state import RunState
from knowngood.planner.holding import RING_BY_RING
from knowngood.planner.no_return import past_return


def refuse_past_return(plan: Plan, state: RunState) -> None:
    """Refused where somebody asks to take back what can't be."""
    hop = past_return(plan, state)
    if hop is not None:
        moves = ", ".join(f"{m.component} {m.to_version}" for m in hop.moves)
        on = (
            f"knowngood resume {state.run}, or by hand {RING_BY_RING}"
            if brake(plan, hop.name)
            else f"knowngood resume {state.run}"
        )
        raise Refused(
            f"run {state.run} is past its point of no return: {hop.name} ({moves}) can't be undone",
            hint=f"go on instead: mend what stopped it, then {on}",
        )


def refuse_stuck(plan: Plan, state: RunState, marks: Mapping[str, Marks]) -> None:
    """Refused where a run that has ended can't go on by machine: it is not held, it went back, or nodes are still out.

    The nodes of the batch in which it stopped are its own to take once more; any other that it left out of service is
    for a human to give back first.
    """
    ended = state.end.name if state.end else "not ended"
    if ended != "held":
        raise Refused(f"run {state.run} is {ended}; only one that ended held goes on")
    found = again(state.intended, state.results)
    if not can_go_on(state.intended, state.results):
        raise Refused(
            f"run {state.run} has begun its way back, or nothing of it says where it stopped, so it can't go on",
            hint=f"knowngood rollback {state.run} ends the way back; then knowngood upgrade begins anew",
        )
    own = taken_anew(plan, state) | set(nodes_of(plan, found.batch.child(Verb.CLAIM)) if found.batch else ())
    out = {n: one for n, one in held(state, (), marks).items() if one.hold in LEFT and n not in own}
    if out:
        named = ", ".join(f"{node} ({one.why or one.hold})" for node, one in out.items())
        raise Refused(
            f"run {state.run} left nodes out of service that it would not come to again: {named}",
            hint=f"once they are well: knowngood clear {' '.join(out)}, then knowngood resume {state.run}",
        )


def taken_anew(plan: Plan, state: RunState) -> set[str]:
    """Nodes of batches that are done once more after a run had ended, and that are not given back yet."""
    batches = [batch for batch in state.redone if batch.child(Verb.RELEASE) not in state.results]
    return {n for batch in batches for n in nodes_of(plan, batch.child(Verb.CLAIM))}


LEFT = (Hold.OUT, Hold.QUARANTINED, Hold.MARKED)
"""How a node stands that a run has taken out of service and not given back."""


def brake(plan: Plan, hop: str) -> tuple[str, ...]:
    """Whose work stays paused when a run ends inside a hop that can't be undone: whom its fleet part holds."""
    fleet = next((h.fleet for h in plan.hops if h.name == hop), None)
    moved = {m.component for m in fleet.moves} if fleet else set()
    held = (what for name, spec in plan.movers.items() if name in moved for what in spec.holds)
    return tuple(dict.fromkeys(held))
