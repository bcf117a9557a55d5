"""A driver that one ClusterPolicy declares for all nodes: what goes wrong in the fleet part, the canary, the last ring.

Real twin with OLM, kustomize overlays, Git, Ansible, pytest; one run a row on `fra-prod`. The oracle judges every node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.play import explained, staged

OLD, NEW, TO = "580.105.08", "580.126.16", "h200-4.18-r580"
CANARY, LATER, LAST = "fra-gpu-1", "fra-gpu-2", "fra-gpu-3"
QUICK = {
    "applySeconds": 40,
    "operandAgeSeconds": 12,
    "nodeUnreachableSeconds": 12,
    "drainSeconds": 20,
    "deliverSeconds": 20,
    "settleSeconds": 20,
    "undoSeconds": 15,
}
RELEASE = {"version": NEW}


@dataclass(frozen=True)
class Row:
    """A fault, where it strikes, what must catch it, and which nodes load another driver before all is as it was."""

    fault: str
    node: str
    caught_by: str
    moved: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def id(self) -> str:
        return f"{self.fault}{f' ({self.note})' if self.note else ''}"


TABLE = [
    Row("leaked-node", LAST, "before its turn", (LAST,), note="before the canary's turn"),
    Row("validator-missing", CANARY, "nvidia-operator-validator", (CANARY,), RELEASE, "in the canary"),
    Row(
        "validator-missing",
        LAST,
        "nvidia-operator-validator",
        (CANARY, LATER, LAST),
        RELEASE,
        "in the last ring",
    ),
    Row("operator-default-driver", "", "580.95.05", (), RELEASE),
]


LONG = ("validator-missing (in the canary)", "operator-default-driver")
"""Rows that `make kills` runs: others go the same way."""


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.id, marks=pytest.mark.exhaustive if row.id in LONG else pytest.mark.slow)
        for row in TABLE
    ],
)
def test_what_goes_wrong_anywhere_is_taken_back_everywhere(row: Row, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "fra-prod", limits=QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        ended = play.upgrade(TO)
        assert ended.code == 6, explained(ended)
        summary = ended.result
        assert summary["end"] == "restored", explained(ended)
        assert row.caught_by in summary["why"] + str(summary["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        play.stage.clear_faults()
        assert play.differences(before) == ""
        drivers = play.drivers()
        assert {node for node, versions in drivers.items() if len(versions) > 1} == set(row.moved)
        assert {versions[-1] for versions in drivers.values()} == {OLD}


@pytest.mark.slow
def test_an_image_that_is_not_there_interrupts_the_run_and_a_rollback_restores_it(tmp_path: Path) -> None:
    """Fault os-tag-of-one-node: nobody pulled it, which says nothing of the release."""
    with staged(tmp_path / "stage", "fra-prod", limits=QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault("os-tag-of-one-node", "", RELEASE)
        ended = play.upgrade(TO)
        assert ended.code == 130, explained(ended)
        assert "ImagePullBackOff" in ended.stderr
        assert play.hits("os-tag-of-one-node"), "it never hit"
        play.stage.clear_faults()
        back = play.knowngood("rollback", play.run_id(), "--yes", "--output", "json")
        assert back.code == 6, explained(back)
        assert play.differences(before) == ""


@pytest.mark.slow
def test_without_a_fault_every_node_runs_the_release(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "fra-prod", limits=QUICK) as play:
        ended = play.upgrade(TO)
        assert ended.code == 0, explained(ended)
        assert ended.result["end"] == "done"
        assert play.drivers() == {node: [OLD, NEW] for node in (CANARY, LATER, LAST)}
        assert play.commits()[0] == f"fra-prod fleet: nvidia-driver {NEW}"
