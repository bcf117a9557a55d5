"""The SR-IOV operator's drains on the twin are those that the real one was recorded making."""

from __future__ import annotations

from pathlib import Path

from tests.integration.replay import sriov
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_in_a_row
from tests.integration.replay.recording import needs_traces

ACCEPTED = table(Path(__file__).with_name("accepted_sriov.yaml"))
SCENARIO = "h1-sriov-drain"


@needs_traces
def test_the_twins_sriov_operator_drains_and_gives_back_as_the_real_one_did(tmp_path: Path) -> None:
    found = held_in_a_row((SCENARIO,), sriov.stage(), tmp_path)
    assert verdict(SCENARIO, found[SCENARIO], ACCEPTED) == []
