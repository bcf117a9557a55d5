"""A payload that hangs, aborts or eats the memory loses its own answer only, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe import memory
from knowngood.probe.answer import bad, checked

RUNNER = Path(__file__).parents[3] / "runner"
# The watching process: it runs the given script as a payload's process, and prints what it was told.
WATCH = """
import json, sys
from knowngood.probe import isolation
command = [sys.executable, "-c", sys.argv[1]]
print(json.dumps(isolation.run(command, "x", float(sys.argv[2]), lambda line: print(line, file=sys.stderr))))
"""
ANSWER = "import os, sys; os.write(int(sys.argv[-1]), b'%s\\n');"
GOOD = ANSWER % '{"ok": true, "backend": "", "reason": "", "measured": {}}'
CHILD = """
import sys
from pathlib import Path
from knowngood.probe import child
from knowngood.probe.host import Host
def payload(host, params):
    {body}
child.run(payload, Host(Path("/nowhere")), {{}}, int(sys.argv[-1]), 5.0)
"""


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(RUNNER), "PATH": os.environ["PATH"]}


def watched(script: str, deadline: float = 5.0) -> tuple[dict[str, Any], str]:
    """The answer for a payload whose process runs the script, and what was logged."""
    command = [sys.executable, "-S", "-c", WATCH, script, str(deadline)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


def test_a_payload_that_answers_is_believed() -> None:
    assert watched(GOOD)[0]["ok"] is True


LOST = {
    "an abort": (
        "import os; print('NCCL WARN no'); os.abort()",
        "it was killed by SIGABRT; it said: NCCL WARN no",
    ),
    "a kill": ("import os; os.kill(os.getpid(), 9)", "it was killed by SIGKILL"),
    "an exit": ("raise SystemExit(7)", "it ended with exit code 7 and no answer"),
    "half an answer": (
        "import os, sys; os.write(int(sys.argv[-1]), b'{\"ok\": true')",
        "exit code 0 and no answer",
    ),
    "another answer": (ANSWER % "[]", "the payload gave no answer but"),
    "an abort after the answer": (GOOD + "os.abort()", "it was killed by SIGABRT"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_payload_that_ends_without_an_answer_says_what_became_of_it(case: str) -> None:
    script, words = LOST[case]
    found, _ = watched(script)
    assert found["ok"] is None
    assert words in found["reason"]


def test_a_payload_that_hangs_is_ended_at_its_deadline_with_all_that_it_started() -> None:
    """Also what left its session, and what ignores TERM."""
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
        "print('started', p.pid, flush=True); time.sleep(60)"
    )
    started = time.monotonic()
    found, log = watched(script, deadline=1.0)
    assert time.monotonic() - started < 20
    assert found["ok"] is None
    assert found["reason"].startswith("it did not end within 1 s; ")
    pid = int(log.split()[-1])
    assert not Path(f"/proc/{pid}").exists()


def test_a_payload_that_left_a_process_behind_has_answered_all_the_same() -> None:
    """The pipes are still held then, and nobody waits for them."""
    script = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print('started', p.pid, flush=True);"
        + GOOD
    )
    started = time.monotonic()
    found, log = watched(script, deadline=30.0)
    assert found["ok"] is True
    assert time.monotonic() - started < 20
    assert not Path(f"/proc/{int(log.split()[-1])}").exists()


def test_an_answer_of_a_payload_that_does_not_end_is_none() -> None:
    """A process that the kernel holds for a device takes no KILL: what it said before is not the whole story."""
    held = "import knowngood.probe.isolation as i; i._ended = lambda child: (child.wait(), 'the kernel holds it')[1]"
    command = [sys.executable, "-S", "-c", f"{held}\n{WATCH}", GOOD, "5"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert (found["ok"], found["reason"]) == (None, "the kernel holds it")


def test_a_flood_of_words_neither_fills_the_log_nor_stops_the_payload() -> None:
    found, log = watched("import sys; [print('y' * 99) for _ in range(20000)];" + GOOD)
    assert found["ok"] is True
    assert 10_000 < len(log) < 100_000


def test_an_answer_without_end_is_none() -> None:
    script = "import os, sys\nfor _ in range(40): os.write(int(sys.argv[-1]), b'1' * 65536)"
    assert watched(script)[0]["ok"] is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('CUDA error 802')", "the payload broke: RuntimeError: CUDA error 802"),
        ("raise MemoryError", "out of memory"),
        ("return 5", "gave no answer but"),
        ("return {'ok': 1, 'measured': {}}", "has no figures"),
        ("return {'ok': True, 'measured': {'x': object()}}", "can't be written"),
    ],
)
def test_what_breaks_inside_is_told(body: str, words: str) -> None:
    found, _ = watched(CHILD.format(body=body))
    assert found["ok"] is None
    assert words in found["reason"]


def test_a_hanging_payload_says_where() -> None:
    body = "import time; time.sleep(60)"
    found, log = watched(CHILD.format(body=body).replace("5.0)", "1.0)"), deadline=1.5)
    assert found["ok"] is None
    assert 'x| File "<string>", line 7 in payload' in log


def test_a_figure_that_is_no_number_is_told_by_name() -> None:
    told = checked(bad("cuda", "NaN", {"lastLoss": float("nan"), "all": [float("-inf"), 1.0]}))
    assert told["measured"] == {"lastLoss": "nan", "all": ["-inf", 1.0]}


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1048576000\n")
    (tmp_path / "memory.stat").write_text("anon 940000000\nfile 500000000\nshmem 100000000\n")
    (tmp_path / "memory.events").write_text("oom 3\noom_kill 2\n")
    return tmp_path


def test_a_container_that_is_all_but_full_ends_its_payload_before_the_kernel_ends_all(cgroup: Path) -> None:
    assert memory.pressing() == "991 of the container's 1000 MiB are used"
    assert memory.kills() == 2
    (cgroup / "memory.stat").write_text(
        "anon 940000000\nfile 100000000\nshmem 0\n"
    )  # the kernel takes that back
    assert memory.pressing() == ""
    (cgroup / "memory.stat").write_text("anon 2000000000\n")
    assert memory.pressing()
    (cgroup / "memory.max").write_text("max\n")
    assert memory.pressing() == ""


def test_a_payload_has_a_session_of_its_own() -> None:
    """What it does to its process group is not done to us."""
    found, _ = watched(f"import os\nif os.getsid(0) == os.getpgid(0) == os.getpid(): {GOOD}")
    assert found["ok"] is True, found["reason"]


def test_where_nothing_can_be_written_there_is_no_temporary_folder_to_be_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.gettempdir", none)
    monkeypatch.setattr(memory, "SHM", "/nowhere/shm")
    assert memory.full() == ""


def test_a_full_shm_is_told_beside_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs("/")
    values = list(real)
    values[1], values[2], values[3], values[4] = 4096, 16384, 0, 0  # frsize, blocks, bfree, bavail
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))
    assert f"{memory.SHM} is full (64 MiB)" in memory.full()


def test_a_probe_that_is_told_to_end_takes_its_payload_along(tmp_path: Path) -> None:
    (tmp_path / "pid").touch()
    script = CHILD.format(
        body=f"import os, time; Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    command = [sys.executable, "-S", "-c", WATCH, script, "60"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 20
        while not (pid := (tmp_path / "pid").read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)  # not even a chance to say so
        process.wait()
        while _runs(int(pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("share", "pressed"), [(0.97, False), (0.9701, True)])
def test_a_payload_may_use_97_hundredths_of_its_memory(cgroup: Path, share: float, pressed: bool) -> None:
    (cgroup / "memory.stat").write_text(f"anon {int(share * 1048576000)}\nsock x\nof more words\n\n")
    assert bool(memory.pressing()) is pressed


def test_a_folder_with_a_hundredth_of_it_free_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(os.statvfs("/"))
    values[1], values[2] = 4096, 1000  # frsize, blocks
    for free, full in ((10, False), (9, True)):
        values[3] = values[4] = free
        monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))
        assert bool(memory.full()) is full, free


def test_where_a_cgroup_tells_nothing_nobody_was_killed_and_nothing_presses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert (memory.kills(), memory.pressing()) == (0, "")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("shmem 2000\n")
    assert memory.pressing() == "", "a list without what a process has is none"
