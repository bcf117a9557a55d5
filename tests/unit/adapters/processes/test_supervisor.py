"""Nothing that a supervised command started outlives it, whoever is killed and how."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from knowngood.adapters.processes import supervisor
from knowngood.adapters.processes.supervisor_child import parents, start_ticks
from knowngood.model.errors import DeadlineExceeded, Interrupted
from knowngood.ports.cancel import Cancel

# A command with a child in a session of its own and one that ignores TERM, as Ansible's workers do.
STUBBORN = """
import os, signal, subprocess, sys, time
subprocess.Popen([sys.executable, "-S", "-c", "import os, time; os.setsid(); os.fork(); time.sleep(600)"])
subprocess.Popen([sys.executable, "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(600)"])
time.sleep(float(sys.argv[1]))
sys.exit(7)
"""

RUNNER = """
import os, sys
from pathlib import Path
from knowngood.adapters.processes import supervisor
from knowngood.ports.cancel import Cancel
supervisor.run([sys.executable, "-S", "-c", sys.argv[1], "600"], cwd=Path("/"), env=dict(os.environ),
    deadline=600, cancel=Cancel(), on_line=lambda line: print(line, flush=True), folder=Path(sys.argv[2]))
"""


def marked(mark: str) -> list[int]:
    """The processes that carry `mark` in their environment."""
    found = []
    for pid, _ in parents():
        try:
            if mark.encode() in Path("/proc", str(pid), "environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 0.2)


@pytest.fixture(name="env")
def _env(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "KNOWNGOOD_TEST": str(tmp_path)}


def python(code: str, *argv: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *argv]


def test_the_exit_code_the_lines_and_the_last_words_come_back(tmp_path: Path, env: dict[str, str]) -> None:
    code = "import sys; print('one'); print('two', end=''); print('alas', file=sys.stderr); sys.exit(3)"
    lines: list[str] = []
    done = supervisor.run(
        python(code),
        cwd=tmp_path,
        env=env,
        deadline=20,
        cancel=Cancel(),
        on_line=lines.append,
        folder=tmp_path,
    )
    assert (done.code, done.timed_out, done.cancelled) == (3, False, False)
    assert lines == ["one", "two"]
    assert done.tail == ("alas",)
    assert list((tmp_path / "supervisors").iterdir()) == []


def test_a_command_killed_by_a_signal_ends_as_a_shell_would_say(tmp_path: Path, env: dict[str, str]) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert supervisor.run(python(code), cwd=tmp_path, env=env, deadline=20, cancel=Cancel()).code == 137


def test_a_missing_command_is_an_exit_code_not_a_crash(tmp_path: Path, env: dict[str, str]) -> None:
    done = supervisor.run(["/no/such/command"], cwd=tmp_path, env=env, deadline=20, cancel=Cancel())
    assert done.code == 127
    assert "/no/such/command" in done.tail[-1]


def test_standard_input_is_handed_over(tmp_path: Path, env: dict[str, str]) -> None:
    lines: list[str] = []
    code = "import sys; print(sys.stdin.read().upper())"
    supervisor.run(
        python(code),
        cwd=tmp_path,
        env=env,
        deadline=20,
        cancel=Cancel(),
        on_line=lines.append,
        stdin=b"hello",
    )
    assert lines == ["HELLO"]


def test_a_command_that_closes_its_output_is_still_bounded(tmp_path: Path, env: dict[str, str]) -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(600)"
    done = supervisor.run(python(code), cwd=tmp_path, env=env, deadline=0.5, cancel=Cancel())
    assert done.timed_out


def test_what_a_finished_command_left_running_is_ended(tmp_path: Path, env: dict[str, str]) -> None:
    done = supervisor.run(python(STUBBORN, "0.3"), cwd=tmp_path, env=env, deadline=20, cancel=Cancel())
    assert done.code == 7
    assert marked(str(tmp_path)) == []


def test_the_deadline_ends_the_whole_tree(tmp_path: Path, env: dict[str, str]) -> None:
    done = supervisor.run(python(STUBBORN, "600"), cwd=tmp_path, env=env, deadline=0.5, cancel=Cancel())
    assert done.timed_out
    assert not done.cancelled
    assert marked(str(tmp_path)) == []


def test_a_cancel_ends_the_whole_tree(tmp_path: Path, env: dict[str, str]) -> None:
    cancel = Cancel()
    done = supervisor.run(
        python(STUBBORN, "600"),
        cwd=tmp_path,
        env=env,
        deadline=60,
        cancel=cancel,
        on_line=lambda _: cancel.set("enough"),
    )
    assert done.cancelled
    assert marked(str(tmp_path)) == []


def test_an_exception_of_the_listener_ends_the_whole_tree(tmp_path: Path, env: dict[str, str]) -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="deaf"):
        supervisor.run(
            python(STUBBORN, "600"), cwd=tmp_path, env=env, deadline=60, cancel=Cancel(), on_line=fail
        )
    assert marked(str(tmp_path)) == []


def killed_runner(tmp_path: Path, env: dict[str, str]) -> None:
    """Start a runner with a stubborn command, and SIGKILL it once the whole tree is up."""
    env = {**env, "PYTHONPATH": str(Path(supervisor.__file__).parents[3])}
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, STUBBORN, str(tmp_path)], env=env, stdout=subprocess.PIPE
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"deaf\n"
    assert until(lambda: len(marked(str(tmp_path))) >= 6)
    runner.kill()
    runner.wait()
    runner.stdout.close()


def test_after_sigkill_of_the_runner_no_descendant_is_alive(tmp_path: Path, env: dict[str, str]) -> None:
    killed_runner(tmp_path, env)
    supervisor.wait_gone(tmp_path, 15, Cancel())  # on a slow machine it is gone before we look
    # The supervisor takes its note away as the last thing it does; the interpreter's own end comes after that.
    assert until(lambda: marked(str(tmp_path)) == [])
    assert supervisor.wait_gone(tmp_path, 1, Cancel()) == 0


def test_orphans_of_a_killed_supervisor_are_ended_before_resume(tmp_path: Path, env: dict[str, str]) -> None:
    """Somebody's SIGKILL of runner and supervisor: the mark in the environment still finds the rest."""
    env = {**env, "PYTHONPATH": str(Path(supervisor.__file__).parents[3])}
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, STUBBORN, str(tmp_path)], env=env, stdout=subprocess.PIPE
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"deaf\n"
    assert until(lambda: len(marked(str(tmp_path))) >= 6)
    (note,) = (tmp_path / "supervisors").glob("*.json")
    os.kill(json.loads(note.read_text())["pid"], signal.SIGKILL)
    runner.kill()
    runner.wait()
    runner.stdout.close()
    assert marked(str(tmp_path)) != []
    supervisor.wait_gone(tmp_path, 15, Cancel())
    assert marked(str(tmp_path)) == []


def test_orphans_of_a_killed_supervisor_do_not_outlive_the_call(tmp_path: Path, env: dict[str, str]) -> None:
    """They hold its output open: neither the deadline nor a cancel was looked at once the supervisor was gone."""
    killed: list[int] = []

    def kill(_line: str) -> None:
        (note,) = (tmp_path / "run" / "supervisors").glob("*.json")
        killed.append(int(json.loads(note.read_text())["pid"]))
        os.kill(killed[0], signal.SIGKILL)

    (tmp_path / "run").mkdir()
    done = supervisor.run(
        python(STUBBORN, "600"),
        cwd=tmp_path,
        env=env,
        deadline=60,
        cancel=Cancel(),
        on_line=kill,
        folder=tmp_path / "run",
    )
    assert (done.pid, done.code) == (killed[0], -signal.SIGKILL)
    assert marked(str(tmp_path)) == []


def noted(tmp_path: Path, pid: int, start: str) -> Path:
    notes = tmp_path / "supervisors"
    notes.mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = notes / "one.json"
    note.write_text(json.dumps({"pid": pid, "start": start, "boot": boot}))
    return note


def test_a_living_supervisor_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    noted(tmp_path, os.getpid(), start_ticks(os.getpid()))
    with pytest.raises(DeadlineExceeded, match=str(os.getpid())):
        supervisor.wait_gone(tmp_path, 0.2, Cancel())


def test_waiting_for_a_supervisor_can_be_cancelled(tmp_path: Path) -> None:
    noted(tmp_path, os.getpid(), start_ticks(os.getpid()))
    cancel = Cancel()
    cancel.set("enough")
    with pytest.raises(Interrupted):
        supervisor.wait_gone(tmp_path, 60, cancel)


def test_a_reused_pid_is_not_taken_for_the_supervisor(tmp_path: Path) -> None:
    note = noted(tmp_path, os.getpid(), "1")
    assert supervisor.wait_gone(tmp_path, 1, Cancel()) == 1
    assert not note.exists()
