"""How long a run will still take, and until when its undo must start. Measured in this run, never promised.

Pure: the plan, the state so far and the cluster's limits in, seconds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.planner.pace import PER_BATCH, UNDO, measured, seconds_between, undo_seconds
from knowngood.planner.window import undo_must_start_by

BEFORE = ("observe", "preflight", "check", "way-back")
AFTER = ("prove", "promote")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds. `exact` is False while some kind of step was not measured yet: then `left` is a lower bound.

    `undo_by` is RFC 3339 in the window's own offset, "" where the cluster has no window.
    """

    elapsed: float
    left: float
    exact: bool
    undo: float
    undo_by: str


def estimate(plan: Plan, state: RunState, *, soak: float, window_end: str, now: str) -> Estimate:
    """The estimate at `now` (RFC 3339 UTC)."""
    pace = measured(state)
    pace.setdefault("soak", soak)
    todo = _undo_left(state) or [path.verb for path in steps_of(plan) if path not in state.results]
    left = sum(pace.get(verb, 0.0) for verb in todo)
    exact = all(verb in pace for verb in todo)
    undo = undo_seconds(pace)
    elapsed = seconds_between(state.started, now)
    return Estimate(elapsed, left, exact, undo, undo_must_start_by(window_end, undo))


def _undo_left(state: RunState) -> list[str]:
    """The verbs of the ring's undo that goes on now which are still to come; empty where nothing is undone.

    Of an earlier ring, or an earlier way back of a run that is rolled back again, nothing is counted as done.
    """
    undoing = [path for path in state.intended if path.undo == state.undo]
    if not undoing:
        return [*UNDO] if state.undo_all else []
    at = undoing[-1].parent
    if at.verb != state.undo or not at.parent:  # the proof of the whole, and the record, after the last ring
        return []
    ended = {path.verb for path in undoing if path in state.results and path.within(at)}
    return [verb for verb in UNDO if verb not in ended]


def steps_of(plan: Plan) -> Iterable[StepPath]:
    """The paths of an undisturbed run, in order."""
    yield from map(StepPath, BEFORE)
    for hop in plan.hops:
        for part in hop.parts:
            yield from _part(hop, part)
    yield from map(StepPath, AFTER)


def _part(hop: Hop, ring: PlannedRing) -> Iterable[StepPath]:
    at = StepPath(hop.name).child(ring.name)
    twice = hop.again is not None and ring.name in hop.again.rings
    declared = ("declare", "deliver") if ring.changes else ()
    if not ring.nodes:
        yield from (at.child(verb) for verb in ("window", *declared, "approve", "settle", "confirm"))
        return
    watched = ("watch",) if hop.leaky else ()
    yield from (at.child(verb) for verb in ("window", *watched, "baseline", *declared))
    for number in range(1, len(ring.batches) + 1):
        batch = at.child(f"batch-{number}")
        for verb in PER_BATCH:
            if verb == "release" and twice:
                yield from (batch.child("twice", step) for step in ("second-load", "judge"))
            yield batch.child(verb)
    yield from (at.child(verb) for verb in ("soak", "confirm"))


def rings_of(plan: Plan, state: RunState) -> Mapping[StepPath, tuple[int, int]]:
    """`hop/ring`, and `hop/fleet`, -> (steps ended, steps in all) of an undisturbed run."""
    found = {}
    for hop in plan.hops:
        for part in hop.parts:
            at = StepPath(hop.name).child(part.name)
            paths = list(_part(hop, part))
            found[at] = (sum(p in state.results for p in paths), len(paths))
    return found


def words(seconds: float) -> str:
    """Seconds for people: `0.8 s`, `12 s`, `3 min 20 s`, `20 min`, `2 h 05 min`."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(max(seconds, 0.0))
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
