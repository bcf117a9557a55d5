"""Signals, options, faults on the command line, baselines, a new repository, the twin's hand-over."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood
from tests.unit.report.played import calm, undone

from knowngood.cli import gate_author, gate_work
from knowngood.cli.commands.rehearse import FAULTS, advice, parsed
from knowngood.cli.options import Settings
from knowngood.cli.signals import STOPPING, stopped_by_signals
from knowngood.cli.terminal import program
from knowngood.cli.wiring import Audience
from knowngood.model.errors import UsageError
from knowngood.model.progress import Progress
from knowngood.model.record import Record, RecordType
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer
from knowngood.report.console import PlainLines
from knowngood.twin.faults import KINDS


@pytest.mark.parametrize("number", STOPPING)
def test_each_stopping_signal_sets_cancel_and_names_itself(number: signal.Signals) -> None:
    cancel, before = Cancel(), signal.getsignal(number)
    with stopped_by_signals(cancel):
        os.kill(os.getpid(), number)
        assert cancel.wait(5)
    assert cancel.reason == number.name
    assert signal.getsignal(number) == before


class Gone(Observer):
    """A terminal that is not there any more."""

    def record(self, record: Record) -> None:
        raise OSError(errno.EIO, "gone")

    def progress(self, progress: Progress) -> None:
        raise OSError(errno.EIO, "gone")


def test_a_terminal_that_is_gone_never_disturbs_a_run() -> None:
    lines = StringIO()
    audience = Audience([Gone(), PlainLines(lines)])
    audience.record(Record(0, RecordType.INTENT, "2026-08-22T03:00:00.000Z", "observe"))
    audience.progress(Progress("observe", "observe", "gpu-1", "read"))
    assert "measure every node" in lines.getvalue()
    assert "gpu-1: read" in lines.getvalue()


def test_the_exit_code_counts_also_where_nobody_reads_the_result() -> None:
    """`knowngood upgrade | true` must not turn a restored run into a success."""
    script = (
        "import sys; from tests.unit.report.played import undone; from knowngood.cli.play import show; "
        "sys.exit(show(undone().summary, 'json'))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, str(Path(root, "runner"))])}
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, env=environment, check=False, timeout=60
    )
    os.close(writer)
    assert done.returncode == 6


def test_runs_live_in_the_state_folder_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Settings().runs == tmp_path / "knowngood" / "runs"
    assert Settings(runs_dir=Path("x")).runs == Path("x")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert Settings().runs == Path.home() / ".local" / "state" / "knowngood" / "runs"


def test_a_fault_is_a_name_and_a_node() -> None:
    assert parsed("xid-79=gpu-1") == ("xid-79", "gpu-1")
    assert parsed("argo-sync-fails=") == ("argo-sync-fails", "")
    for wrong in ("xid-79", "=gpu-1"):
        with pytest.raises(UsageError, match="NAME=NODE"):
            parsed(wrong)


def test_gates_are_listed_with_what_they_prove() -> None:
    rows = json.loads(knowngood("gate", "--list", "-o", "json").out)["gates"]
    assert {"gpu_errors", "drift", "rdma_health", "smoke_training", "smoke_inference"} <= {
        r["gate"] for r in rows
    }
    assert all(r["proves"].endswith(".") for r in rows)
    assert [r["gate"] for r in rows if not (r["needs"] and r["fail"] and r["inconclusive"])] == []
    text = knowngood("gate", "--list").out
    assert "driver_health (passive): The driver itself finds nothing wrong" in text
    assert "registry (in no profile): " in text


def test_a_new_gate_is_told_before_it_is_written(tmp_path: Path) -> None:
    said = knowngood("gate", "new", "storage_mounts", "--out", tmp_path, "--dry-run")
    assert (said.code, "nothing was written: would write " in said.err) == (0, True), said.err
    assert f"{tmp_path / 'gates' / 'storage_mounts.py'} and {tmp_path / 'tests'}" in said.err
    assert [*tmp_path.iterdir()] == []
    assert knowngood("gate", "ams-prod", "--dry-run").code == 2, "judging has none"


def test_a_new_gate_comes_with_a_test_that_passes_and_takes_no_place(tmp_path: Path) -> None:
    said = knowngood("gate", "new", "storage_mounts", "--out", tmp_path)
    assert said.code == 0
    test = tmp_path / "tests" / "test_storage_mounts.py"
    assert str(test) in said.out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", str(test)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    clean = subprocess.run(
        ["ruff", "check", "--isolated", "--select", "F", str(tmp_path)], capture_output=True, check=False
    )
    assert clean.returncode == 0, clean.stdout
    assert gate_author.told(tmp_path / "gates" / "storage_mounts.py")["inconclusive"]
    for wrong in (["storage_mounts"], ["../up"], ["Upper"], []):
        assert knowngood("gate", "new", *wrong, "--out", tmp_path).code == 2
    assert knowngood("gate", "ams-prod", "one-too-many").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ams-prod", "--baseline", "--since"],
        ["ams-prod", "--node", "cp-1"],
        ["nowhere"],
    ],
)
def test_a_gate_call_that_makes_no_sense_is_exit_2(arguments: list[str]) -> None:
    assert knowngood("gate", *arguments).code == 2


def test_a_baseline_of_another_cluster_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"schema": 1, "cluster": "lab", "windows": {}, "figures": {}}))
    assert gate_work.read(file, "lab")["figures"] == {}
    for cluster, content in (("ams-prod", file.read_text()), ("lab", "{"), ("lab", "[]")):
        file.write_text(content)
        with pytest.raises(UsageError, match="baseline"):
            gate_work.read(file, cluster)


def test_the_twin_becomes_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _, words, __: called.append(words))
    knowngood("twin", "up", "--seed", "s.json", "--time-scale", "60")
    assert called[0][1:] == ["-m", "knowngood.twin", "up", "--seed", "s.json", "--time-scale", "60"]


def test_init_lays_out_gates_and_playbooks(tmp_path: Path) -> None:
    folder = tmp_path / "ops"
    assert knowngood("init", folder).code == 0
    assert (folder / "gates" / "gpu_errors.py").is_file()
    assert (folder / "playbooks" / "drain.yml").is_file()
    assert (next(folder.rglob("galaxy.yml")).parent / "roles" / "drain").is_dir()


def test_init_never_writes_into_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    said = knowngood("init", tmp_path)
    assert said.code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_the_faults_of_rehearse_are_the_twins() -> None:
    assert {kind.name: kind.needs_node for kind in KINDS.values()} == FAULTS


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("xid-31-after-driver=gpu-1", "there is no node 'gpu-1' in lab-small"),
        ("xid-31-after-driver=", "needs a node"),
        ("xid-31=lab-gpu-1", "there is no fault 'xid-31'"),
    ],
)
def test_a_fault_that_can_not_be_is_refused_before_anything_starts(
    fault: str, says: str, tmp_path: Path
) -> None:
    asked = ("rehearse", "lab-small", "--to", "r595", "--fault", fault, "--out", str(tmp_path / "out"))
    done = knowngood(*asked)
    assert done.code == 2
    assert says in done.err
    assert "known: " in done.err
    assert not (tmp_path / "out").exists()


def test_after_a_rehearsal_the_next_steps_work_on_the_users_own_things() -> None:
    summary, folder = calm().summary, Path("rehearsals/x")
    aim = f"{summary.cluster} --to {summary.to_release}"
    assert advice(summary, folder, None)[0] == f"knowngood plan {aim}"
    assert advice(summary, folder, Path("m"))[0] == f"knowngood plan {aim} --matrix m"
    assert not any("upgrade" in step for step in advice(undone().summary, folder, None))


def test_a_release_fits_into_80_columns() -> None:
    text = knowngood("show", "release", "r595").out
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("words", [(), ("RUN",), ("r20260822-031500-7f3a",)])
def test_show_of_nothing_says_how_a_run_is_shown(words: tuple[str, ...]) -> None:
    done = knowngood("show", *words)
    assert done.code == 2
    assert "use: knowngood show run" in done.err


@pytest.mark.parametrize(("on_path", "typed"), [(False, "tools/bin/knowngood"), (True, "knowngood")])
def test_the_demo_names_the_program_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool, typed: str
) -> None:
    """`make demo` runs the one in .venv, which a stranger has not on PATH."""
    own = tmp_path / "tools" / "bin" / "knowngood"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(own), "demo"])
    monkeypatch.setenv("PATH", str(own.parent) if on_path else "/nothing")
    assert program() == typed
