"""Stopped inside a step: `status` and `handover` agree with the API server, and every way out is a command of ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.integration.play import Ended, Play, awaited, staged

from knowngood.adapters.cluster.reader import marks
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.model import names
from knowngood.model.marks import Marks

CANARY = "lab-gpu-1"
UPGRADE = ("upgrade", "lab-small", "--to", "r595", "--yes")


def on_nodes(play: Play) -> dict[str, Marks]:
    """What the API server says of each node that carries anything of ours, or a cordon."""
    found = marks(Kube(play.stage.kubeconfig))
    return {node: m for node, m in found.items() if m.any or m.cordoned}


def agree(play: Play) -> None:
    """Status and handover name exactly the nodes that the API server names."""
    status = play.knowngood("status", "--output", "json")
    assert status.code == 0, status.stderr
    told = {node for node, time in status.result["nodes"].items() if time["now"] != "in service"}
    assert status.result["asked"] is True, status.stderr
    assert told == set(on_nodes(play)), status.stdout
    page = play.knowngood("handover").stdout
    held = page.split("## What is held")[1].split("## ")[0]
    listed = {line.split()[1].rstrip(":") for line in held.splitlines() if line.startswith("- lab-")}
    assert listed == told, page


def claimed(play: Play) -> bool:
    """In the middle of claim: the node says so already, the journal not yet."""
    return play.intended("claim") and bool(on_nodes(play).get(CANARY, Marks()).claim)


def uncovered(step: str, word: str) -> Callable[[Play], bool]:
    """In the middle of a step whose playbook has begun."""
    return lambda play: play.intended(step) and any(play.stage.runs.glob(f"*/ansible/*-{word}/progress"))


INSIDE = {
    "claim": claimed,
    "drain": uncovered("drain", "drain"),
    "apply": uncovered("apply", "apply"),
    "undo": uncovered("undo/apply", "apply"),
}
WAYS = {"resume": 0, "rollback": 6, "abort": 6}
"""What is typed next, and with which exit code it ends. `status` and `handover` are asked before and after."""
EACH_TIME = {
    ("claim", signal.SIGINT, "rollback"),
    ("drain", signal.SIGKILL, "rollback"),
    ("apply", signal.SIGKILL, "abort"),
    ("undo", signal.SIGKILL, "resume"),
}
"""These are played in each `make test-all`; all of them in `make kills`."""


@dataclass(frozen=True)
class Case:
    """Stopped where, by which signal, and what is typed next."""

    step: str
    by: signal.Signals
    then: str = ""

    @property
    def code(self) -> int:
        """How it ends; an undo that was begun is ended whatever is typed."""
        return 6 if self.step == "undo" else WAYS[self.then]

    def __str__(self) -> str:
        return f"{self.step}, {self.by.name}, {self.then}"


CASES = [
    pytest.param(
        Case(*case),
        id=str(Case(*case)),
        marks=pytest.mark.slow if case in EACH_TIME else pytest.mark.exhaustive,
    )
    for case in product(INSIDE, (signal.SIGINT, signal.SIGKILL), WAYS)
]


@pytest.mark.parametrize("case", CASES)
def test_stopped_inside_a_step_everything_agrees_and_the_way_out_ends_it(case: Case, tmp_path: Path) -> None:
    limits = {"soakSeconds": 60.0, "leaseSeconds": 6.0} if case.step == "undo" else None
    with staged(tmp_path / "stage", "lab-small", limits=limits) as play:
        before = play.snapshot("before")
        stopped(play, case)
        agree(play)
        ended = way_out(play, case.then)
        assert ended.code == case.code, ended.stderr
        agree(play)
        assert not on_nodes(play)
        if case.code == 6:
            assert play.differences(before) == ""


def way_out(play: Play, then: str) -> Ended:
    """What the engineer types. An abort is only asked; whoever goes on heeds it."""
    if then == "abort":
        asked = play.knowngood("abort", play.run_id())
        assert asked.code == 0, asked.stderr
        then = "resume"
    yes = ("--yes",) if then == "rollback" else ()
    return play.knowngood(then, play.run_id(), *yes, "--output", "json")


def stopped(play: Play, case: Case) -> None:
    """Run it until it is inside the step, and stop it there."""
    with play.running(*UPGRADE) as runner:
        if case.step == "undo":
            awaited(lambda: play.intended("soak") or runner.poll() is not None, "the canary's soak")
            assert play.knowngood("abort", play.run_id()).code == 0
        inside = INSIDE[case.step]
        awaited(lambda: inside(play) or runner.poll() is not None, str(case))
        assert runner.poll() is None, "it ended before it was stopped"
        os.kill(runner.pid, case.by)
        runner.communicate(timeout=120)


@pytest.mark.slow
def test_a_claim_removed_by_hand_ends_named_and_is_cleared_by_our_own_command(tmp_path: Path) -> None:
    """No "another run holds the cluster", nothing released unproven, no kubectl."""
    with staged(tmp_path / "stage", "lab-small") as play:
        before = play.snapshot("before")
        stopped(play, Case("drain", signal.SIGKILL))
        annotations: dict[str, Any] = {names.CLAIM_ANNOTATION: None}
        where = path("v1", "nodes", CANARY)
        Kube(play.stage.kubeconfig).merge(where, {"metadata": {"annotations": annotations}})
        agree(play)
        assert "somebody removed its claim" in play.knowngood("status").stdout
        refused = play.knowngood("clear", CANARY, "--yes")
        assert refused.code == 4, refused.stderr
        assert play.run_id() in refused.stderr
        ended = play.knowngood("resume", play.run_id(), "--output", "json")
        assert ended.code == 5, ended.stderr
        assert CANARY in ended.result["blamed"]
        agree(play)
        assert on_nodes(play)[CANARY].quarantine
        cleared = play.knowngood("clear", CANARY, "--yes")
        assert cleared.code == 0, cleared.stderr
        agree(play)
        assert play.differences(before) == ""
