"""Nodes of six layouts are well, whatever goes on on them: no gate run fails, and none can't tell."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.integration.gates.layouts import LAYOUTS, noise
from tests.integration.gates.served import served
from tests.unit.gates.faults.machine import NODE

from knowngood.model.verdict import Verdict

BATCHES, RUNS = 6, 6
"""With the six layouts: 216 gate runs after noise, each against the baseline of its batch."""


def wrong(layout: str, folder: Path, seed: int, runs: int) -> list[str]:
    """What the gates said of a node with nothing wrong with it, in so many runs, each an hour after the last."""
    dice, found = random.Random(seed), []  # noqa: S311 (a lot that can be drawn again)
    with served(LAYOUTS[layout](folder / "node"), folder) as one:
        taken = one.judge(baseline=True)
        assert (taken.verdict, taken.trouble) == (Verdict.PASS, ""), taken.bad()
        for number in range(runs):
            made = noise(one.node, dice, layout)
            judged = one.judge()
            assert {r.node for r in judged.results} == {NODE, ""}
            words = "; ".join(f"{r.gate} {r.verdict.value}: {r.reason}" for r in judged.bad())
            if judged.verdict is not Verdict.PASS:
                found.append(f"run {number} after {', '.join(made)}: {words or judged.trouble}")
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_hour_of_noise_on_a_healthy_node_fails_no_gate(tmp_path: Path, layout: str) -> None:
    assert wrong(layout, tmp_path, seed=1, runs=1) == []


def test_a_fault_among_the_noise_is_seen_all_the_same(tmp_path: Path) -> None:
    with served(LAYOUTS["HGX with NVSwitch"](tmp_path / "node"), tmp_path) as one:
        one.judge(baseline=True)
        noise(one.node, random.Random(1), "")  # noqa: S311
        one.node.machine.count(3, "link_downed")
        one.node.machine.kernel("NVRM: Xid (PCI:0000:18:00): 79, pid=1, name=x, GPU has fallen off the bus.")
        found = {bad.gate: bad.reason for bad in one.judge().bad()}
    assert "Xid 79 on GPU 0000:18:00" in found.pop("gpu_errors")
    assert "link_downed grew by 1" in found.pop("rdma_health")
    assert found == {}


FIRST = pytest.param(0, marks=pytest.mark.slow)
"""Of each layout one batch in `make test-all`; the others are in `make kills`."""


@pytest.mark.parametrize(
    "batch", [FIRST, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(1, BATCHES))]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hours_of_noise_on_healthy_nodes_fail_none(tmp_path: Path, layout: str, batch: int) -> None:
    assert wrong(layout, tmp_path, seed=100 + batch, runs=RUNS) == []
