"""Which run has the say over a cluster: the newest one that changed it and was not undone, by the checkpoints there."""

from __future__ import annotations

from knowngood.engine.steps import Verb
from knowngood.model.jsonable import from_json
from knowngood.model.state import RunState, verb_of
from knowngood.ports.checkpoint import Checkpoint


def last_change(checkpoint: Checkpoint, *, without: str = "", after: str = "") -> RunState | None:
    """The run that changed the cluster last; None where none did.

    `without`: a run that does not count. `after`: only runs newer than this one.
    """
    for name in checkpoint.runs():  # the newest first
        if name == after:
            return None
        found = checkpoint.load(name) if name != without else None
        if found is None:
            continue
        state = from_json(RunState, found["state"])
        if _changed(state) and not (state.end and state.end.name == "restored"):
            return state
    return None


def _changed(state: RunState) -> bool:
    """Whether it began to commit: from then on the cluster may be otherwise than before."""
    return any(verb_of(path) == Verb.DECLARE for path in state.intended)
