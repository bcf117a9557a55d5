"""What a profile can't talk away: evidence is about GPUs, and the gates of the minimum set have judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.model.evidence import Said
from knowngood.model.matrix import ReleaseStatus
from knowngood.planner.gates import MINIMUM, applicable
from knowngood.planner.status import appraise

from .test_status import GATES, GOOD, PROFILE, STANDARD, failed, verdicts


def test_a_profile_that_asks_for_the_reference_backend_makes_no_evidence_of_it() -> None:
    asked = {**GATES, "smoke_training": {**GATES["smoke_training"], "backend": "reference"}}
    said = verdicts(Said("smoke_training", "gpu-1", "pass", "reference"), without="smoke_training/gpu-1")
    ran = replace(GOOD, verdicts=said)
    worth = appraise(ran, replace(STANDARD, profile=replace(PROFILE, gates=asked)))
    assert worth.status is ReleaseStatus.REHEARSED
    assert "smoke_training ran on reference, as the profile asks" in worth.because


@pytest.mark.parametrize("gate", ["drift", "gpu_errors", "smoke_training"])
@pytest.mark.parametrize("how", ["gone", "for another machine"])
def test_a_profile_that_leaves_out_a_gate_of_the_minimum_set_proves_less(gate: str, how: str) -> None:
    """It once was known-good without any look at the kernel log."""
    gates: dict[str, Any] = {name: g for name, g in GATES.items() if name != gate}
    if how != "gone":
        gates[gate] = {**GATES[gate], "needs": "nvswitch"}
    worth = appraise(GOOD, replace(STANDARD, profile=replace(PROFILE, gates=gates)))
    assert worth.status is ReleaseStatus.REHEARSED
    assert f"profile xe leaves out {gate} ({MINIMUM[gate]})" in worth.because


def test_rdma_health_is_of_the_minimum_set_where_the_hardware_has_rdma() -> None:
    assert applicable(PROFILE).left_out == ()
    assert applicable(replace(PROFILE, nics=8, rdma_mode="dma-buf")).left_out == ("rdma_health",)
    asked = {**GATES, "rdma_health": {"kind": "passive", "needs": "rdma"}}
    assert applicable(replace(PROFILE, gates=asked)).left_out == ()


def test_a_run_that_is_on_record_as_failed_proves_nothing_whatever_a_file_says() -> None:
    """A run is its cluster and its id: the id alone may stand for two."""
    worth = appraise(GOOD, replace(STANDARD, others=(replace(failed("2026-08-22T01:00:00Z"), run="r1"),)))
    assert worth.refusals == ("the matrix has this same run on record as failed: Xid 31",)
    elsewhere = replace(failed("2026-08-22T04:00:00Z"), run="r1", cluster="fra")
    assert "failed later, in run r1 on fra" in appraise(GOOD, replace(STANDARD, others=(elsewhere,))).because
