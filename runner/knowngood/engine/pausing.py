"""Where a run pauses because it was told to: after a ring's judgement, in each hop, so that somebody may look. Pure."""

from __future__ import annotations

from knowngood.engine.steps import Step
from knowngood.model.errors import UsageError
from knowngood.model.plan import Plan
from knowngood.model.state import End, RunState

PAUSE = "pause_after"
"""Under which name record 0 keeps the ring."""


def refuse_strange_ring(plan: Plan, ring: str) -> None:
    """UsageError where a plan with something to do has no part of that name: the run would go through, unasked."""
    known = tuple(dict.fromkeys(part.name for hop in plan.hops for part in hop.parts))
    if plan.hops and ring and ring not in known:
        raise UsageError(
            f"--pause-after {ring}: this plan has no such ring", hint=f"its rings: {', '.join(known)}"
        )


def pauses(state: RunState, following: Step | End) -> bool:
    """Whether the run pauses before its next step: the ring was judged, and the way leads on from it.

    A run that stops, goes back or is held does not wait for anybody; one that was resumed does not pause there again.
    """
    ring, last = str(state.frozen.get(PAUSE, "")), state.last
    if not ring or isinstance(following, End) or state.paused == last:
        return False
    on = not (following.undo or following.path.is_hold or last.is_undo or last.is_hold)
    return on and last.ring == ring and not following.path.within(f"{last.hop}/{ring}")


def why(state: RunState) -> str:
    """Why it stands still, in words."""
    return f"paused after {state.last.hop}/{state.last.ring}, as asked: it is judged, and passed"
