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


def judged(probe: dict[str, Any], baseline: Any = None, **limits: Any) -> tuple[str, str, Any]:
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
    [(True, "pass"), (False, "fail"), (None, "inconclusive"), ("yes", "inconclusive"), (1, "inconclusive")],
)
def test_only_a_plain_yes_is_ok_and_only_a_plain_no_is_bad(ok: object, expected: str) -> None:
    """What the payload could not measure speaks neither for the node nor against it."""
    found, reason, _ = judged({**CUDA, "ok": ok, "reason": "the loss did not fall"})
    assert found == expected
    assert expected == "pass" or "the loss did not fall" in reason


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


@pytest.mark.parametrize(
    "figure", [{}, {"tokensPerSecond": "nan"}, {"tokensPerSecond": None}, {"tokensPerSecond": True}]
)
@pytest.mark.parametrize(
    ("limits", "baseline"),
    [({"minTokensPerSecond": 1}, None), ({}, {"backend": "cuda", "tokensPerSecond": 1000})],
)
def test_a_figure_that_was_not_measured_is_not_too_little(figure: Any, limits: Any, baseline: Any) -> None:
    found, reason, _ = judged({**CUDA, "measured": figure}, baseline, **limits)
    assert (found, "tokensPerSecond was not measured" in reason) == ("inconclusive", True)


REFERENCE = {"ok": True, "backend": "reference", "reason": "", "measured": {}}


@pytest.mark.parametrize(
    ("probe", "baseline", "expected"),
    [
        (CUDA, None, "pass"),
        (REFERENCE, None, "inconclusive"),
        ({**REFERENCE, "backend": ""}, None, "inconclusive"),
        (CUDA, {"backend": "reference"}, "inconclusive"),
        ({**REFERENCE, "ok": False, "reason": "7 GPUs"}, None, "fail"),
    ],
)
def test_another_backend_than_the_profiles_proves_nothing(probe: Any, baseline: Any, expected: str) -> None:
    """An image without torch falls back to the CPU: that is no pass, and no fault of the node."""
    assert judged(probe, baseline, backend="cuda")[0] == expected


def test_a_rehearsals_profile_asks_for_the_reference_and_it_is_no_evidence() -> None:
    verdict_, reason, notes = judged(REFERENCE, {"backend": "reference"}, backend="reference")
    assert (verdict_, notes.backend) == ("pass", "reference")
    assert "no evidence" in reason


def test_the_reference_backends_speed_is_not_judged() -> None:
    slow = {"ok": True, "backend": "reference", "reason": "", "measured": {"requestsPerSecond": 1}}
    baseline = {"backend": "reference", "requestsPerSecond": 100_000}
    given = {"probe": slow, "limits": {"minThroughputRatio": 0.9}, "baseline": baseline}
    assert verdict(INFERENCE.test_smoke_inference, node="gpu-1", **given)[0] == "pass"
