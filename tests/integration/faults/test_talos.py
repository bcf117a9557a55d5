"""Talos on the twin: a canary that goes back by itself is restored, then the version comes to both rings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import QUICK, SYSTEM
from tests.integration.play import Play, explained, staged

CLUSTER, TO, LATER = "lab-talos", "talos-1.13.8", "tal-gpu-2"
OLD, NEW = "1.13.7", "1.13.8"


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_canary_that_goes_back_by_itself_is_restored_and_then_talos_comes_ring_by_ring(
    tmp_path: Path,
) -> None:
    with staged(tmp_path / "stage", CLUSTER, limits=QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault(SYSTEM.fault, SYSTEM.node, SYSTEM.params)
        ended = play.upgrade(TO)
        assert (ended.code, ended.result["end"]) == (SYSTEM.code, SYSTEM.end), explained(ended)
        assert SYSTEM.caught_by in ended.result["why"], explained(ended)
        assert play.hits(SYSTEM.fault)
        assert play.differences(before) == ""
        assert runs(play, SYSTEM.node) == [OLD, OLD], "what it had taken was written over"
        assert (runs(play, LATER), play.given_back(LATER)) == ([], [])
        play.stage.clear_faults()
        arguments = ("upgrade", CLUSTER, "--to", TO, "--try-again", "--yes", "--output", "json")
        ended = play.knowngood(*arguments)
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert runs(play, SYSTEM.node)[2:] == runs(play, LATER) == [NEW]
        assert len(play.given_back(LATER)) == 1, "one drain"
        assert {asked["drain"] for asked in play.events() if asked["event"] == "talos-asked"} == {"false"}
        journal = "".join(file.read_text() for file in play.stage.runs.glob("*/journal.jsonl"))
        assert "talosconfig" not in journal


def runs(play: Play, node: str) -> list[str]:
    """What its machine came to run, in order."""
    return [e["version"] for e in play.events() if (e["event"], e["node"]) == ("talos-runs", node)]
