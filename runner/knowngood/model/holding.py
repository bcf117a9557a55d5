"""What a run holds of others' work, by its records. Pure."""

from __future__ import annotations

from knowngood.model.state import RunState

HOLD, LET_GO = "hold", "let-go"
"""The verbs that take holds and let them go."""


def held_objects(state: RunState) -> tuple[str, ...]:
    """What was taken and not let go since, in words."""
    held: tuple[str, ...] = ()
    for path in state.intended:
        result = state.results.get(path)
        if path.verb == HOLD and result:
            held = result.detail.held
        elif path.verb == LET_GO and result:
            held = tuple(result.detail.kept)
    return held


def holds(state: RunState) -> dict[str, str]:
    """What is held, with what must be known of it: until when, who lifted it, why it could not be let go."""
    told: dict[str, str] = {}
    for path in state.intended:
        result = state.results.get(path)
        if result is None:
            if path.verb == HOLD:
                told["whatever works on its nodes"] = "may be held: a step that takes holds has no answer"
            elif path.verb == LET_GO:
                told = dict.fromkeys(told, "may still be held: a step that lets go has no answer")
            continue
        if path.verb == HOLD:
            told = dict.fromkeys(result.detail.held, f"needed until {result.detail.until}")
        elif path.verb == LET_GO:
            told = dict(result.detail.kept)
        told |= {name: why for name, why in result.detail.lifted.items() if name in told}
    return told
