"""Events as JSON lines: one an event, or one for a flood of the same message, in the order in which they began."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

from knowngood.probe.kernel_log.codes import Action
from knowngood.probe.kernel_log.events import Event
from knowngood.probe.kernel_log.lines import Line
from knowngood.probe.kernel_log.reading import Read

FLOOD_S = 10.0
"""Seconds within which the same message again is the same flood (kernel lines that have no time are always)."""
OPEN, OPEN_BYTES = 2048, 8 << 20
"""Messages of which a flood may still go on, and their size: what bounds the memory."""
Record = str
"""A JSON object."""
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


def _record(flood: _Flood) -> str:
    """One object, written by hand: json.dumps takes as long as all of the parsing."""
    event, line = flood.event, flood.first
    code = _text(event.name) if event.kind == "signature" else _number(event.code)
    recovery = event.recovery[1] if event.recovery else None
    known = event.process not in ("", "unknown")
    return (
        f'{{"kind": "{event.kind}", "code": {code}, "bdf": {_text(event.bdf)}, '
        f'"gpu_instance": {_number(event.gpu_instance)}, "compute_instance": {_number(event.compute_instance)}, '
        f'"pid": {int(event.pid) if event.pid.isdecimal() else "null"}, '
        f'"process": {_text(event.process) if known else "null"}, "previous_xid": {_number(event.cause)}, '
        f'"recovery_action": {_number(recovery)}, "link": {_number(event.link)}, '
        f'"severity": {_text(event.severity)}, "time": {_time(line)}, "boot_id": {_text(line.boot_id)}, '
        f'"raw": {_text(flood.raw)}, "action": "{event.action.word}", "unit": {_text(event.unit)}, '
        f'"switch": {_text(event.switch)}, "source": "{event.source}", "count": {flood.count}, '
        f'"last": {_time(flood.last)}}}'
    )


def _text(words: str | None) -> str:
    return encode_basestring_ascii(words) if words else "null"


def _number(number: float | None) -> str:
    return "null" if number is None else repr(number)


def _time(line: Line) -> str:
    """Wall time where the log has one, else seconds since boot."""
    return _number(line.seconds) if line.wall is None else _text(line.wall)


def _unread(raw: str) -> str:
    """What no reader of this format understands."""
    empty = Event("unread", Action.HOLD, kind="unread")
    line = Line("")
    return _record(_Flood(empty, line, raw, 1, line))
