"""A log file as lines of the kernel, whatever its format; what could not be read is counted, never passed over.

The format is told by the file's first line. Wrapped messages, in which the driver's words go on in the next lines, are
joined again; a journal's entries are parsed whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from knowngood.probe.kernel_log import files, recognised
from knowngood.probe.kernel_log.events import NUMBERED
from knowngood.probe.kernel_log.files import CannotReadError
from knowngood.probe.kernel_log.lines import Line, of_journal, of_text

FLOOD_S = 10.0
"""Seconds within which the same message again is the same flood (kernel lines that have no time are always)."""
MOST_PARTS = 6
"""Lines over which the driver spreads one message."""
_OPENS = re.compile(r"NVRM: (?:The NVIDIA (?:GPU|\S.* GPU|probe)|API mismatch|A GPU crash dump|This PCI I/O)")
_MAY_OPEN = ("NVRM: T", "NVRM: A")
_GOES_ON = re.compile(
    r"(?:NVRM: )?\s*(?!Xid|GPU ?[0-9a-fP]|loading |None of|No NVIDIA|API mismatch|The NVIDIA)(?:\S)"
)
_MANY_LINES = re.compile(rb"\A\{\s*\n|^ +_(?:BOOT_ID|TRANSPORT)=", re.MULTILINE)
_ENCLOSED = re.compile(rb'^[^{\n]{1,1024}\{[^\n]*"MESSAGE" ?:', re.MULTILINE)
_COUNTED = re.compile(rb"(\d{1,6}) <\d{1,3}>")
_EXPORT = re.compile(rb"__CURSOR=|_BOOT_ID=|__REALTIME_TIMESTAMP=")


@dataclass
class Count:
    """What was read. `broken`: entries or parts that are no log's; `first` says of the first of them where and why."""

    broken: int = 0
    first: str = ""

    def note(self, why: str) -> None:
        """Something could not be read."""
        self.broken += 1
        self.first = self.first or why


class Read(NamedTuple):
    """One message with the raw line, or lines, that it came from. `line` None: it could not be read at all.

    `again`: how often it came again right after it, the last time as `last`.
    """

    line: Line | None
    raw: str
    again: int = 0
    last: Line | None = None


def read(path: Path, count: Count, *, grep: bool = True) -> Iterator[Read]:
    """The messages of a file that may matter. CannotReadError where nothing can be read, or the reading broke off."""
    if path.resolve() == files.KMSG:
        return _text(map(text, files.kmsg(path)))
    size = files.regular(path)
    begin = files.head(path)
    if begin[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5") or begin[:8] == b"LPKSHHRH":
        raise CannotReadError(
            f"{path}: compressed, or journald's own file; unpack it, or use journalctl --output=json"
        )
    if _MANY_LINES.search(begin):
        raise CannotReadError(f"{path}: journalctl's verbose or json-pretty; use --output=json")
    if _EXPORT.match(begin):  # its fields may hold any byte
        return _some(_export(files.every(path, size), count), recognised.nothing(path, size))
    if holed := files.holes(path):
        count.note(f"{path}: NUL bytes in {holed} part(s): what was written there is lost")
    if _is_json(begin):
        _look_at_end(path, size, count)
        if not recognised.of_json(path, size):
            count.note(recognised.nothing(path, size))
        return _json(files.matching(path, size, grep=grep), count)
    if _ENCLOSED.search(begin):
        raise CannotReadError(f"{path}: a journal's entries with something before each: give them as printed")
    if _runs_on(begin):
        raise CannotReadError(
            f"{path}: messages behind their octet counts without line ends: put each on a line"
        )
    if not recognised.of_text(path, size):
        count.note(recognised.nothing(path, size))
    return _text(files.matching(path, size, grep=grep))


def _some(messages: Iterator[Read], none: str) -> Iterator[Read]:
    """All of them; CannotReadError where there is `none`."""
    first = next(messages, None)
    if first is None:
        raise CannotReadError(none)
    yield first
    yield from messages


def _runs_on(begin: bytes) -> bool:
    """Whether a syslog was kept as it came over TCP (RFC 6587): the next count comes right behind a message."""
    counted = _COUNTED.match(begin)
    end = counted.end(1) + 1 + int(counted[1]) if counted else 0
    return b"\n" not in begin[end - 1 : end + 2] and 0 < end < len(begin)


def _is_json(begin: bytes) -> bool:
    for raw in begin.split(b"\n"):
        if raw.strip() and not raw.startswith(b"-- "):
            return _unframed(raw.lstrip()).startswith(b"{")
    return False


def _unframed(raw: bytes) -> bytes:
    """An entry without what journalctl's json-seq and json-sse put before it."""
    return raw.lstrip(b"\x1e").removeprefix(b"data: ")


def _look_at_end(path: Path, size: int, count: Count) -> None:
    """A journal that was cut off ends within an entry."""
    with path.open("rb") as file:
        file.seek(max(0, size - files.LONGEST_LINE))
        tail = file.read(size - file.tell()).rstrip(b"\r\n").rpartition(b"\n")[2]
    if tail.startswith(b"-- "):
        return
    try:
        json.loads(_unframed(tail))
    except (ValueError, RecursionError):
        count.note(f"{path}: ends within an entry: {text(tail)[:80]!r}")


def _json(lines: Iterable[str], count: Count) -> Iterator[Read]:
    for raw in lines:
        if not raw.strip() or raw.startswith("-- "):
            continue
        try:
            entry = json.loads(raw.lstrip("\x1e").removeprefix("data: "))
            line = of_journal(entry)
        except (ValueError, AttributeError, RecursionError, OverflowError):
            count.note(f"no journal entry: {raw[:80]!r}")
            yield Read(None, raw)
            continue
        if line.kernel or line.fabric_manager:
            yield Read(line, raw)


def _export(lines: Iterable[bytes], count: Count) -> Iterator[Read]:
    """journalctl --output=export: KEY=value lines, or KEY, eight bytes of length, and as many bytes; then a blank line.

    https://systemd.io/JOURNAL_EXPORT_FORMATS
    """
    entry: dict[str, str] = {}
    raws: list[str] = []
    source = iter(lines)
    for raw in source:
        key, found, value = raw.partition(b"=")
        if not raw:
            yield from _entry(entry, raws, count)
            entry, raws = {}, []
        elif found:
            entry[text(key)] = text(value)
            raws.append(text(raw))
        else:
            told = _binary(source, count)
            entry[text(key)] = text(told)
            raws.append(f"{text(key)}={text(told)}")
    if entry:  # a whole one ends with a blank line
        count.note("the export ends within an entry")
    yield from _entry(entry, raws, count)


def _binary(source: Iterator[bytes], count: Count) -> bytes:
    """A field with its length before it; its bytes may hold line feeds, and so may its length."""
    data = next(source, b"")
    while len(data) < 8:
        more = next(source, None)
        if more is None:
            count.note("the export ends within a field")
            return b""
        data += b"\n" + more
    length = int.from_bytes(data[:8], "little")
    data = data[8:]
    while len(data) < min(length, files.LONGEST_LINE):
        more = next(source, None)
        if more is None:
            count.note("the export ends within a field")
            break
        data += b"\n" + more
    return data


def _entry(entry: dict[str, str], raws: list[str], count: Count) -> Iterator[Read]:
    if not entry:
        return
    try:
        line = of_journal(entry)
    except (ValueError, OverflowError):
        count.note(f"no journal entry: {raws[0][:80]!r}")
        yield Read(None, "\n".join(raws))
        return
    if line.kernel or line.fabric_manager:
        yield Read(line, "\n".join(raws))


def _text(lines: Iterable[str]) -> Iterator[Read]:
    """Lines of text, wrapped messages joined, and a flood of one numbered error told without reading each."""
    opened: list[Read] = []
    held: tuple[Line, str] | None = None
    run: _Run | None = None
    for raw in lines:
        if held is not None:
            if raw.endswith(held[0].message):
                run = run or _Run(*held)
                if run.goes_on(raw):
                    continue
            yield run.read() if run else Read(*held)
            held = run = None
        indented = raw[:1].isspace()
        line = of_text(raw.lstrip() if indented else raw)
        if opened:
            if _belongs(opened, raw, line):
                opened.append(Read(line, raw))
                continue
            yield _joined(opened)
            opened = []
        if indented and not line.whole and not line.message.startswith("NVRM"):
            continue  # KEY=value of a /dev/kmsg record, or the rest of somebody's message
        if line.message.startswith(_MAY_OPEN) and _OPENS.match(line.message):
            opened = [Read(line, raw)]
        elif not indented and line.message.startswith(NUMBERED):
            held = line, raw
        else:
            yield Read(line, raw)
    if held is not None:
        yield run.read() if run else Read(*held)
    if opened:
        yield _joined(opened)


class _Run:
    """A numbered error, and those right after it that differ by the kernel's seconds in the first bracket at most."""

    __slots__ = ("_again", "_at", "_last", "_line", "_raw", "_tail")

    def __init__(self, line: Line, raw: str) -> None:
        self._line, self._raw, self._again, self._last = line, raw, 0, raw
        end = len(raw) - len(line.message) - 2
        stamped = raw.endswith(f"] {line.message}") and _seconds(raw, end) == line.seconds
        self._tail, self._at = (raw[end:], line.seconds or 0.0) if stamped else ("", 0.0)

    def goes_on(self, raw: str) -> bool:
        """Whether it is the same again: then it is counted."""
        if self._tail and raw.endswith(self._tail):
            now = _seconds(raw, len(raw) - len(self._tail))
            if now is None or abs(now - self._at) > FLOOD_S:
                return False
            self._at = now
        elif raw != self._raw:
            return False
        self._again, self._last = self._again + 1, raw
        return True

    def read(self) -> Read:
        """All of them."""
        return Read(self._line, self._raw, self._again, of_text(self._last) if self._again else None)


def _seconds(raw: str, end: int) -> float | None:
    """The kernel's seconds in a line's first bracket, which is closed at `end`; None where there are none."""
    if raw[:1] != "[" or not 0 < end < 24:
        return None
    try:
        seconds = float(raw[1:end])
    except ValueError:
        return None
    return seconds if 0.0 <= seconds < 1e12 else None  # no "nan" either


def _belongs(opened: list[Read], raw: str, line: Line) -> bool:
    """Whether a line goes on with the message that was opened."""
    if not line.kernel or len(opened) >= MOST_PARTS or not line.message.startswith("NVRM: "):
        return False
    if raw[:1].isspace() and not line.whole:
        return True
    return not opened[-1].raw.rstrip().endswith((".", "!")) and bool(_GOES_ON.match(line.message))


def _joined(parts: list[Read]) -> Read:
    first = parts[0].line
    if first is None or len(parts) == 1:
        return parts[0]
    message = "\n".join(p.line.message.strip() for p in parts if p.line)
    return Read(first._replace(message=message), "\n".join(p.raw for p in parts))


def text(raw: bytes) -> str:
    """What a line says; bytes that are no UTF-8 are marked."""
    return raw.decode("utf-8", "replace")
