"""Who watches a run: the console, a log, a test."""

from __future__ import annotations

from typing import Protocol

from knowngood.model.progress import Progress
from knowngood.model.record import Record


class Observer(Protocol):
    """Told of every record and of progress in between; must not raise and is never waited for."""

    def record(self, record: Record) -> None:
        """A record was written; its detail is whole, also where the journal keeps it as a file."""
        ...

    def progress(self, progress: Progress) -> None:
        """Something happened inside a step."""
        ...
