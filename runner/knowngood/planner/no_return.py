"""Whether a run is past the point from which nothing of it is taken back. Pure."""

from __future__ import annotations

from knowngood.model.plan import Hop, Plan
from knowngood.model.state import RunState


def past_return(plan: Plan, state: RunState) -> Hop | None:
    """The hop that a run is in, or ended in, where that can't be undone and its commit may be out."""
    begun = {path.hop for path in state.intended if path.verb == "declare" and not path.is_undo}
    last = next((hop for hop in reversed(plan.hops) if hop.name in begun), None)
    return last if last is not None and last.closed else None
