"""Whether a run is past the point from which nothing of it is taken back. Pure."""

from __future__ import annotations

from knowngood.model.plan import Hop, Plan
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath


def past_return(plan: Plan, state: RunState) -> Hop | None:
    """The hop that a run is in, or ended in, where that can't be undone and its commit may be out."""
    begun = {path.hop for path in state.intended if path.verb == "declare" and _may_be_out(path, state)}
    last = next((hop for hop in reversed(plan.hops) if hop.name in begun), None)
    return last if last is not None and last.closed else None


def _may_be_out(path: StepPath, state: RunState) -> bool:
    """Whether a way forward's commit may have reached the branch: not where a way back looked and found none there."""
    if path.is_undo:
        return False
    looks = (
        r for p, r in state.results.items() if p.verb == "declare" and p.is_undo and p.within(path.parent)
    )
    return not any(look.status is Status.OK and not look.detail.commit for look in looks)
