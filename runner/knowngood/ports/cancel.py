"""How a run is told to stop."""

from __future__ import annotations

import threading

from knowngood.model.errors import Interrupted


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
            raise Interrupted(f"stopped: {self.reason}")
