"""What a profile can't talk away: evidence is about GPUs."""

from __future__ import annotations

from dataclasses import replace

from knowngood.model.evidence import Said
from knowngood.model.matrix import ReleaseStatus
from knowngood.planner.status import appraise

from .test_status import GATES, GOOD, PROFILE, STANDARD


def test_a_profile_that_asks_for_the_reference_backend_makes_no_evidence_of_it() -> None:
    asked = {**GATES, "smoke_training": {**GATES["smoke_training"], "backend": "reference"}}
    ran = replace(GOOD, verdicts=(*GOOD.verdicts[:2], Said("smoke_training", "gpu-1", "pass", "reference")))
    worth = appraise(ran, replace(STANDARD, profile=replace(PROFILE, gates=asked)))
    assert worth.status is ReleaseStatus.REHEARSED
    assert "smoke_training ran on reference, as the profile asks" in worth.because
