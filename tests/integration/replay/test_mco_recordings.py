"""The machine-config operator on the twin does what the real one was recorded doing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.replay import mco
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_against
from tests.integration.replay.recording import needs_traces, read, steps

ACCEPTED = table(Path(__file__).with_name("accepted_mco.yaml"))
BEFORE = {
    "g1-mco-paused-pool": (),
    "g2-mco-foreign-cordon": ("g1-mco-paused-pool",),
    "g3-mco-pdb-blocks-drain": ("g1-mco-paused-pool", "g2-mco-foreign-cordon"),
}


@needs_traces
@pytest.mark.parametrize("scenario", BEFORE)
def test_the_twins_machine_config_operator_does_what_the_real_one_did(scenario: str, tmp_path: Path) -> None:
    before = [step.what for earlier in BEFORE[scenario] for step in steps(read(earlier))]
    found = held_against(read(scenario), mco.stage(), before, tmp_path)
    assert verdict(scenario, found, ACCEPTED) == []
