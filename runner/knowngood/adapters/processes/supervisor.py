"""Run a command so that nothing of it outlives us: Ansible and pytest go through here.

The supervisor (`supervisor_child`) holds a pipe from this process. Whatever closes it (cancel, deadline, an
exception, SIGKILL of the runner) ends the whole process tree. Its pid is noted in the run's folder before the
command starts, so that `resume` can wait until the killed run's last supervisor is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from knowngood.adapters.clock import this_boot
from knowngood.adapters.processes import supervisor_child
from knowngood.model.errors import DeadlineExceeded, UsageError
from knowngood.ports.cancel import Cancel

NOTES = "supervisors"
TAIL_LINES = 40
POLL_SECONDS = 0.1
END_SECONDS = 30.0
"""Longest wait for a supervisor to end its tree (TERM, 2 s, KILL); only uninterruptible sleep exceeds it."""
GRACE_SECONDS = 2.0
"""Between TERM and KILL: enough for ansible and pytest to write their last event."""
MARK = "KNOWNGOOD_SUPERVISED"
"""In the environment of everything supervised: the note's path, or a name. It finds orphans of a killed supervisor."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended. `code`: 128 + signal if a signal ended it; `tail`: its last lines of stderr."""

    code: int
    timed_out: bool
    cancelled: bool
    pid: int  # of the supervisor
    tail: tuple[str, ...] = ()


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._rest = b""
        self._take = take

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line.decode("utf-8", "replace"))

    def close(self) -> None:
        if self._rest:
            self._take(self._rest.decode("utf-8", "replace"))
            self._rest = b""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    deadline: float,
    cancel: Cancel,
    on_line: Callable[[str], None] | None = None,
    stdin: bytes | None = None,
    folder: Path | None = None,
) -> Completed:
    """Run `argv` for at most `deadline` seconds; `on_line` is given each line of its standard output.

    `folder` is the run's folder, where the supervisor notes itself for `wait_gone`. `stdin`: up to 64 KiB.
    UsageError where the supervisor can't be started. An exception of `on_line` ends the tree and is raised.
    """
    note = _note(folder)
    mark = str(note or uuid.uuid4().hex)
    read_end, write_end = os.pipe()
    try:
        process = _start(argv, cwd, {**env, MARK: mark}, read_end, note, stdin is not None)
    except OSError as error:
        os.close(write_end)
        raise UsageError(f"can't start {sys.executable}: {error}", hint="reinstall knowngood") from error
    finally:
        os.close(read_end)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    watch = _Watch(process, write_end, time.monotonic() + deadline, cancel, mark)
    try:
        watch.feed(stdin)
        watch.pump(on_line or (lambda _: None), tail.append)
    finally:
        watch.end()
    return Completed(process.returncode, watch.timed_out, watch.cancelled, process.pid, tuple(tail))


def _note(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    notes = folder / NOTES
    notes.mkdir(parents=True, exist_ok=True)
    return notes.absolute() / f"{uuid.uuid4().hex}.json"


def _start(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], pipe: int, note: Path | None, has_stdin: bool
) -> subprocess.Popen[bytes]:
    settings = json.dumps({"cwd": str(cwd), "pipe": pipe, "note": str(note or ""), "grace": GRACE_SECONDS})
    return subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor_child.__file__, settings, "--", *argv],
        env=dict(env),
        pass_fds=(pipe,),
        stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # before exec: no Ctrl-C of the terminal can reach it
    )


class _Watch:
    """One supervised command: reads what it says until it ends, is cancelled or runs out of time."""

    def __init__(
        self, process: subprocess.Popen[bytes], pipe: int, ends_at: float, cancel: Cancel, mark: str
    ) -> None:
        self._process = process
        self._pipe: int | None = pipe
        self._ends_at = ends_at
        self._cancel = cancel
        self._mark = mark
        self.timed_out = False
        self.cancelled = False

    def feed(self, stdin: bytes | None) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:
                stream.write(stdin or b"")

    def pump(self, out: Callable[[str], None], err: Callable[[str], None]) -> None:
        give_up_at = float("inf")
        with selectors.DefaultSelector() as selector:
            for stream, take in ((self._process.stdout, out), (self._process.stderr, err)):
                selector.register(_open(stream), selectors.EVENT_READ, _Lines(take))
            while (selector.get_map() or self._process.poll() is None) and time.monotonic() < give_up_at:
                for key, _ in selector.select(POLL_SECONDS):
                    data = os.read(key.fd, 65536)
                    lines: _Lines = key.data
                    if data:
                        lines.feed(data)
                    else:
                        lines.close()
                        selector.unregister(key.fileobj)
                if not selector.get_map():
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(POLL_SECONDS)
                if (self._process.poll() or 0) < 0 and self._pipe is not None:
                    self._close_pipe()
                    end_orphans(self._mark)  # they hold our streams, so nothing else would end this loop
                if self._pipe is not None and self._process.poll() is None and self._must_stop():
                    self._close_pipe()
                    give_up_at = time.monotonic() + END_SECONDS

    def _must_stop(self) -> bool:
        self.cancelled = self._cancel.is_set()
        self.timed_out = not self.cancelled and time.monotonic() >= self._ends_at
        return self.cancelled or self.timed_out

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def end(self) -> None:
        """Close the pipe, wait for the supervisor, close the streams."""
        try:
            self._close_pipe()
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DeadlineExceeded(
                f"supervisor {self._process.pid} could not end its processes in {END_SECONDS:.0f} s",
                hint=f"see: ps --ppid {self._process.pid}",
            ) from error
        finally:
            for stream in (self._process.stdout, self._process.stderr):
                _open(stream).close()


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("started with a pipe")
    return stream


def wait_gone(folder: Path, deadline: float, cancel: Cancel) -> int:
    """Wait until no supervisor noted in the run's folder lives, nor anything it started; returns how many.

    A supervisor ends by itself once its runner is gone. Where it was killed too, its orphans are ended here,
    found by the mark in their environment. DeadlineExceeded names who is left after `deadline` seconds.
    """
    ends_at = time.monotonic() + deadline
    notes = sorted((folder / NOTES).glob("*.json"))
    for note in notes:
        while living := _living(note):
            cancel.check()
            if time.monotonic() >= ends_at:
                raise DeadlineExceeded(
                    f"processes {living} of the run before are still alive after {deadline:.0f} s",
                    where=str(note),
                    hint="end them by hand, then resume",
                )
            cancel.wait(POLL_SECONDS)
        note.unlink(missing_ok=True)
    return len(notes)


def _living(note: Path) -> list[int]:
    """The noted supervisor if it lives, else its orphans, which are told to end."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        pid, start, boot = int(noted["pid"]), str(noted["start"]), str(noted["boot"])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"unreadable supervisor note: {error}", where=str(note), hint="remove it") from error
    if (now := this_boot()) and boot != now:
        return []
    with contextlib.suppress(OSError):
        if supervisor_child.start_ticks(pid) == start and _state(pid) != "Z":
            return [pid]
    return _killed(str(note.absolute()))


def end_orphans(mark: str) -> None:
    """End all that a supervisor left which was killed itself. DeadlineExceeded where something will not go."""
    ends_at = time.monotonic() + END_SECONDS
    while living := _killed(mark):
        if time.monotonic() >= ends_at:
            raise DeadlineExceeded(
                f"processes {living} outlived their supervisor by {END_SECONDS:.0f} s",
                hint="end them by hand, then resume",
            )
        time.sleep(POLL_SECONDS)


def _killed(mark: str) -> list[int]:
    """Those that carry the mark and are told to end now."""
    orphans = _marked(mark)
    for orphan in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)
    return orphans


def _state(pid: int) -> str:
    stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()[0]


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid, _ in supervisor_child.parents():
        with contextlib.suppress(OSError):
            if wanted in Path("/proc", str(pid), "environ").read_bytes().split(b"\0") and _state(pid) != "Z":
                found.append(pid)
    return found
