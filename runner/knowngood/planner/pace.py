"""How long each kind of step takes, measured in this run; what a ring and its undo need at that pace. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from statistics import fmean

from knowngood.model.plan import Plan
from knowngood.model.state import RunState

PER_BATCH = ("claim", "drain", "baseline", "apply", "judge", "release")
PER_RING = ("baseline", "declare", "deliver", "confirm")
UNDO = ("declare", "deliver", "look", "claim", "drain", "apply", "judge", "verify", "release")
"""The verbs of an undo, in order."""


def seconds_between(start: str, end: str) -> float:
    """Seconds from one RFC 3339 time to another; 0 where either is missing."""
    if not start or not end:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def measured(state: RunState) -> dict[str, float]:
    """Mean seconds of each verb over the steps that ended."""
    seconds: dict[str, list[float]] = {}
    for path, result in state.results.items():
        if result.started and result.ended:
            took = seconds_between(result.started, result.ended)
            seconds.setdefault(path.verb, []).append(took)
    return {verb: fmean(values) for verb, values in seconds.items()}


def undo_seconds(pace: Mapping[str, float]) -> float:
    """Seconds that an undo takes."""
    return sum(_at(pace, verb) for verb in UNDO)


def ring_and_undo(state: RunState, batches: int, soak: float) -> tuple[float, float]:
    """Seconds the next ring needs, and its undo. Before the canary both are lower bounds, and the plan says so."""
    pace = measured(state)
    ring = sum(_at(pace, verb) for verb in PER_RING)
    ring += batches * sum(_at(pace, verb) for verb in PER_BATCH) + soak
    return ring, undo_seconds(pace)


def run_and_undo(plan: Plan) -> float:
    """Seconds that a whole run and the undo of its longest hop are expected to take: what is known of it."""
    back = max((hop.expected.turns * hop.expected.minutes * 60.0 for hop in plan.hops), default=0.0)
    return sum(hop.expected.seconds for hop in plan.hops) + back


def _at(pace: Mapping[str, float], verb: str) -> float:
    """A verb's seconds: what was not measured yet counts as the way through Git and back (`deliver`), else nothing."""
    unknown = pace.get("way-back", 0.0) if verb == "deliver" else 0.0
    return pace.get(verb, unknown)
