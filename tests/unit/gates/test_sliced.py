"""The smoke gates on a parted node: an instance is held against itself and against those of its profile."""

from __future__ import annotations

from typing import Any

import pytest

from .test_smoke import CUDA, judged

SLICES: dict[str, dict[str, Any]] = {
    "MIG-a": {"profile": "1g.18gb", "tokensPerSecond": 100},
    "MIG-b": {"profile": "1g.18gb", "tokensPerSecond": 102},
    "MIG-c": {"profile": "1g.18gb", "tokensPerSecond": 98},
    "MIG-d": {"profile": "3g.71gb", "tokensPerSecond": 300},
}
PARTED: dict[str, Any] = {"layout": {"whole": 0, "1g.18gb": 3, "3g.71gb": 1}, "slices": SLICES}


def parted(changes: dict[str, Any] | None = None, **measured: Any) -> dict[str, Any]:
    """An answer of a parted node; `changes`: instance -> its figure."""
    slices = {
        k: {**v, "tokensPerSecond": (changes or {}).get(k, v["tokensPerSecond"])} for k, v in SLICES.items()
    }
    return {**CUDA, "measured": {**PARTED, "slices": slices, **measured}}


def kept(**changes: Any) -> dict[str, Any]:
    """A baseline of it."""
    return {"backend": "cuda", **PARTED, **changes}


@pytest.mark.parametrize(
    ("changes", "baseline", "expected", "words"),
    [
        ({}, None, "pass", ""),
        ({}, kept(), "pass", ""),
        ({"MIG-a": 90}, kept(), "pass", ""),
        ({"MIG-a": 89}, kept(), "fail", "MIG-a (1g.18gb): tokensPerSecond is 89, before the change 100"),
        ({"MIG-d": 269}, kept(), "fail", "MIG-d (3g.71gb): tokensPerSecond is 269, before the change 300"),
        ({"MIG-a": 80}, None, "pass", ""),
        (
            {"MIG-a": 78},
            None,
            "fail",
            "MIG-a (1g.18gb): tokensPerSecond is 78, the median of 3 instances is 98",
        ),
        ({"MIG-d": 1}, None, "pass", ""),  # the only one of its profile
        ({"MIG-a": None}, None, "inconclusive", "tokensPerSecond was not measured"),
    ],
)
def test_an_instance_is_compared_with_itself_and_with_those_of_its_profile(
    changes: dict[str, Any], baseline: Any, expected: str, words: str
) -> None:
    answer = parted(changes)
    found, reason, _ = judged(answer, baseline, pool=[answer], minTokensPerSecond=5000)
    assert (found, words in reason) == (expected, True), reason


def test_an_instance_that_was_made_anew_is_compared_with_the_median_of_its_profile() -> None:
    """Its UUID may be another one then."""
    before = kept(slices={f"{k}0": v for k, v in SLICES.items()})
    assert judged(parted({"MIG-c": 90}), before)[0] == "pass"
    found, reason, _ = judged(parted({"MIG-c": 89}), before)
    assert (found, "before the change 100" in reason) == ("fail", True)
    missing = kept(slices={"MIG-x": {"profile": "1g.18gb"}})
    assert judged(parted(), missing)[:2] == ("inconclusive", "tokensPerSecond was not measured (None)")


def test_nodes_that_are_parted_otherwise_are_not_compared() -> None:
    """Neither with what they were before, nor with each other's whole GPUs."""
    found, reason, _ = judged(parted(), {"backend": "cuda", "tokensPerSecond": 9e9, "allReduceGBps": 200.0})
    assert (found, "parted otherwise" in reason) == ("pass", True)
    mixed = parted(tokensPerSecond=1000, ranks=1, layout={"whole": 1, "1g.18gb": 3, "3g.71gb": 1})
    fast = {**CUDA, "measured": {**CUDA["measured"], "tokensPerSecond": 9000}}
    assert judged(mixed, pool=[mixed, fast, fast, fast])[0] == "pass"
    assert judged(mixed, minTokensPerSecond=1001)[0] == "fail", "of its whole GPUs"
    alike = parted(tokensPerSecond=9000, ranks=1, layout=mixed["measured"]["layout"])
    assert judged(mixed, pool=[mixed, alike, alike])[0] == "fail"


def test_an_instance_that_the_baseline_had_and_nobody_measured_now_is_missing() -> None:
    now = parted()
    now["measured"]["slices"] = {k: v for k, v in SLICES.items() if k != "MIG-d"}
    found, reason, _ = judged(now, kept())
    assert (found, "of slices" in reason) == ("inconclusive", True)
