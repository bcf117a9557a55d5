"""A step's detail is a type; journals and checkpoints of earlier versions read as before."""

import re
from pathlib import Path
from typing import Any

import pytest

from knowngood.model.context import Window
from knowngood.model.detail import Detail
from knowngood.model.evidence import GateSuite
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import StepResult, fold

PACKAGE = Path(__file__).parents[3] / "runner" / "knowngood"
WINDOW = {"boot_id": "b1", "monotonic": 12.5, "since": ""}

WRITTEN: list[dict[str, Any]] = [
    {"nodes": 24},
    {"commit": "c1", "revert": "c2", "seconds": 3.125},
    {"ring_seconds": 90, "undo_seconds": 0, "by": "2026-08-22T05:00:00Z"},
    {"done": ["gpu-1"], "windows": {"gpu-1": WINDOW}},
    {"done": [], "given_back": {"gpu-1": "budget"}, "why": "not drained: gpu-1 (budget)"},
    {"done": ["gpu-1"], "loads": {"gpu-1": WINDOW}, "loaded": {"gpu-1": "580.82"}},
    {"changed": [], "claimed": ["gpu-1"], "lost": {}, "windows": {}},
    {"verdict": "pass", "results": 0, "gates": ["xid"], "suite": {"digest": "d", "commit": ""}},
    {"verdict": "fail", "results": 4, "failed": {"gpu-1": "xid: 79"}, "measured": ["gpu-1"], "at_once": True},
    {"seconds": 10.0, "wanted_gpu_seconds": 8.0, "tenants_gpu_seconds": 0, "synthetic_gpu_seconds": 0},
    {"failed": {}, "unread": {}, "reported": {"gpu-1": "x"}, "left": [], "not_running": {"ml": ["a/b 1/2"]}},
    {"status": "rehearsed", "because": "a twin", "commit": "c3", "where": "main", "note": "n"},
    {"why": "internal error: KeyError", "bug": True},
    {"why": "no such file", "hint": "write it", "usage": True},
]
"""Outcomes as earlier versions wrote them, one of each kind."""


@pytest.mark.parametrize("written", WRITTEN)
def test_a_detail_is_written_by_the_same_names_and_values(written: dict[str, Any]) -> None:
    """What is empty says nothing and is left out; a zero that was measured says something."""
    again = to_json(from_json(Detail, written))
    assert again == {name: value for name, value in written.items() if value not in ([], {}, "")} | (
        {"suite": written["suite"]} if "suite" in written else {}
    )


def test_a_step_says_what_it_means_by_types() -> None:
    told = from_json(Detail, {"windows": {"gpu-1": WINDOW}, "suite": {"digest": "d", "commit": "c"}})
    assert told.windows["gpu-1"] == Window("b1", 12.5, "")
    assert told.suite == GateSuite("d", "c")


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    newer = {"why": "x", "from_the_future": [1]}
    assert from_json(Detail, newer) == Detail(why="x")
    assert from_json(StepResult, {"status": "ok", "detail": newer}).detail.why == "x"


def test_a_fold_over_old_records_reads_their_details() -> None:
    plan = Record(0, RecordType.PLAN, "t0", detail={"run": "r", "fence": "r/1"}, files={"plan": "p"})
    meant = Record(1, RecordType.INTENT, "t1", "hop-1/ring-0/batch-1/drain", detail={"nodes": ["gpu-1"]})
    ended = Record(2, RecordType.OUTCOME, "t2", meant.step, Status.INCONCLUSIVE, WRITTEN[4])
    state = fold([plan, meant, ended])
    assert state.results[state.last].detail.given_back == {"gpu-1": "budget"}


BY_SPELLING = re.compile(
    r"(result|seen|last|done|told|promoted|verified|claimed|applied)\.detail(\[|\.get\()"
)


def test_nobody_reads_an_outcome_by_spelling() -> None:
    found = {
        str(file.relative_to(PACKAGE))
        for part in ("engine", "model", "report", "planner")
        for file in (PACKAGE / part).rglob("*.py")
        if BY_SPELLING.search(file.read_text())
    }
    assert found == set()
