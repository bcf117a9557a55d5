"""A NIC driver, a driver, its flavour and its RDMA mode in one hop: one drain a node, restored by a gate, then done."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import COUPLED
from tests.integration.play import Play, explained, staged


def loads(play: Play, module: str, node: str) -> list[str]:
    found = [e for e in play.events() if e["event"] == "module-loaded" and e["module"] == module]
    return [e["version"] for e in found if e["node"] == node]


@pytest.mark.slow
def test_four_components_come_with_one_drain_and_go_back_with_one(tmp_path: Path) -> None:
    canary, other = COUPLED.node, "rdma-gpu-2"
    with staged(tmp_path / "stage", "lab-rdma") as play:
        before = play.snapshot("before")
        play.stage.fault(COUPLED.fault, canary, COUPLED.params)
        ended = play.upgrade("r595")
        assert (ended.code, ended.result["end"]) == (COUPLED.code, COUPLED.end), explained(ended)
        assert COUPLED.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.differences(before) == ""
        assert loads(play, "nvidia", canary) == ["580.173.02", "595.91.07", "580.173.02"]
        assert loads(play, "mlx5_core", canary)[-2:] == ["26.04-1.1.0", "26.01-1.0.0"]
        assert loads(play, "nvidia", other) == ["580.173.02"]
        play.stage.clear_faults()
        again = play.knowngood(
            "upgrade", "lab-rdma", "--to", "r595", "--yes", "--try-again", "--output", "json"
        )
        assert again.code == 0, explained(again)
        for node in (canary, other):
            assert loads(play, "nvidia", node)[-1] == "595.91.07"
            assert loads(play, "mlx5_core", node)[-1] == "26.04-1.1.0"
