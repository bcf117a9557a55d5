"""Files of a matrix as text: plain files inside the matrix only, bounded, UTF-8. A pull request can hold anything.

A FIFO would never end, a device neither, a link could show what the matrix does not hold, a huge file could fill
the memory. All of these are findings, none is opened for longer than it takes to see what it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from knowngood.matrix.yaml_text import MAX_BYTES, refusal
from knowngood.model.errors import DataError, Location, Problem

_BOM = b"\xef\xbb\xbf"


def display(path: Path) -> str:
    """A path as messages show it: relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return str(path)


def read_text(path: Path, file: str = "") -> str:
    """A data file's text; `file` is its name in messages. DataError where it can't be what a data file is."""
    where = Location(file or display(path), 1, 1)
    try:
        data = _bytes(path)
    except OSError as error:
        raise refusal(where, f"cannot be read: {error.strerror}", "check the file and its rights") from None
    if data is None:
        raise refusal(where, "is no plain file", "a data file is a plain file; remove what stands there")
    return decoded(data, where)


def decoded(data: bytes, where: Location) -> str:
    """A file's bytes as text; DataError where they are too many or not what we read."""
    if len(data) > MAX_BYTES:
        raise refusal(
            where, f"larger than {MAX_BYTES // 1024} KiB", "a data file holds one fact set; split it"
        )
    if data.startswith(_BOM):
        raise refusal(where, "begins with a byte order mark", "save the file as UTF-8 without one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[line_start : error.start].decode("utf-8", "replace")) + 1
        where = Location(where.file, data.count(b"\n", 0, error.start) + 1, column)
        raise refusal(where, f"not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None


def _bytes(path: Path) -> bytes | None:
    """At most one byte more than is allowed; None for what is no plain file. Never waits for another process."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        data = os.read(handle, MAX_BYTES + 1)
        while len(data) <= MAX_BYTES and (more := os.read(handle, MAX_BYTES + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(handle)


def entries(folder: Path, root: Path, problems: list[Problem]) -> Iterator[tuple[Path, bool]]:
    """What lies in a folder, by name: each path and whether it is a folder; hidden ones are left out.

    A link that leads out of `root`, or nowhere, is a problem and is not followed. A folder that is not there is empty.
    """
    if folder.is_symlink() and not _inside(folder, root):
        problems += _problem(folder, "is a link that leads out of the matrix, or nowhere", "put a copy there")
        return
    try:
        found = sorted(os.scandir(folder), key=lambda e: e.name)
    except FileNotFoundError:
        return
    except OSError as error:
        problems += _problem(folder, f"cannot be read: {error.strerror}", "check the folder and its rights")
        return
    for entry in found:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        if entry.is_symlink() and not _inside(path, root):
            problems += _problem(
                path, "is a link that leads out of the matrix, or nowhere", "put a copy there"
            )
            continue
        yield path, _is_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _inside(path: Path, root: Path) -> bool:
    """Whether a link's target is there and below the root. Kubernetes mounts a ConfigMap as such links."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


def _problem(path: Path, message: str, hint: str) -> tuple[Problem, ...]:
    """Not `display`, which would follow the link."""
    try:
        name = str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        name = str(path)
    error: DataError = refusal(Location(name, 1, 1), message, hint)
    return error.problems
