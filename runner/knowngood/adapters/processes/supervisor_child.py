"""The supervisor's own process: runs one command and leaves nothing behind.

Started by `adapters.processes.supervisor` in a session of its own, standard library only:
`python -I -S supervisor_child.py '<json>' -- argv...`. It is a child subreaper.
When the command ends, when the pipe from the runner closes (cancel, deadline, SIGKILL of the runner) or when
it is told to end, it ends and reaps every descendant, also those that made sessions of their own and were
re-parented to it. Linux only: it walks /proc.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05
ENDED_BY_US = 143
"""The exit code when the tree was ended because the pipe closed (128 + SIGTERM, as a shell would say)."""


def prctl(option: int, value: int) -> None:
    """Call prctl(2); OSError where it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def parents() -> Iterator[tuple[int, int]]:
    """All processes as (pid, parent pid)."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 (called in a loop while processes come and go)
        if entry.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
                yield int(entry), int(stat.rpartition(")")[2].split()[1])


def descendants(root: int) -> list[int]:
    """Every process below `root`, deepest last."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def reap(command: int) -> int | None:
    """Reap every child that ended; the command's exit code if it was among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
    return code


def end_tree(command: int, grace: float) -> int | None:
    """TERM, after `grace` seconds KILL every descendant until none is left; the command's exit code if seen.

    As a subreaper we inherit every orphan, so a process that forks while we look is found in the next round.
    """
    code = None
    kill_at = time.monotonic() + grace
    told: set[int] = set()
    while True:
        ended = reap(command)
        code = ended if ended is not None else code
        living = descendants(os.getpid())
        if not living:
            return code
        kill = time.monotonic() >= kill_at
        for pid in living:
            if kill or pid not in told:
                told.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        time.sleep(POLL_SECONDS)


def start(argv: list[str], cwd: str) -> int:
    """Fork and exec the command; it dies with us even if we are killed. Returns its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(ENDED_BY_US)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(cwd)
        os.execvp(argv[0], argv)  # noqa: S606 (the runner's own argv)
    except OSError as error:
        print(f"can't run {argv[0]}: {error}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(127)


def supervise(argv: list[str], cwd: str, pipe: int, grace: float) -> int:
    """Run the command until it ends or the pipe closes; returns the exit code to leave with."""
    os.set_inheritable(pipe, False)  # noqa: FBT003 (the command must not hold it)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    stop: list[int] = []
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    command = start(argv, cwd)
    code = None
    while code is None and not stop:
        ready, _, _ = select.select([pipe, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if pipe in ready and not os.read(pipe, 4096):
            break
        code = reap(command)
    end_tree(command, grace)
    if code is None:
        return ENDED_BY_US
    return code if code >= 0 else 128 - code


def start_ticks(pid: int) -> str:
    """When a process started, in clock ticks since boot: with the pid it names a process for good."""
    stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()[19]


def main() -> int:
    """Read the settings from argv, leave our pid for `resume`, supervise, take the note away again."""
    settings = json.loads(sys.argv[1])
    argv = sys.argv[3:]
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    note = Path(settings["note"]) if settings["note"] else None
    if note is not None:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        values = {"pid": os.getpid(), "start": start_ticks(os.getpid()), "boot": boot, "argv": argv[:4]}
        fresh = note.with_suffix(".new")
        fresh.write_text(json.dumps(values), encoding="utf-8")
        fresh.replace(note)
    try:
        return supervise(argv, settings["cwd"], settings["pipe"], settings["grace"])
    finally:
        if note is not None:
            note.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
