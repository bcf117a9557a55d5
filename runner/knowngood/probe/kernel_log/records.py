"""Events as JSON lines: one an event, or one for a flood of the same message, in the order in which they began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring_ascii as quoted

from knowngood.probe.kernel_log.codes import Action
from knowngood.probe.kernel_log.events import Event
from knowngood.probe.kernel_log.lines import Line
from knowngood.probe.kernel_log.reading import FLOOD_S, Read

MOST_OPEN, MOST_BYTES = 2048, 8 << 20
"""Messages of which a flood may still go on, and their size: what bounds the memory."""
Record = str
"""A JSON object."""
_WORDS = [action.word for action in Action]
Key = tuple[str, "str | None", bool]


@dataclass
class _Flood:
    """One message, its first line, and how often it came."""

    __slots__ = ("count", "event", "first", "last", "raw")
    event: Event
    first: Line
    raw: str
    count: int
    last: Line


def records(messages: Iterable[Read]) -> Iterator[Record]:
    """The events of messages, floods counted."""
    waiting: dict[Key, _Flood] = {}
    size = 0
    for line, raw, again, last in messages:
        if line is None:
            yield from _told(waiting)
            size = 0
            yield _unread(raw)
            continue
        key = (line.message, line.boot_id, line.kernel)
        flood = waiting.get(key)
        if flood is not None:
            if _goes_on(flood.last, line):
                flood.count += 1 + again
                flood.last = last or line
                continue
            yield from _told(waiting)
            size = 0
        event = line.event()
        if event is None:
            continue
        waiting[key] = _Flood(event, line, raw, 1 + again, last or line)
        size += len(raw)
        if len(waiting) > MOST_OPEN or size > MOST_BYTES:
            yield from _told(waiting, len(waiting) // 2)
            size = sum(len(flood.raw) for flood in waiting.values())
    yield from _told(waiting)


def _told(waiting: dict[Key, _Flood], oldest: int | None = None) -> Iterator[Record]:
    """The oldest floods end, all by default: what comes is told after what came before."""
    for key in list(islice(waiting, oldest)):
        yield _record(waiting.pop(key))


def _goes_on(last: Line, line: Line) -> bool:
    if last.seconds is not None and line.seconds is not None:
        return abs(line.seconds - last.seconds) <= FLOOD_S
    if last.wall is not None and line.wall is not None:
        return last.wall[:16] == line.wall[:16]  # the same minute, or what a syslog prints of it
    return last.wall is line.wall


def _record(flood: _Flood) -> str:
    """One object, written by hand: json.dumps takes as long as all of the parsing."""
    event, line, none = flood.event, flood.first, "null"
    known = event.process not in ("", "unknown")
    begun = _time(line)
    return (
        f'{{"kind": "{event.kind}", "code": '
        f"{quoted(event.name) if event.kind == 'signature' else none if event.code is None else event.code}, "
        f'"bdf": {quoted(event.bdf) if event.address else none}, '
        f'"gpu_instance": {none if event.gpu_instance is None else event.gpu_instance}, '
        f'"compute_instance": {none if event.compute_instance is None else event.compute_instance}, '
        f'"pid": {int(event.pid) if event.pid.isdecimal() else none}, '
        f'"process": {quoted(event.process) if known else none}, '
        f'"previous_xid": {none if event.cause is None else event.cause}, '
        f'"recovery_action": {event.recovery[1] if event.recovery else none}, '
        f'"link": {none if event.link is None else event.link}, '
        f'"severity": {quoted(event.severity) if event.severity else none}, "time": {begun}, '
        f'"boot_id": {quoted(line.boot_id) if line.boot_id else none}, '
        f'"raw": {quoted(flood.raw)}, "action": "{_WORDS[event.action]}", '
        f'"unit": {quoted(event.unit) if event.unit else none}, '
        f'"switch": {quoted(event.switch) if event.switch else none}, '
        f'"source": "{event.source}", "count": {flood.count}, '
        f'"last": {begun if flood.last is line else _time(flood.last)}}}'
    )


def _time(line: Line) -> str:
    """Wall time where the log has one, else seconds since boot."""
    if line.wall is not None:
        return quoted(line.wall)
    return "null" if line.seconds is None else repr(line.seconds)


def _unread(raw: str) -> str:
    """What no reader of this format understands."""
    empty = Event("unread", Action.HOLD, kind="unread")
    line = Line("")
    return _record(_Flood(empty, line, raw, 1, line))
