"""Time, and the one way to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from knowngood.model.errors import Interrupted

T = TypeVar("T")


class Cancel:
    """Says why a run must stop now; set once, by a signal, a lost Lease or an abort. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parts: tuple[Cancel, ...] = ()  # replaced, never changed: a signal may come at any time
        self.reason = ""

    def part(self) -> Cancel:
        """One for a part of the work: set together with this one, or by itself where only that part must stop."""
        made = Cancel()
        self._parts = (*self._parts, made)
        if self._event.is_set():
            made.set(self.reason)
        return made

    def set(self, reason: str) -> None:
        """Ask everything to stop; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()
            for part in self._parts:
                part.set(reason)

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; True as soon as set."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise Interrupted if set."""
        if self._event.is_set():
            raise Interrupted(f"stopped: {self.reason}", hint="knowngood resume goes on from here")


class Clock(Protocol):
    """Wall time for people, monotonic time for deadlines, `wait_for` for every wait."""

    def now(self) -> str:
        """The wall time, RFC 3339 in UTC with milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds; only differences mean something."""
        ...

    def jumped(self) -> float:
        """Seconds by which wall time moved otherwise than monotonic time since this clock was made; about 0."""
        ...

    def wait_for(
        self,
        condition: Callable[[], T | None],
        *,
        deadline: float,
        what: str,
        cancel: Cancel,
        every: float = 1.0,
    ) -> T:
        """Ask `condition` every `every` seconds until it is truthy; return that.

        Raises DeadlineExceeded naming `what` after `deadline` seconds, Interrupted when `cancel` is set.
        """
        ...
