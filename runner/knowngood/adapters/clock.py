"""Real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from knowngood.adapters.waiting import waiting
from knowngood.model.errors import DeadlineExceeded
from knowngood.ports.cancel import Cancel
from knowngood.ports.clock import Clock

T = TypeVar("T")
SHORTEST_PAUSE = 0.1  # seconds
LATE = 0.1
"""How late a wait may notice that it is over, as a share of the time it took: asks often at first, then rarely."""


def timestamp(moment: datetime | None = None) -> str:
    """RFC 3339 in UTC with milliseconds; now by default."""
    moment = moment or datetime.now(UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def this_boot() -> str:
    """The boot of the machine we run on, whose monotonic clock means nothing in another; "" where none is told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def pause(elapsed: float, longest: float) -> float:
    """Seconds to the next look, `elapsed` seconds into a wait."""
    return min(longest, max(SHORTEST_PAUSE, elapsed * LATE))


class SystemClock(Clock):
    """The machine's clocks."""

    def __init__(self) -> None:
        self._made = (time.time(), time.monotonic())

    def now(self) -> str:
        """See the port."""
        return timestamp()

    def monotonic(self) -> float:
        """See the port."""
        return time.monotonic()

    def jumped(self) -> float:
        """See the port."""
        wall, monotonic = self._made
        return (time.time() - wall) - (time.monotonic() - monotonic)

    def wait_for(
        self,
        condition: Callable[[], T | None],
        *,
        deadline: float,
        what: str,
        cancel: Cancel,
        every: float = 1.0,
    ) -> T:
        """See the port. `every` is the longest pause; a young wait looks more often."""
        started, again = time.monotonic(), False
        while True:
            cancel.check()
            with waiting(again):
                if value := condition():
                    return value
            again = True
            elapsed = time.monotonic() - started
            if elapsed >= deadline:
                raise DeadlineExceeded(f"{what}: not within {deadline:.0f} s")
            cancel.wait(min(pause(elapsed, every), max(0.0, deadline - elapsed)))
