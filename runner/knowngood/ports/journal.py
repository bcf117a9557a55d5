"""Where a run's record is kept: append-only records, and files named by their digest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from knowngood.model.record import Record


class Journal(Protocol):
    """One run's journal, locked against a second writer while open."""

    @property
    def folder(self) -> Path:
        """The run's folder: artifacts may be put in subfolders of it."""
        ...

    def records(self) -> tuple[Record, ...]:
        """All records in order. A torn last line was cut and named; other damage raises JournalDamaged."""
        ...

    def append(self, record: Record) -> None:
        """Write one record and fsync. Raises ValueError above MAX_RECORD_BYTES or on a wrong seq."""
        ...

    def put(self, name: str, data: bytes) -> str:
        """Keep a file by digest (fsync'd); returns its sha256 hex. The same bytes twice are one file."""
        ...

    def get(self, digest: str) -> bytes:
        """A kept file; JournalDamaged if it is missing or its digest is wrong."""
        ...
