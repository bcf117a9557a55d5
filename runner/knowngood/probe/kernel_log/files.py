"""A log file's lines that may matter, in bounded memory: found by grep, or by Python where there is none.

Both answer the same lines: those with one of the keywords that every pattern needs. What is no regular file is not
opened (a FIFO would wait for ever), except /dev/kmsg, which is read until it has no more. Of a file that grows what it
had at first is read: whoever writes faster than we read would keep us for ever.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from knowngood.probe.kernel_log.messages import KEYWORDS

CHUNK = 1 << 18
WINDOW = 8 << 20
LONGEST_LINE = 8 << 20
"""Bytes. A longer line is no log's: what comes of it is read in parts."""
BYTES_MESSAGE = ('"MESSAGE":[', '"MESSAGE" : [', '"MESSAGE": [')
"""journald writes a message that is no UTF-8 as a list of bytes; only a parser can tell what it says."""
_PATTERN = "|".join(re.escape(word) for word in (*KEYWORDS, *BYTES_MESSAGE))
_EXTENDED = "|".join(re.sub(r"[][().*+?{}|^$\\]", r"\\\g<0>", word) for word in (*KEYWORDS, *BYTES_MESSAGE))
"""For grep -E, a fifth faster than -F with a list."""
_ANY = re.compile(_PATTERN.encode())
_EVERYWHERE = 'abcdefghilmnoprstu: "'
"""Letters at which a search would stop all the time."""
_PLAIN = tuple(word.encode() for word in KEYWORDS if not word.strip(_EVERYWHERE))
"""Keywords without any other letter; most blocks have none of them."""
_RARE = re.compile(
    b"|".join(
        re.escape(word.lstrip(_EVERYWHERE)).encode()
        for word in (*KEYWORDS, *BYTES_MESSAGE)
        if word.encode() not in _PLAIN
    )
)
"""The others, each from its first rare letter on: all that have them, and a few lines more, in a third less time."""
STILL_S = 2.0
"""Seconds for which nobody wrote to a file that does not grow."""
KMSG = Path("/dev/kmsg")


class CannotReadError(Exception):
    """The log can't be read, or not to its end; says why."""


def regular(path: Path) -> int:
    """The file's size; CannotReadError where it is none that ends."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error
    if not stat.S_ISREG(found.st_mode):
        raise CannotReadError(f"{path}: no regular file")
    return found.st_size


HEAD_PIECE = 65536
"""Bytes of a log's beginning by which its format is known."""


def head(path: Path, size: int = HEAD_PIECE) -> bytes:
    """The file's first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error


def matching(path: Path, size: int, *, grep: bool = True) -> Iterator[str]:
    """The lines with a keyword among a file's first `size` bytes, without their line ends, in order.

    Bytes that are no UTF-8 are marked. CannotReadError where the reading breaks.
    """
    command = _grep(path, size) if grep else None
    for block in _grepped(command, path) if command else _searched(path, size):
        # Decoded together: no byte of a character of several is a line feed.
        lines = block.decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        yield from (line.rstrip("\r") for line in lines) if b"\r" in block else lines


def every(path: Path, size: int) -> Iterator[bytes]:
    """All lines of a file's first `size` bytes, without their line feeds."""
    try:
        with path.open("rb") as file:
            while line := file.readline(min(LONGEST_LINE, size)):
                size -= len(line)
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error


def kmsg(path: Path = KMSG) -> Iterator[bytes]:
    """The records of the kernel's ring buffer that are there now."""
    try:
        ring = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error
    try:
        while True:
            try:
                record = os.read(ring, 8192)
            except BlockingIOError:
                return
            except BrokenPipeError as error:  # records were overwritten while we read
                raise CannotReadError(f"{path}: the kernel dropped records") from error
            yield record.partition(b"\n")[0]
    finally:
        os.close(ring)


def blocks(path: Path, size: int) -> Iterator[bytes]:
    """Whole lines of a file's first `size` bytes, many at a time."""
    try:
        with path.open("rb", buffering=0) as file:
            yield from _blocks(lambda: file.read(min(CHUNK, size - file.tell())))
    except OSError as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error


def holes(path: Path) -> int:
    """How many parts of the file hold NUL bytes: no log's text, as after a power cut."""
    found = 0
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for at in range(0, size, WINDOW):
                # Mapped, not copied, and a part at a time: what is mapped counts as memory in use.
                with mmap.mmap(
                    file.fileno(), min(WINDOW, size - at), offset=at, access=mmap.ACCESS_READ
                ) as part:
                    found += part.find(b"\0") >= 0
    except (OSError, ValueError) as error:  # it was cut while we read
        raise CannotReadError(f"{path}: {_why(error)}") from error
    return found


def _grep(path: Path, size: int) -> list[list[str]] | None:
    """The commands that search a file, the last one of them grep; None where they are not there."""
    grep, head = shutil.which("grep"), shutil.which("head")
    if grep is None:
        return None
    search = [grep, "-a", "-E", "-e", _EXTENDED]
    try:
        still = time.time() - path.stat().st_mtime >= STILL_S
    except OSError as error:
        raise CannotReadError(f"{path}: {_why(error)}") from error
    if still:
        return [[*search, "--", str(path)]]
    # grep alone would follow whoever writes.
    return None if head is None else [[head, "-c", str(size), "--", str(path)], search]


def _grepped(commands: list[list[str]], path: Path) -> Iterator[bytes]:
    """Whole lines of what the commands find."""
    with ExitStack() as stack:
        feed: IO[bytes] | int = subprocess.DEVNULL
        children: list[subprocess.Popen[bytes]] = []
        for command in commands:
            child = stack.enter_context(_started(command, feed))
            if not isinstance(feed, int):
                feed.close()  # the next command's alone
            children.append(child)
            stack.callback(child.kill)  # where nobody reads on; one that has ended is not there to be killed
            feed = cast("IO[bytes]", child.stdout)
        found = feed
        yield from _blocks(lambda: cast("IO[bytes]", found).read(CHUNK))
        for command, child in zip(commands, children):  # noqa: B905 (Python 3.9)
            said = cast("IO[bytes]", child.stderr).read(2000).decode("utf-8", "replace").strip()
            nothing = child is children[-1] and child.wait() == 1
            if child.wait() != 0 and not nothing:
                raise CannotReadError(f"{path}: {command[0]} ended with {child.returncode}: {said}")


def _started(command: list[str], feed: IO[bytes] | int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=feed,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )


def _searched(path: Path, size: int) -> Iterator[bytes]:
    """The same without grep: one search over a block of lines at a time, and only its hits are cut out."""
    for block in blocks(path, size):
        yield from _hits(block)


def _blocks(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Blocks of whole lines. A line without end is cut where it is longer than any log's."""
    rest = b""
    while chunk := read():
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
            if len(rest) > LONGEST_LINE:
                yield rest
                rest = b""
    if rest:
        yield rest


def _hits(block: bytes) -> Iterator[bytes]:
    """The lines of a block that have a keyword."""
    likely = _ANY if any(word in block for word in _PLAIN) else _RARE
    at = 0
    while match := likely.search(block, at):
        begin = block.rfind(b"\n", 0, match.start()) + 1
        end = block.find(b"\n", match.end()) + 1 or len(block)
        if likely is _ANY or _ANY.search(block, begin, end):
            yield block[begin:end]
        at = end


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
