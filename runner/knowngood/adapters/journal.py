"""The journal on disk: JSON lines, fsync'd one by one, and files named by their digest.

`journal.jsonl` is locked (flock) as long as it is open. A last line that a crash tore (no newline) is cut and
named in `torn`; any other damage is refused, because a run's state is a fold over *all* its records.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from knowngood.model.errors import JournalDamaged, Location, LockHeld, UsageError
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.record import MAX_RECORD_BYTES, Record
from knowngood.ports.journal import Journal

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileJournal(Journal):
    """The journal in `folder`, made if missing. `read_only`: for `status`, neither locked nor repaired."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._folder = folder
        self._path = folder / "journal.jsonl"
        self._read_only = read_only
        self._fd: int | None = None
        self.torn = ""
        """The torn last line that was cut, or ""."""
        try:
            self._records = self._open()
        except OSError as error:
            self.close()
            raise UsageError(f"{error.strerror}", where=str(error.filename or self._path)) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> list[Record]:
        if self._read_only:
            return self._parse(self._path.read_bytes())
        fresh = not self._path.exists()
        (self._folder / "files").mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(
                "another process has this run's journal open",
                where=str(self._path),
                hint="see knowngood status",
            ) from error
        if fresh:
            _sync_folder(self._folder)
            _sync_folder(self._folder.parent)
        data = self._path.read_bytes()
        records = self._parse(data)
        if self.torn:
            os.ftruncate(self._fd, len(data) - len(self.torn.encode("utf-8", "surrogateescape")))
            os.fsync(self._fd)
        return records

    def _parse(self, data: bytes) -> list[Record]:
        complete, newline, torn = data.rpartition(b"\n")
        self.torn = torn.decode("utf-8", "surrogateescape")
        if not newline:
            return []
        return [self._record(n, line) for n, line in enumerate(complete.split(b"\n"), start=1)]

    def _record(self, number: int, line: bytes) -> Record:
        where = Location(str(self._path), number)
        hint = "keep the folder as it is and look at it: knowngood does not guess what a run did"
        if len(line) + 1 > MAX_RECORD_BYTES:
            raise JournalDamaged(
                f"the record is longer than {MAX_RECORD_BYTES} bytes", where=where, hint=hint
            )
        try:
            record = from_json(Record, json.loads(line))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise JournalDamaged(f"this is no record: {error}", where=where, hint=hint) from error
        if record.seq != number - 1:
            raise JournalDamaged(f"expected record {number - 1}, found {record.seq}", where=where, hint=hint)
        return record

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._folder

    def records(self) -> tuple[Record, ...]:
        """All records in order."""
        return tuple(self._records)

    def append(self, record: Record) -> None:
        """Write one record and fsync."""
        if record.seq != len(self._records):
            raise ValueError(f"record {record.seq} after {len(self._records)} records")
        line = _encoded(to_json(record)) + b"\n"
        if len(line) > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {len(line)} bytes; put() what is large and name its digest")
        if self._fd is None:
            raise ValueError("the journal is not open for writing")
        size = os.fstat(self._fd).st_size
        try:
            _write(self._fd, line)
        except OSError as error:
            os.ftruncate(self._fd, size)
            raise UsageError(
                f"the journal can't be written: {error.strerror}",
                where=str(self._path),
                hint="is the disk full?",
            ) from error
        self._records.append(record)

    def put(self, name: str, data: bytes) -> str:
        """Keep a file by its digest. `name` is for people: the records say which digest is what."""
        digest = hashlib.sha256(data).hexdigest()
        target = self._folder / "files" / digest
        if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == digest:
            return digest
        part = target.with_suffix(".part")
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write(fd, data)
            finally:
                os.close(fd)
            part.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise UsageError(f"{name} can't be kept: {error.strerror}", where=str(part)) from error
        return digest

    def get(self, digest: str) -> bytes:
        """A kept file, checked against its digest."""
        path = self._folder / "files" / digest
        if not _DIGEST.fullmatch(digest):
            raise JournalDamaged(f"{digest!r} is no digest", where=str(self._path))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise JournalDamaged("a file that the journal names is missing", where=str(path)) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise JournalDamaged("the file's content does not fit its digest", where=str(path))
        return data

    def close(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> FileJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def is_open(folder: Path) -> bool:
    """Whether a runner, perhaps another process, has the journal in `folder` open for writing."""
    try:
        fd = os.open(folder / "journal.jsonl", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
