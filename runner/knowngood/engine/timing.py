"""How long a ring and its undo take, measured in this run. Pure."""

from __future__ import annotations

from datetime import datetime
from statistics import fmean

from knowngood.engine.steps import Verb
from knowngood.model.state import RunState

PER_BATCH = (Verb.CLAIM, Verb.DRAIN, Verb.BASELINE, Verb.APPLY, Verb.JUDGE, Verb.RELEASE)
PER_RING = (Verb.DECLARE, Verb.DELIVER, Verb.CONFIRM)
UNDO = (
    Verb.DECLARE,
    Verb.DELIVER,
    Verb.LOOK,
    Verb.CLAIM,
    Verb.DRAIN,
    Verb.APPLY,
    Verb.JUDGE,
    Verb.RELEASE,
    Verb.VERIFY,
)


def measured(state: RunState) -> dict[str, float]:
    """Mean seconds of each verb over the steps that ended."""
    seconds: dict[str, list[float]] = {}
    for path, result in state.results.items():
        if result.started and result.ended:
            took = datetime.fromisoformat(result.ended) - datetime.fromisoformat(result.started)
            seconds.setdefault(path.rsplit("/", 1)[-1], []).append(took.total_seconds())
    return {verb: fmean(values) for verb, values in seconds.items()}


def ring_and_undo(state: RunState, batches: int, soak: float) -> tuple[float, float]:
    """Seconds the next ring needs, and its undo.

    What was not measured yet counts as the way there and back through Git (`deliver`), else as nothing: before the
    canary both are lower bounds, and the plan says so.
    """
    pace = measured(state)
    git = pace.get(Verb.WAY_BACK, 0.0)
    ring = sum(pace.get(v, git if v is Verb.DELIVER else 0.0) for v in PER_RING)
    ring += batches * sum(pace.get(v, 0.0) for v in PER_BATCH) + soak
    undo = sum(pace.get(v, git if v is Verb.DELIVER else 0.0) for v in UNDO)
    return ring, undo
