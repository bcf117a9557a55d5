"""One payload, one process, one deadline: whatever becomes of one, the others run and their answers are printed.

A payload that hangs, aborts or takes all the memory loses its own answer only, and what stands in its place says what
became of it. All of that is `could not be measured`: a crash may be the node's fault, the image's or another pod's.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from knowngood.probe import memory
from knowngood.probe.answer import LONGEST, Answer, checked, unmeasured

ENDED_WITHIN = 5.0
"""Seconds a killed process may take to end. One that waits in the kernel for a device takes for ever."""
LOOK = 0.2  # seconds between two looks at the clock and the memory
MOST_LOGGED = 64 * 1024
"""Bytes of a payload's own talk that go into the container's log: the kubelet rotates it, and the answers with it."""
LAST_LINES, LINE = 3, 160
"""How many lines of its talk go into the reason, and characters of each."""
PIECE = 65536
_PR_SET_CHILD_SUBREAPER = 36
_PROCESSES = Path("/proc")
PACKAGE = Path(__file__).resolve().parents[2]
"""Where the child finds this package, however we were found."""
Log = Callable[[str], None]


def run(command: Sequence[str], name: str, deadline: float, log: Log) -> Answer:
    """Run a payload's process (knowngood.probe.child) to its end or its deadline; its answer, or what became of it.

    The answer's descriptor is added to `command`; `log` takes what the process printed, with the payload's name before.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what it leaves behind becomes ours to end
    kills = memory.kills()
    child, answer, talk = _started(command)
    watched = _Watched(child, answer, talk, name, log)
    try:
        why = watched.follow(time.monotonic() + deadline) and f"it did not end within {deadline:.0f} s"
        why = watched.pressed or why
    finally:
        stuck = _ended(child)
        watched.close()
    found = _answer(watched.said)
    if found is not None and not why and not stuck and child.returncode == 0:
        return checked(found)
    told = (why, stuck) if why else (stuck or _end_of(child.returncode, killed=memory.kills() > kills),)
    return unmeasured("", "; ".join(filter(None, [*told, memory.full(), watched.last_words()])))


def _started(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], int, int]:
    """The process, and the pipes on which it answers and talks."""
    answer, answers_to = os.pipe()
    talk, talks_to = os.pipe()
    try:
        child = subprocess.Popen(
            [*command, str(answers_to)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(PACKAGE), *_path()]),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=talks_to,
            stderr=talks_to,
            pass_fds=(answers_to,),
            start_new_session=True,
        )
    finally:
        os.close(answers_to)
        os.close(talks_to)
    return child, answer, talk


class _Watched:
    """What a payload's process says while it runs."""

    def __init__(self, child: subprocess.Popen[bytes], answer: int, talk: int, name: str, log: Log) -> None:
        self.said = b""
        self.pressed = ""
        self._child = child
        self._pipes = (answer, talk)
        self._name = name
        self._log = log
        self._logged = 0
        self._rest = b""
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._select = selectors.DefaultSelector()
        self._select.register(answer, selectors.EVENT_READ, self._answer)
        self._select.register(talk, selectors.EVENT_READ, self._line)

    def follow(self, until: float) -> bool:
        """Read until the process has ended; True where it did not by `until`, or has no memory left (`pressed`)."""
        while self._child.poll() is None:
            if time.monotonic() > until:
                return True
            if pressing := memory.pressing():
                self.pressed = f"it ran out of memory: {pressing}"
                return True
            self._read(min(LOOK, max(until - time.monotonic(), 0.0)))
        return False

    def close(self) -> None:
        """Read what is left, without waiting for anybody who still holds the pipes, and let go."""
        for _ in range(MOST_LOGGED // PIECE + LONGEST // PIECE + 2):
            if not self._read(0.0):
                break
        if self._rest:
            self._line(b"\n")
        self._select.close()
        for pipe in self._pipes:
            os.close(pipe)

    def last_words(self) -> str:
        """The end of what it printed."""
        return "it said: " + " / ".join(self._last) if self._last else ""

    def _read(self, patience: float) -> bool:
        """Take what is there; False where nothing was."""
        if not self._select.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
            return False
        ready = self._select.select(patience)
        for key, _ in ready:
            piece = os.read(key.fd, PIECE)
            if not piece:
                self._select.unregister(key.fd)
            else:
                key.data(piece)
        return bool(ready)

    def _answer(self, piece: bytes) -> None:
        if len(self.said) <= LONGEST:
            self.said += piece

    def _line(self, piece: bytes) -> None:
        *whole, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-PIECE:]
        for line in whole:
            text = line.decode("utf-8", "replace").strip()
            if text:
                self._last.append(text[:LINE])
            self._logged += len(line) + 1
            if text and self._logged < MOST_LOGGED:
                self._log(f"{self._name}| {text}")


def _path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []


def _answer(said: bytes) -> object:
    """The answer, None where there is none: the last thing that a process does is to end its line."""
    if not said.endswith(b"\n"):
        return None
    try:
        return json.loads(said)
    except ValueError:
        return None


def _end_of(code: int, *, killed: bool) -> str:
    """Why a process ended that gave no answer."""
    if killed:
        return "it was killed by the kernel: out of memory"
    if code >= 0:
        return f"it ended with exit code {code} and no answer"
    with contextlib.suppress(ValueError):
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it was killed by signal {-code}"


def _ended(child: subprocess.Popen[bytes]) -> str:
    """End the process, and whatever it started; that it does not end in words, or ""."""
    until = time.monotonic() + ENDED_WITHIN
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        over = child.poll() is not None
        left = [pid for pid in _children() if pid != child.pid or not over]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            if pid != child.pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        if over and not left:
            return ""
        if time.monotonic() > until:
            return f"a process of it does not end within {ENDED_WITHIN:.0f} s of a KILL: the kernel holds it"
        time.sleep(0.02)


def _children() -> Iterator[int]:
    """Our children, those we took over from a process that ended among them."""
    for entry in _PROCESSES.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # After the command's name, which may hold anything: state, then the parent. proc_pid_stat(5)
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                    yield int(entry.name)
