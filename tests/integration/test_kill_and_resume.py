"""SIGKILL with real Ansible, pytest and Git: nothing lives on, and `resume` ends as an undisturbed run does."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.integration.play import Ended, Play, awaited, staged

OLD, NEW = "580.173.02", "595.91.07"
CANARY, LATER = "lab-gpu-1", "lab-gpu-2"


def alive() -> dict[int, int]:
    """All processes: pid -> parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.name)] = int(parent)
    return found


def descendants(pid: int) -> set[int]:
    """A process's children, their children and so on."""
    parents, found, more = alive(), set[int](), {pid}
    while more:
        found |= more
        more = {p for p, parent in parents.items() if parent in more} - found
    return found - {pid}


@pytest.mark.parametrize(
    "verb",
    [
        pytest.param("declare", marks=pytest.mark.exhaustive),
        pytest.param("drain", marks=pytest.mark.slow),
        pytest.param("judge", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_leaves_nothing_alive_and_resume_ends_it(verb: str, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small") as play:
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes") as runner:
            awaited(lambda: play.intended(verb), f"intent of {verb}")
            # A playbook or pytest has a tree of its own; a declaration is git, over in an instant.
            family = awaited(lambda: descendants(runner.pid), "a child") if verb != "declare" else set()
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
        with play.running("resume", play.run_id(), "--output", "json") as resumed:
            awaited(
                lambda: any(r["type"] == "resumed" for r in play.records()), "the resumed run's first record"
            )
            assert not family & alive().keys(), "a process of the killed run is alive while resume acts"
            out, err = resumed.communicate(timeout=200)
        assert resumed.returncode == 0, err
        assert json.loads(out)["end"] == "done"
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}
        assert len([c for c in play.commits() if "ring-" in c]) == 2, "no commit is made twice"


@pytest.mark.slow
def test_a_run_goes_on_only_by_the_files_it_began_with(tmp_path: Path) -> None:
    """Refused with the change's name and nothing written; taken back by what the files said at the start."""
    with staged(tmp_path / "stage", "lab-small") as play:
        before = play.snapshot("before")
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes") as runner:
            awaited(lambda: play.intended("drain"), "the canary's drain")
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
        written, changes = play.records(), play.writes()
        for place, was, becomes, says in (
            (
                "profiles/xe7740-h200nvl",
                "maxSameXid: 0\n",
                "maxSameXid: 9\n",
                "gates.gpu_errors.maxSameXid is 9, was 0",
            ),
            ("clusters/lab-small", "soakSeconds: 1\n", "soakSeconds: 2\n", "limits.soakSeconds is 2, was 1"),
        ):
            file = play.stage.matrix / f"{place}.yaml"
            assert was in file.read_text()
            file.write_text(file.read_text().replace(was, becomes))
            refused = play.knowngood("resume", play.run_id())
            assert refused.code == 2, refused.stderr
            assert f"{place}.yaml: changed since run" in refused.stderr
            assert says in refused.stderr
            assert (play.records(), play.writes()) == (written, changes), "nothing is written"
        back = play.knowngood("rollback", play.run_id(), "--yes", "--output", "json")
        assert back.code == 6, back.stderr
        assert play.differences(before) == ""


@pytest.mark.slow  # on fakes in make test
def test_of_two_runners_one_wins_and_the_other_has_written_nothing(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small") as play:
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes") as winner:
            awaited(lambda: play.intended("declare"), "the winner's first commit")
            elsewhere = str(play.stage.folder / "elsewhere")
            loser = play.knowngood("--runs-dir", elsewhere, "upgrade", "lab-small", "--to", "r595", "--yes")
            assert loser.code == 4, loser.stderr
            assert play.run_id() in loser.stderr, "it says who holds the cluster"
            assert not list(Path(elsewhere).glob("*/journal.jsonl")) or not any(
                path.read_text() for path in Path(elsewhere).glob("*/journal.jsonl")
            )
            _, err = winner.communicate(timeout=200)
        assert winner.returncode == 0, err
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}


@pytest.mark.slow
def test_a_runner_that_wakes_up_late_finds_its_run_taken_over_and_stops(tmp_path: Path) -> None:
    """A laptop sleeps; a colleague takes the run over from the checkpoint; the laptop wakes up."""
    with staged(tmp_path / "stage", "lab-small", limits={"leaseSeconds": 6, "soakSeconds": 3}) as play:
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes") as sleeper:
            awaited(lambda: play.intended("soak"), "the canary's soak")
            sleeper.send_signal(signal.SIGSTOP)
            colleague = play.knowngood(
                "--runs-dir",
                str(play.stage.folder / "elsewhere"),
                "resume",
                play.run_id(),
                "--output",
                "json",
            )
            assert colleague.code == 0, colleague.stderr
            written = len(play.records())
            commits = play.commits()
            sleeper.send_signal(signal.SIGCONT)
            _, err = sleeper.communicate(timeout=60)
        assert sleeper.returncode in (4, 130), err
        assert play.commits() == commits, "it pushed something"
        assert all(r["type"] in ("outcome", "interrupted") for r in play.records()[written:])
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}


@pytest.mark.slow
def test_an_outage_longer_than_the_lease_interrupts_and_resume_ends_it(tmp_path: Path) -> None:
    """A runner that can't renew its Lease stops before the Lease can expire; nothing is lost."""
    with staged(tmp_path / "stage", "lab-small", limits={"leaseSeconds": 6}) as play:
        play.stage.fault("api-outage", "", {"when": "on-commit", "seconds": "20"})
        ended = play.upgrade("r595")
        assert ended.code == 130, ended.stderr
        assert "resume" in ended.stderr, "it says what to type next"
        assert play.records()[-1]["type"] == "interrupted"
        resumed = awaited(lambda: answered(play), "the API server")
        assert resumed.code == 0, resumed.stderr
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}


def answered(play: Play) -> Ended | None:
    """The end of `resume`, None while the API server is still away."""
    ended = play.knowngood("resume", play.run_id(), "--output", "json")
    return None if ended.code in (3, 130) else ended
