"""The kernel's own lines of a node since a window opened, and whether they can be trusted to be all.

Journald's JSON through the kubelet's journal endpoint. Only lines that the kernel wrote count: a process can write
into the ring buffer too, but then the facility is not the kernel's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from knowngood.adapters.cluster.journals import COUNT, CUT, JOURNALD, LAST, LOST
from knowngood.adapters.cluster.kernel_files import NUMBERED
from knowngood.model.context import Span, Window
from knowngood.model.errors import KnowngoodError
from knowngood.model.values import Values
from knowngood.probe.kernel_log.lines import text_of

MAX_BOOTS = 10
LONGEST_REBOOT = 2700.0
"""Seconds from a boot's last line to the next boot: a large server's POST takes 10 to 20 minutes, twice that is two."""

Fetch = Callable[[int], str]
"""The journal of a boot (0 the present one, -1 the one before) as JSON lines. Raises KnowngoodError."""
Before = Callable[[float], str]
"""The newest entries, of whatever, that are older than so many seconds of the present boot. Raises KnowngoodError."""
LEFT_OUT = "the journal left out what a kernel line says"
NEAR = 60.0
"""Seconds by which the clocks of a node and of who judges may differ, and that pass until a window is written down."""
FIRST_LINE = "Linux version "
"""How the kernel's first line of a boot begins."""


@dataclass(frozen=True, slots=True)
class Line:
    """One kernel line. `monotonic`: seconds since its boot. A flood of it is one: `count` of them, until `last`.

    `wall`: seconds since the epoch, None where the log does not tell.
    """

    boot_id: str
    monotonic: float
    message: str
    count: int = 1
    last: float = -1.0
    wall: float | None = None

    @property
    def until(self) -> float:
        """When the last of them came."""
        return max(self.monotonic, self.last)


@dataclass(frozen=True, slots=True)
class KernelLog:
    """The lines of a window, oldest first.

    `trouble`: why a line may be missing, "" where none is. `late`: why what came right after the window opened may be
    missing: the log has nothing of that time or before it, as after `journalctl --vacuum`. `begins`: the oldest moment
    that the log is known to have, as (boot, seconds); None: not asked for. `boots`: that the window touches.
    `opened`: the window; `boot_id` and `up`: the present boot and seconds since it, "" and None where not known.
    `owners`: the PCI addresses of the node's GPUs and NICs -> gpu, nic.
    `beside` tells of other nodes' errors, `remap_failed` whether a GPU has a failed row remap (None: not known): both
    are asked for only where it matters.
    """

    lines: tuple[Line, ...]
    boots: int
    trouble: str = ""
    late: str = ""
    begins: tuple[str, float] | None = None
    opened: Window | None = None
    boot_id: str = ""
    up: float | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[], Any] | None = None
    remap_failed: Callable[[str], bool | None] = lambda _address: None

    @property
    def hours(self) -> float | None:
        """How long the window is open; None where that is not known, or it opened in another boot."""
        if self.opened is None or self.up is None or plain(self.opened.boot_id) != self.boot_id:
            return None
        return max(0.0, self.up - self.opened.monotonic) / 3600

    @property
    def rebooted(self) -> bool:
        """Whether the node runs another boot than the one in which the window opened."""
        return bool(self.opened and self.boot_id and plain(self.opened.boot_id) not in ("", self.boot_id))

    def since(self, window: Window) -> KernelLog:
        """What of it came since a later window opened."""
        boot = plain(window.boot_id)
        of_boot = [i for i, line in enumerate(self.lines) if line.boot_id == boot]
        first = of_boot[0] if of_boot else 0  # a boot without a line: all that is here is newer
        kept = [ln for ln in self.lines[first:] if ln.boot_id != boot or ln.until >= window.monotonic]
        return replace(self, lines=tuple(kept), late=_late(self.begins, window), opened=window)


def read(fetch: Fetch, window: Window | None, boot_id: str, before: Before | None = None) -> KernelLog:
    """The lines since `window` opened; of the whole present boot without one. `boot_id`: the present boot's."""
    opened = window or Window(boot_id, 0.0, "")
    return replace(_read(fetch, opened, boot_id, before), opened=opened, boot_id=plain(boot_id))


def _read(fetch: Fetch, window: Window, boot_id: str, before: Before | None) -> KernelLog:
    lines: list[Line] = []
    wanted, at = plain(window.boot_id), 0
    for back in range(MAX_BOOTS):
        try:
            found, lost = parse(fetch(-back))
        except KnowngoodError as error:
            return KernelLog(tuple(lines), back, f"the kernel log can't be read: {error}")
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            return KernelLog(tuple(lines), back, f"the kernel log can't be understood: {error}")
        boots = {line.boot_id for line in found}
        if not found and not lost:
            return KernelLog(tuple(lines), back, _nothing(back, wanted))
        if back == 0 and boot_id and boots != {plain(boot_id)}:
            return KernelLog(tuple(lines), back, "the kernel log has no line of the present boot")
        if back and found and found[0].boot_id.startswith(NUMBERED):
            at = at or _boots_ago(fetch, window)
            found = [replace(line, boot_id=wanted) for line in found] if at == back else found
        here = wanted in {line.boot_id for line in found} or not wanted
        opened = window.monotonic if here else 0.0
        gap = _gap(found, lines) if back else ""
        lines = [line for line in found if line.until >= opened] + lines
        if lost or gap:
            return KernelLog(tuple(lines), back + 1, lost or gap)
        if here:
            begins = _begins(found, window, before if back == 0 else None)
            return KernelLog(tuple(lines), back + 1, "", _late(begins, window), begins)
    return KernelLog(tuple(lines), MAX_BOOTS, f"more than {MAX_BOOTS} boots since the window opened")


def _boots_ago(fetch: Fetch, window: Window) -> int:
    """Which boot before the present one the window opened in, by its time, where a log names none; -1: none is near."""
    apart: dict[int, float] = {}
    for back in range(1, MAX_BOOTS):
        try:
            opened = datetime.fromisoformat(window.since).timestamp()
            found, _ = parse(fetch(-back))
        except (KnowngoodError, ValueError, TypeError, OverflowError, RecursionError):
            return -1
        if not found:
            break
        begun = min((line.wall - line.monotonic for line in found if line.wall is not None), default=None)
        if begun is not None:
            apart[back] = abs(begun + window.monotonic - opened)
    nearest = min(apart, key=lambda back: apart[back], default=-1)
    return nearest if apart.get(nearest, NEAR + 1) <= NEAR else -1


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


def _gap(older: Sequence[Line], newer: Sequence[Line]) -> str:
    """Why a boot may have been lost between two that the journal has; "" where there was hardly time for one."""
    last = max((line.wall for line in older if line.wall), default=None)
    first = min((line.wall - line.monotonic for line in newer if line.wall), default=None)
    if last is None or first is None or first - last <= LONGEST_REBOOT:
        return ""
    return (
        f"between the last line of boot {older[-1].boot_id[:8]} and the next boot that the log has are"
        f" {(first - last) / 60:.0f} min: a boot between them may be lost"
    )


def parse(text: str) -> tuple[list[Line], str]:
    """The kernel's lines of a journal in JSON lines, and why some may be missing: journald lost them, or it was cut."""
    lines, lost = [], ""
    for entry in _entries(text):
        message = text_of(entry.get("MESSAGE", ""))
        if entry.get("SYSLOG_IDENTIFIER") == JOURNALD and LOST.search(message):
            lost = "journald lost kernel lines"
        lost = str(entry.get(CUT) or lost)
        if entry.get("_TRANSPORT") == "kernel" and str(entry.get("SYSLOG_FACILITY", "0")) == "0":
            lines.append(_line(entry, message))
            lost = LEFT_OUT if entry.get("MESSAGE", "") is None else lost
    return lines, lost


def _line(entry: Values, message: str) -> Line:
    wall, last = entry.get("__REALTIME_TIMESTAMP"), entry.get(LAST)
    return Line(
        plain(str(entry.get("_BOOT_ID", ""))),
        _monotonic(entry),
        message,
        count=int(entry.get(COUNT, 1)),
        last=-1.0 if last is None else int(last) / 1e6,
        wall=None if wall is None else int(wall) / 1e6,
    )


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


def _monotonic(entry: Values) -> float:
    """When the kernel wrote it; when journald read it is later."""
    stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
    if stamp is None or int(stamp) < 0:
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
