"""Where a rank's figure is just good enough, what two ranks owe each other, and the figures that a gate compares."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from knowngood.probe.smoke.launch import Ending
from knowngood.probe.smoke.verdict import answer, figures

from .ranks import STEPS, ranks, records
from .test_verdict import HEALTHY, Said, each, judged, product


@pytest.mark.parametrize(("last", "ok"), [(3.689, True), (3.691, False)])
def test_a_loss_must_fall_by_a_tenth(last: float, ok: bool) -> None:
    """Of 4.1, where it began."""
    said = copy.deepcopy(HEALTHY)
    each("load", lastLoss=last)(said)
    assert judged(said)["ok"] is ok


@pytest.mark.parametrize(("off", "words"), [(0.9e-9, "gives its own part"), (1.1e-9, "gives wrong by")])
def test_a_collective_of_whole_numbers_is_explained_to_a_billionth(off: float, words: str) -> None:
    said = copy.deepcopy(HEALTHY)
    parts = [[float(n + k) for k in range(8)] for n in (1, 20, 300, 4000)]
    got = [x * (1 + off) if k % 2 else x * (1 - off) for k, x in enumerate(parts[2])]
    next(r for r in said[2] if r.get("what") == "all-reduce").update(wrong=9, got=got, parts=parts)
    found = judged(said)
    assert (found["ok"], words in found["reason"]) == (False, True), found["reason"]


@pytest.mark.parametrize(("count", "more"), [(6, ""), (7, "; and 1 more")])
def test_six_findings_are_told_and_no_more(count: int, more: str) -> None:
    said = records(ranks=8)
    for mine in said[:count]:
        next(r for r in mine if r["kind"] == "memory").update(wrongWord=1)
    reason = judged(said)["reason"]
    assert (reason.count("first at byte 4"), reason.partition("byte 4; and")[1] != "") == (6, bool(more))
    assert reason.endswith(more or "byte 4")


def test_ranks_that_all_have_nothing_agree() -> None:
    """A gradient of zeros is nobody's fault here."""
    said = copy.deepcopy(HEALTHY)
    for mine in said:
        next(r for r in mine if r["kind"] == "common").update(gradient=[0.0] * 8)
    assert judged(said)["ok"] is True


@pytest.mark.parametrize("kind", ["collective", "allReduce", "pair"])
def test_two_ranks_owe_each_other_what_several_do(kind: str) -> None:
    said = records(ranks=2)
    said[1] = [r for r in said[1] if r["kind"] != kind]
    found = judged(said)
    assert (found["ok"], f"rank 1 (GPU-1): nothing was measured of: {kind}" in found["reason"]) == (
        None,
        True,
    )


@pytest.mark.parametrize(
    ("verified", "there", "ok"), [(0, 1, True), (0, 0, None), (2, 2, True), (3, 2, None)]
)
def test_as_many_steps_as_asked_are_verified_and_one_always(
    verified: int, there: int, ok: bool | None
) -> None:
    said: Said = []
    for mine in HEALTHY:
        steps = [r for r in mine if r["kind"] == "step"][:there]
        said.append([r for r in mine if r["kind"] != "step"] + steps)
    assert answer("cuda", ranks(said), Ending(0), [], verified)["ok"] is ok


def test_a_record_of_memory_without_its_size_is_none() -> None:
    said = copy.deepcopy(HEALTHY)
    for record in said[1]:
        if record["kind"] == "memory":
            del record["bytes"]
    found = judged(said)
    assert (found["ok"], "nothing was measured of: memory" in found["reason"]) == (None, True)
    assert found["measured"]["memoryBytes"] == 3 << 30


def test_figures_are_of_the_best_window_the_slowest_rank_and_the_worst_product() -> None:
    said = records(ranks=2)
    loads: list[dict[str, Any]] = [
        {"kind": "load", "tokensPerSecond": value} for value in (800.0, 1000.4, 900.0)
    ]
    said = [[*(r for r in mine if "tokensPerSecond" not in r), *loads] for mine in said]
    for mine, best, alone in zip(said, (480.0, 400.0), (260.26, 250.04), strict=True):
        next(r for r in mine if r["kind"] == "allReduce")["GBps"] = [best / 2, best]
        mine.append({"kind": "alone", "tokensPerSecond": alone})
    product_of = next(r for r in said[1] if r.get("form") == "fp8")
    product_of["error"] = 1.9e-3
    found = figures(ranks(said))
    assert (found["tokensPerSecond"], found["tokensSpread"]) == (1000, 0.2003)
    assert (found["allReduceGBps"], found["allReduceSpread"]) == (400.0, 0.5)
    assert found["rankTokensPerSecond"] == [260.0, 250.0]
    assert (found["productError"]["fp8"], found["productError"]["fp32"]) == (1.9e-3, 4e-7)
    assert (found["steps"], found["firstLoss"], found["lastLoss"]) == (50, 4.1, 1.2)
    assert found["verifiedSteps"] == STEPS


def test_an_error_without_words_is_told_by_its_kind() -> None:
    said = [[r for r in mine if r["kind"] != "done"] for mine in records(ranks=2)]
    said[1].append({"kind": "error", "type": "IndexError"})
    found = judged(said, Ending(1, {1: 1}))
    assert (found["ok"], found["reason"]) == (None, "rank 1 (GPU-1): IndexError at load done: ")


def test_a_product_in_another_format_is_no_reason_for_the_first() -> None:
    said = copy.deepcopy(HEALTHY)
    product("fp8", wrong=2)(said)
    assert judged(said)["reason"].count("fp32") == 0
