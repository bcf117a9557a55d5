"""Since when `knowngood gate` judges, and what it compares with: the same rules as in a run, for upgrades by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from knowngood.engine.earlier import spans
from knowngood.engine.judging import loads_of, windows_of
from knowngood.model.context import Span, Window
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState
from knowngood.model.values import Object, Values
from knowngood.ports.checkpoint import Checkpoint

DAY = 86400.0
"""Seconds."""
Loads = Callable[[str], tuple[Mark, ...]]
"""All loads of a node's module on its present boot, oldest first."""


@dataclass(frozen=True, slots=True)
class Since:
    """What a judgement outside a run is asked with; see `JudgeRequest`."""

    windows: Mapping[str, Window]
    loads: Mapping[str, Window]
    figures: Mapping[str, Values] = field(default_factory=dict)
    excluded: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    still: tuple[str, ...] = ()


def today(seen: Mapping[str, NodeState]) -> Since:
    """The cluster as it is: since the driver's load, and at most a day. What came before was yesterday's to tell."""
    as_is = now(seen)
    day = {
        n: Window(s.boot_id, max(0.0, (s.uptime_seconds or 0.0) - DAY), "")
        for n, s in seen.items()
        if s.boot_id
    }
    loads = {
        n: day[n] if n in day and day[n].boot_id == w.boot_id and day[n].monotonic > w.monotonic else w
        for n, w in as_is.loads.items()
    }
    return Since(day | loads, loads)


def now(seen: Mapping[str, NodeState]) -> Since:
    """The cluster as it is: the whole present boot, and the driver's errors since its load."""
    windows = {n: Window(s.boot_id, 0.0, "") for n, s in seen.items() if s.boot_id}
    return Since(windows, loads_of(seen))


def before(seen: Mapping[str, NodeState], checkpoint: Checkpoint) -> Since:
    """For a baseline: what runs of ours caused on this boot is no measure."""
    as_is = now(seen)
    found = spans(checkpoint, seen, without="")
    return Since(as_is.windows, as_is.loads, {}, {n: tuple(s) for n, s in found.items() if n in seen})


def kept(seen: Mapping[str, NodeState], taken: Since, time: str) -> Object:
    """What a baseline file keeps of when it was taken."""
    return {
        "windows": to_json(windows_of(seen, time)),
        "loads": to_json(taken.loads),
        "excluded": to_json(taken.excluded),
    }


def after(value: Values, seen: Mapping[str, NodeState], loads: Loads) -> Since:
    """What happened since a kept baseline.

    The driver's errors count since its first load after it. Where it was not loaded anew they count since the load that
    the baseline counted from, on both sides without what runs of ours caused; a baseline that does not know it allows
    nothing, and they count since it was taken.
    """
    windows = {n: from_json(Window, w) for n, w in value["windows"].items()}
    counted = {n: from_json(Window, w) for n, w in value.get("loads", {}).items()}
    spans_of = {n: tuple(from_json(Span, s) for s in found) for n, found in value.get("excluded", {}).items()}
    present, since, excluded = loads_of(seen), {}, {}
    for node, opened in windows.items():
        if node in counted and present.get(node) == counted[node]:
            since[node] = counted[node]
            excluded[node] = spans_of.get(node, ())
        elif node in present and present[node].boot_id == opened.boot_id:
            anew = [load for load in loads(node) if load.at > opened.monotonic]
            if anew:
                since[node] = Window(anew[0].boot_id, anew[0].at, "")
    still = tuple(n for n in windows if n in counted and present.get(n) == counted[n])
    return Since(windows, since, value["figures"], {n: s for n, s in excluded.items() if s}, still)
