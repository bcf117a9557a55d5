"""The machine-config operator on the twin does what the real one was recorded doing."""

from __future__ import annotations

from pathlib import Path

from tests.integration.replay import mco
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_in_a_row
from tests.integration.replay.recording import needs_traces

ACCEPTED = table(Path(__file__).with_name("accepted_mco.yaml"))
SCENARIOS = ("g1-mco-paused-pool", "g2-mco-foreign-cordon", "g3-mco-pdb-blocks-drain")


@needs_traces
def test_the_twins_machine_config_operator_does_what_the_real_one_did(tmp_path: Path) -> None:
    found = held_in_a_row(SCENARIOS, mco.stage(), tmp_path)
    assert {one: verdict(one, rows, ACCEPTED) for one, rows in found.items()} == {
        key: [] for key in SCENARIOS
    }
