"""CTRF says what JUnit says: each result once, and inconclusive is neither a pass nor a fail."""

from __future__ import annotations

import json
from typing import Any

from knowngood.planner.freshness import NotRun
from knowngood.report import ctrf
from knowngood.report.summary import GateLine, JudgementLine

from .played import undone

ENDED = "2026-11-29T13:00:00+00:00"


def line(gate: str, node: str, verdict: str, reason: str = "") -> GateLine:
    return GateLine(
        gate=gate, node=node, verdict=verdict, reason=reason, measured={}, backend="", seconds=1.5
    )


def parsed(*lines: GateLine, trouble: str = "", missing: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    judgement = JudgementLine(step="passive", verdict="fail", results=lines, missing=missing, trouble=trouble)
    found: dict[str, Any] = json.loads(ctrf.document([("passive", judgement)], 60.0, ENDED, **more))
    return found["results"]  # type: ignore[no-any-return]


def test_each_verdict_has_its_status_and_the_counts_agree() -> None:
    found = parsed(
        line("drift", "a", "pass"),
        line("drift", "b", "fail", "bad\x1b[31m"),
        line("operators", "", "inconclusive", "?"),
    )
    assert [t["status"] for t in found["tests"]] == ["passed", "failed", "other"]
    assert [t["name"] for t in found["tests"]] == ["drift[a]", "drift[b]", "operators[cluster]"]
    assert found["tests"][0]["duration"] == 1500
    assert "\x1b" not in found["tests"][1]["message"]
    summary = found["summary"]
    assert {k: summary[k] for k in ("tests", "passed", "failed", "skipped", "pending", "other")} == {
        "tests": 3, "passed": 1, "failed": 1, "skipped": 0, "pending": 0, "other": 1
    }  # fmt: skip
    assert summary["stop"] - summary["start"] == 60_000


def test_what_gave_no_result_and_what_did_not_run_are_there() -> None:
    missed = NotRun("smoke_training", "a", "in use", "", None, 0.0, False)
    found = parsed(trouble="killed", missing=("drift a",), not_run=(missed,))
    assert [(t["name"], t["status"]) for t in found["tests"]] == [
        ("drift a", "other"),
        ("session", "other"),
        ("smoke_training[a]", "skipped"),
    ]


def test_what_did_not_pass_says_how_it_is_run_again() -> None:
    found = parsed(line("drift", "a", "pass"), line("drift", "b", "fail"), again="knowngood gate lab")
    assert "extra" not in found["tests"][0]
    assert found["tests"][1]["extra"]["again"] == "knowngood gate lab --gate drift --node b"
    assert (
        ctrf.rerun("knowngood gate lab", line("operators", "", "fail"))
        == "knowngood gate lab --gate operators"
    )


def test_a_run_is_one_document() -> None:
    summary = undone().summary
    found = json.loads(ctrf.ctrf(summary))
    assert found["reportFormat"] == "CTRF"
    assert found["results"]["summary"]["tests"] >= sum(len(j.results) for j in summary.judgements) > 0
