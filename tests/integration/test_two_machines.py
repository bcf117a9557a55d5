"""A run that is hit inside a step on one machine, and taken back on another: nodes, `status` and journals agree."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.integration.play import Play, awaited, staged

CANARY = "lab-gpu-1"


INSIDE = {"claim": ("Node", "patch"), "apply": ("Pod", "delete")}


def inside(play: Play, verb: str) -> bool:
    """Whether a verb has written to the cluster what it is about, and can't have its outcome yet."""
    return any((write["kind"], write["verb"]) == INSIDE[verb] for write in play.writes())


def elsewhere(play: Play, *command: str) -> tuple[str, ...]:
    """A command on a machine that has no folder of the run."""
    return ("--runs-dir", str(play.stage.folder / "elsewhere"), *command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "how"),
    [
        pytest.param("claim", signal.SIGKILL, id="claim-KILL"),
        pytest.param("apply", signal.SIGINT, id="apply-INT", marks=pytest.mark.exhaustive),
    ],
)
def test_hit_inside_a_step_a_run_is_taken_back_elsewhere_and_the_first_machine_hears_of_it(
    verb: str, how: signal.Signals, tmp_path: Path
) -> None:
    """And the way back itself is killed in its middle, and resumed."""
    with staged(tmp_path / "stage", "lab-small", limits={"leaseSeconds": 6}) as play:
        before = play.snapshot("before")
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes") as runner:
            awaited(lambda: inside(play, verb) or runner.poll() is not None, f"a write of {verb}")
            os.kill(runner.pid, how)
            runner.wait()
        run = play.run_id()
        told = play.knowngood(*elsewhere(play, "status", run, "--output", "json"))
        assert told.code == 0, told.stderr
        assert told.result["end"] == ""
        with play.running(*elsewhere(play, "rollback", run, "--yes")) as back:
            undone = play.stage.folder / "elsewhere" / run / "journal.jsonl"
            awaited(
                lambda: (undone.exists() and "/undo/" in undone.read_text()) or back.poll() is not None,
                "the way back",
            )
            os.kill(back.pid, signal.SIGKILL)
            back.wait()
        ended = play.knowngood(*elsewhere(play, "resume", run, "--output", "json"))
        assert ended.code == 6, ended.stderr
        assert play.differences(before) == ""
        written = play.records()
        again = play.knowngood("resume", run, "--output", "json")
        assert again.code == 6, again.stderr
        assert "ended restored elsewhere" in again.stderr
        assert json.loads(again.stdout)["end"] == "restored"
        assert play.records() == written, "and nothing is done or written"
