"""MIG layouts on the twin: a canary whose manager wedges goes back, then the layout comes to both rings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import LAYOUT, QUICK
from tests.integration.play import Play, explained, staged

TO, SEVENTHS = "r580-sevenths", "all-1g.18gb"


@pytest.mark.slow
def test_a_wedged_canary_is_restored_and_then_the_layout_comes_ring_by_ring(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-mig", limits=QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault(LAYOUT.fault, LAYOUT.node, LAYOUT.params)
        ended = play.upgrade(TO)
        assert (ended.code, ended.result["end"]) == (LAYOUT.code, LAYOUT.end), explained(ended)
        assert LAYOUT.caught_by in ended.result["why"], explained(ended)
        assert play.hits(LAYOUT.fault)
        play.stage.clear_faults()
        assert play.differences(before) == ""
        ended = play.knowngood("upgrade", "lab-mig", "--to", TO, "--try-again", "--yes", "--output", "json")
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert parted(play)[-2:] == [("mig-gpu-1", SEVENTHS), ("mig-gpu-2", SEVENTHS)], "canary first"


def parted(play: Play) -> list[tuple[str, str]]:
    """Which node's GPUs were parted into which layout, in order."""
    return [(e["node"], e["layout"]) for e in play.events() if e["event"] == "parted"]
