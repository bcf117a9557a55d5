"""Events as JSON lines: one an event, or one for a flood of the same message, in the order in which they began."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from knowngood.probe.kernel_log.events import Event
from knowngood.probe.kernel_log.lines import Line
from knowngood.probe.kernel_log.reading import Read

FLOOD_S = 10.0
"""Seconds within which the same message again is the same flood (kernel lines that have no time are always)."""
OPEN, OPEN_BYTES = 2048, 8 << 20
"""Messages of which a flood may still go on, and their size: what bounds the memory."""
Record = dict[str, Any]
Key = tuple[str, "str | None", bool]


@dataclass
class _Flood:
    """One message, its first line, and how often it came."""

    event: Event
    first: Line
    raw: str
    count: int
    last: Line


def records(messages: Iterable[Read]) -> Iterator[Record]:
    """The events of messages, floods counted."""
    waiting: OrderedDict[Key, _Flood] = OrderedDict()
    size = 0
    for line, raw in messages:
        if line is None:
            yield from _all(waiting)
            size = 0
            yield _unread(raw)
            continue
        key = (line.message, line.boot_id, line.kernel)
        flood = waiting.get(key)
        if flood is not None:
            if _goes_on(flood.last, line):
                flood.count += 1
                flood.last = line
                continue
            yield from _all(waiting)
            size = 0
        event = line.event()
        if event is None:
            continue
        waiting[key] = _Flood(event, line, raw, 1, line)
        size += len(raw)
        while len(waiting) > OPEN or (size > OPEN_BYTES and len(waiting) > 1):
            _, oldest = waiting.popitem(last=False)
            size -= len(oldest.raw)
            yield _record(oldest)
    yield from _all(waiting)


def _all(waiting: OrderedDict[Key, _Flood]) -> Iterator[Record]:
    """All floods end: what comes is told after what came before."""
    while waiting:
        yield _record(waiting.popitem(last=False)[1])


def _goes_on(last: Line, line: Line) -> bool:
    if last.seconds is not None and line.seconds is not None:
        return abs(line.seconds - last.seconds) <= FLOOD_S
    if last.wall is not None and line.wall is not None:
        return last.wall[:16] == line.wall[:16]  # the same minute, or what a syslog prints of it
    return last.wall is line.wall


def _record(flood: _Flood) -> Record:
    event, line = flood.event, flood.first
    signature = event.kind == "signature"
    return {
        "kind": event.kind,
        "code": event.name if signature else event.code,
        "bdf": event.bdf or None,
        "gpu_instance": event.gpu_instance,
        "compute_instance": event.compute_instance,
        "pid": int(event.pid) if event.pid.isdigit() else None,
        "process": event.process if event.process not in ("", "unknown") else None,
        "previous_xid": event.cause,
        "recovery_action": event.recovery[1] if event.recovery else None,
        "link": event.link,
        "severity": event.severity or None,
        "time": _time(line),
        "boot_id": line.boot_id,
        "raw": flood.raw,
        "action": event.action.word,
        "unit": event.unit or None,
        "switch": event.switch or None,
        "source": event.source,
        "count": flood.count,
        "last": _time(flood.last),
    }


def _time(line: Line) -> str | float | None:
    """Wall time where the log has one, else seconds since boot."""
    return line.wall if line.wall is not None else line.seconds


def _unread(raw: str) -> Record:
    """What no reader of this format understands."""
    empty = dict.fromkeys(
        (
            "code",
            "bdf",
            "gpu_instance",
            "compute_instance",
            "pid",
            "process",
            "previous_xid",
            "recovery_action",
            "link",
        )
    )
    rest = dict.fromkeys(("severity", "time", "boot_id"))
    more = {"action": "hold", "unit": None, "switch": None, "source": "kernel", "count": 1, "last": None}
    return {"kind": "unread", **empty, **rest, "raw": raw, **more}
