"""Time, and the one way to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from knowngood.ports.cancel import Cancel

T = TypeVar("T")


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
