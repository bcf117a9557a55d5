"""A hop that can't be undone: once its commit may be out, the run stops where it stands and claims no way back.

What measurably failed is quarantined, and so is a node to which what moved did not come; every other one stays as it
is. Those who would move the others on by themselves stay paused: that is the hop's brake.
"""

from __future__ import annotations

from knowngood.model.errors import Refused
from knowngood.model.plan import Plan
from knowngood.model.state import RunState
from knowngood.planner.holding import RING_BY_RING
from knowngood.planner.no_return import past_return


def refuse_past_return(plan: Plan, state: RunState) -> None:
    """Refused where somebody asks to take back what can't be."""
    hop = past_return(plan, state)
    if hop is not None:
        moves = ", ".join(f"{m.component} {m.to_version}" for m in hop.moves)
        on = RING_BY_RING if brake(plan, hop.name) else "knowngood upgrade again"
        raise Refused(
            f"run {state.run} is past its point of no return: {hop.name} ({moves}) can't be undone",
            hint=f"go on instead: mend what stopped it, then {on}",
        )


def brake(plan: Plan, hop: str) -> tuple[str, ...]:
    """Whose work stays paused when a run ends inside a hop that can't be undone: whom its fleet part holds."""
    fleet = next((h.fleet for h in plan.hops if h.name == hop), None)
    moved = {m.component for m in fleet.moves} if fleet else set()
    held = (what for name, spec in plan.movers.items() if name in moved for what in spec.holds)
    return tuple(dict.fromkeys(held))
