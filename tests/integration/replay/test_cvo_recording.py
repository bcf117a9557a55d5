"""The cluster-version operator on the twin does what the real one was recorded doing."""

from __future__ import annotations

from pathlib import Path

from tests.integration.replay import cvo
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_in_a_row
from tests.integration.replay.recording import needs_traces

ACCEPTED = table(Path(__file__).with_name("accepted_cvo.yaml"))
SCENARIO = "i1-cvo"


@needs_traces
def test_the_twins_cluster_version_operator_does_what_the_real_one_did(tmp_path: Path) -> None:
    found = held_in_a_row((SCENARIO,), cvo.stage(), tmp_path)
    assert verdict(SCENARIO, found[SCENARIO], ACCEPTED) == []
