"""The smoke gates: a payload's answer against its baseline and floors."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import gate, verdict

TRAINING, INFERENCE = gate("smoke_training"), gate("smoke_inference")
CUDA = {
    "ok": True,
    "backend": "cuda",
    "reason": "",
    "measured": {"tokensPerSecond": 1000, "allReduceGBps": 200.0},
}


def judged(probe: dict[str, Any], baseline: Any = None, **limits: float) -> tuple[str, str, Any]:
    return verdict(
        TRAINING.test_smoke_training,
        node="gpu-1",
        probe=probe,
        limits={"minThroughputRatio": 0.9, **limits},
        baseline=baseline,
    )


def test_a_payload_that_worked_passes_with_its_backend() -> None:
    verdict_, _, notes = judged(CUDA)
    assert (verdict_, notes.backend) == ("pass", "cuda")
    assert notes.measured["tokensPerSecond"] == 1000


@pytest.mark.parametrize(
    ("ok", "expected"),
    [(False, "fail"), (None, "inconclusive"), ("yes", "inconclusive"), (1, "inconclusive")],
)
def test_only_a_plain_yes_is_ok_and_only_a_plain_no_is_not(ok: object, expected: str) -> None:
    """What could not be measured, or is no answer at all, says nothing against the node."""
    assert judged({**CUDA, "ok": ok, "reason": "rank 3"})[:2] == (expected, "rank 3")


@pytest.mark.parametrize(("wanted", "expected"), [("cuda", "pass"), ("reference", "inconclusive")])
def test_another_backend_than_the_profiles_is_no_answer(wanted: str, expected: str) -> None:
    limits = {"minThroughputRatio": 0.9, "backend": wanted}
    given = {"node": "gpu-1", "probe": CUDA, "limits": limits, "baseline": None}
    assert verdict(TRAINING.test_smoke_training, **given)[0] == expected


@pytest.mark.parametrize(("before", "expected"), [(1000, "pass"), (1111, "pass"), (1112, "fail")])
def test_throughput_is_compared_with_the_nodes_own(before: int, expected: str) -> None:
    assert judged(CUDA, {"backend": "cuda", "tokensPerSecond": before})[0] == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"minTokensPerSecond": 1000}, "pass"),
        ({"minTokensPerSecond": 1001}, "fail"),
        ({"minAllReduceGbPerSecond": 201}, "fail"),
    ],
)
def test_a_floor_guards_the_baseline_itself(limits: dict[str, float], expected: str) -> None:
    assert judged(CUDA, **limits)[0] == expected


def test_a_gpu_that_torch_lost_with_the_change_never_passes() -> None:
    """Falling back to the CPU must never look like a pass."""
    reference = {"ok": True, "backend": "reference", "reason": "", "measured": {}}
    assert judged(reference, {"backend": "cuda", "tokensPerSecond": 1000})[0] == "inconclusive"
    verdict_, reason, notes = judged(reference, {"backend": "reference"})
    assert (verdict_, notes.backend) == ("pass", "reference")
    assert "no evidence" in reason


def test_the_reference_backends_speed_is_not_judged() -> None:
    slow = {"ok": True, "backend": "reference", "reason": "", "measured": {"requestsPerSecond": 1}}
    baseline = {"backend": "reference", "requestsPerSecond": 100_000}
    given = {"probe": slow, "limits": {"minThroughputRatio": 0.9}, "baseline": baseline}
    assert verdict(INFERENCE.test_smoke_inference, node="gpu-1", **given)[0] == "pass"
