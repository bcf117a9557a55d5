"""OLM v0 on the twin does what the real one was recorded doing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.replay import olm
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_against
from tests.integration.replay.recording import needs_traces, read, steps

ACCEPTED = table(Path(__file__).with_name("accepted_olm.yaml"))
BEFORE = {
    "f0-olm-catalog-down": (),
    "f1-olm-manual": (),
    "f2-olm-backwards": ("f1-olm-manual",),
    "f3-olm-catalog-refresh": ("f1-olm-manual", "f2-olm-backwards"),
}


@needs_traces
@pytest.mark.parametrize("scenario", BEFORE)
def test_the_twins_olm_does_what_the_real_one_did(scenario: str, tmp_path: Path) -> None:
    before = [step.what for earlier in BEFORE[scenario] for step in steps(read(earlier))]
    stage = olm.stage(reachable=not scenario.startswith("f0"))
    found = held_against(read(scenario), stage, before, tmp_path)
    assert verdict(scenario, found, ACCEPTED) == []
