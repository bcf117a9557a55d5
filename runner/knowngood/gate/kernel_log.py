"""The kernel's own lines of a node since a window opened, and whether they can be trusted to be all.

Journald's JSON through the kubelet's journal endpoint. Only lines that the kernel wrote count: a process can write
into the ring buffer too, but then the facility is not the kernel's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from knowngood.model.context import Span, Window
from knowngood.model.errors import KnowngoodError
from knowngood.model.values import Values

MAX_BOOTS = 10
_LOST = re.compile(r"Missed \d+ kernel messages")

Fetch = Callable[[int], str]
"""The journal of a boot (0 the present one, -1 the one before) as JSON lines. Raises KnowngoodError."""
Before = Callable[[float], str]
"""The newest entries, of whatever, that are older than so many seconds of the present boot. Raises KnowngoodError."""
FIRST_LINE = "Linux version "
"""How the kernel's first line of a boot begins."""


@dataclass(frozen=True, slots=True)
class Line:
    """One kernel line. `monotonic`: seconds since its boot."""

    boot_id: str
    monotonic: float
    message: str


@dataclass(frozen=True, slots=True)
class KernelLog:
    """The lines of a window, oldest first.

    `trouble`: why a line may be missing, "" where none is. `late`: why what came right after the window opened may be
    missing: the log has nothing of that time or before it, as after `journalctl --vacuum`. `begins`: the oldest moment
    that the log is known to have, as (boot, seconds); None: not asked for.
    """

    lines: tuple[Line, ...]
    boots: int
    trouble: str = ""
    late: str = ""
    begins: tuple[str, float] | None = None

    def since(self, window: Window) -> KernelLog:
        """What of it came since a later window opened."""
        boot = plain(window.boot_id)
        of_boot = [i for i, line in enumerate(self.lines) if line.boot_id == boot]
        first = of_boot[0] if of_boot else 0  # a boot without a line: all that is here is newer
        kept = [ln for ln in self.lines[first:] if ln.boot_id != boot or ln.monotonic >= window.monotonic]
        return KernelLog(tuple(kept), self.boots, self.trouble, _late(self.begins, window), self.begins)


def read(fetch: Fetch, window: Window | None, boot_id: str, before: Before | None = None) -> KernelLog:
    """The lines since `window` opened; of the whole present boot without one. `boot_id`: the present boot's."""
    lines: list[Line] = []
    window = window or Window(boot_id, 0.0, "")
    wanted = plain(window.boot_id)
    for back in range(MAX_BOOTS):
        try:
            found, lost = parse(fetch(-back))
        except KnowngoodError as error:
            return KernelLog(tuple(lines), back, f"the kernel log can't be read: {error}")
        except ValueError as error:
            return KernelLog(tuple(lines), back, f"the kernel log can't be understood: {error}")
        boots = {line.boot_id for line in found}
        if not found:
            return KernelLog(tuple(lines), back, _nothing(back, wanted))
        if back == 0 and boot_id and boots != {plain(boot_id)}:
            return KernelLog(tuple(lines), back, "the kernel log has no line of the present boot")
        here = wanted in boots or not wanted
        opened = window.monotonic if here else 0.0
        lines = [line for line in found if line.monotonic >= opened] + lines
        if lost:
            return KernelLog(tuple(lines), back + 1, "journald lost kernel lines")
        if here:
            begins = _begins(found, window, before if back == 0 else None)
            return KernelLog(tuple(lines), back + 1, "", _late(begins, window), begins)
    return KernelLog(tuple(lines), MAX_BOOTS, f"more than {MAX_BOOTS} boots since the window opened")


def within(line: Line, spans: Iterable[Span]) -> bool:
    """Whether a line lies in one of the spans."""
    return any(
        plain(span.boot_id) == line.boot_id
        and span.start <= line.monotonic
        and (span.end is None or line.monotonic <= span.end)
        for span in spans
    )


def _begins(found: Sequence[Line], window: Window, before: Before | None) -> tuple[str, float]:
    """The oldest moment of the boot in which the window opened that the log is known to have."""
    boot = found[0].boot_id
    if any(line.message.startswith(FIRST_LINE) for line in found):
        return boot, 0.0
    oldest = min(line.monotonic for line in found)
    if oldest > window.monotonic > 0 and before is not None:
        oldest = min([oldest, *_moments(before, window.monotonic, boot)])
    return boot, oldest


def _moments(before: Before, opened: float, boot: str) -> list[float]:
    """When the entries that an unfiltered query finds were written; none where it can't be asked."""
    try:
        entries = list(_entries(before(opened)))
        return [
            int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
            for entry in entries
            if plain(str(entry.get("_BOOT_ID", ""))) == boot
        ]
    except (KnowngoodError, ValueError, KeyError, TypeError):
        return []


def _late(begins: tuple[str, float] | None, window: Window) -> str:
    if begins is None or begins[0] != (plain(window.boot_id) or begins[0]) or begins[1] <= window.monotonic:
        return ""
    return (
        f"the kernel log of boot {begins[0][:8]} begins at {begins[1]:.1f} s,"
        f" after the window opened at {window.monotonic:.1f} s: what came between is lost"
    )


def parse(text: str) -> tuple[list[Line], bool]:
    """The kernel's lines of a journal in JSON lines, and whether journald says that it lost some."""
    lines, lost = [], False
    for entry in _entries(text):
        message = _message(entry)
        lost = lost or (entry.get("SYSLOG_IDENTIFIER") == "systemd-journald" and bool(_LOST.search(message)))
        if entry.get("_TRANSPORT") == "kernel" and str(entry.get("SYSLOG_FACILITY", "0")) == "0":
            lines.append(Line(plain(str(entry.get("_BOOT_ID", ""))), _monotonic(entry), message))
    return lines, lost


def _entries(text: str) -> Iterator[Values]:
    # Not splitlines: it also cuts at U+2028 and its like, which a process may have put into a message.
    for raw in text.split("\n"):
        if not raw or raw.startswith("-- "):  # journalctl's "-- No entries --"
            continue
        entry = json.loads(raw)
        if not isinstance(entry, dict):
            raise ValueError(f"not a journal entry: {raw[:80]}")  # noqa: TRY004 (one kind of error for the caller)
        yield entry


def plain(boot_id: str) -> str:
    """A boot id without dashes: journald writes none, /proc does."""
    return boot_id.replace("-", "").strip().lower()


def _message(entry: Values) -> str:
    """MESSAGE is a list of bytes where it is not UTF-8."""
    message = entry.get("MESSAGE", "")
    if isinstance(message, list):
        return bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode("utf-8", "replace")
    return str(message)


def _monotonic(entry: Values) -> float:
    """When the kernel wrote it; when journald read it is later."""
    stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
    if stamp is None:
        raise ValueError("a kernel line without a time")
    return int(stamp) / 1e6


def _nothing(back: int, wanted: str) -> str:
    if back == 0:
        return "the kernel log has no line of the present boot"
    return f"the node was rebooted and the log of boot {wanted[:8]}, in which the window opened, is gone"


def earlier_of(window: Window | None, load: Window | None) -> Window | None:
    """The earlier of two openings. In another boot than the load a window opened before: the load was read later."""
    if window is None or load is None or window.boot_id != load.boot_id:
        return window or load
    return min(window, load, key=lambda w: w.monotonic)
