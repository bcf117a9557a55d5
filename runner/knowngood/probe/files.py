"""Reading what is below a folder and nothing else: a host's root is whatever the host made of it.

A link is followed as the host itself would follow it, so an absolute one stays below the root (as chroot does it, and
openat2's RESOLVE_IN_ROOT, which Python does not offer). Only a regular file is opened for reading: a FIFO would wait
for its writer, and a device may act when it is opened.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

MOST_LINKS = 40
"""What Linux follows in one path: path_resolution(7)."""
MOST_NAMES = 10_000
"""Entries of one folder: what has more is none of the folders that a probe reads."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class Unreadable(Exception):
    """It is there and can't be read; the message says why. What is not there raises FileNotFoundError."""


def read(root: Path, path: str, most: int) -> bytes:
    """A regular file's content of at most `most` bytes; Unreadable for anything else, and for more."""
    walk = _Walk(root)
    try:
        name = walk.to(path)
        if not name:
            raise Unreadable("a folder, not a file")
        file = os.open(name, _FILE, dir_fd=walk.folder)
        try:
            _regular(os.fstat(file).st_mode)  # what was looked at may have been replaced since
            content = _upto(file, most + 1)
        finally:
            os.close(file)
    except OSError as error:
        raise _kept(error) from error
    finally:
        walk.close()
    if len(content) > most:
        raise Unreadable(f"longer than {most} bytes")
    return content


def names(root: Path, path: str) -> list[str]:
    """What a folder holds, sorted; Unreadable where that can't be told of all of it."""
    walk = _Walk(root)
    try:
        if walk.to(path):
            raise NotADirectoryError(path)
        found = _listed(walk.folder)
    except OSError as error:
        raise _kept(error) from error
    finally:
        walk.close()
    odd = [
        name for name in found if not name.isprintable()
    ]  # bytes that are no UTF-8 come as lone surrogates
    if odd:
        raise Unreadable(f"an entry's name is no text: {odd[0]!a}")
    return sorted(found)


def _listed(folder: int) -> list[str]:
    opened, found = os.open(".", _LISTED, dir_fd=folder), []
    try:
        with os.scandir(opened) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) > MOST_NAMES:
                    raise Unreadable(f"more than {MOST_NAMES} entries")
    finally:
        os.close(opened)
    return found


class _Walk:
    """From the root down, a folder after the other, each held open: nothing can be exchanged behind our back."""

    def __init__(self, root: Path) -> None:
        try:
            self._held = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        except OSError as error:
            raise Unreadable(f"the root {root}: {error.strerror}") from error

    @property
    def folder(self) -> int:
        """The folder that was reached."""
        return self._held[-1]

    def to(self, path: str) -> str:
        """Go to a path; the name of the regular file at its end, "" where its end is a folder."""
        left, links = deque(path.split("/")), 0
        while left:
            name = left.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                self._up()
                continue
            mode = os.stat(name, dir_fd=self.folder, follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                if links > MOST_LINKS:
                    raise Unreadable("a loop of links")
                target = os.readlink(name, dir_fd=self.folder)
                if target.startswith("/"):
                    self._top()
                left.extendleft(reversed(target.split("/")))
            elif stat.S_ISDIR(mode):
                self._held.append(os.open(name, _FOLDER, dir_fd=self.folder))
            else:
                _regular(mode)
                if any(rest not in ("", ".") for rest in left):
                    raise NotADirectoryError(path)
                return name
        return ""

    def close(self) -> None:
        """Let go of all folders."""
        while self._held:
            os.close(self._held.pop())

    def _up(self) -> None:
        if len(self._held) > 1:  # above the root is the root
            os.close(self._held.pop())

    def _top(self) -> None:
        while len(self._held) > 1:
            os.close(self._held.pop())


def _regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in _KINDS if test(mode)), "no regular file")
        raise Unreadable(f"{kind}, not a file")


def _upto(file: int, most: int) -> bytes:
    """At most that many bytes. A file of /sys gives a part at a time."""
    parts, left = [], most
    while left > 0:
        part = os.read(file, min(left, 65536))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _kept(error: OSError) -> Exception:
    """What is not there stays FileNotFoundError; everything else could not be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return FileNotFoundError(str(error))
    return Unreadable(error.strerror or str(error))
