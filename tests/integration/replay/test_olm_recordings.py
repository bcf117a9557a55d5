"""OLM v0 on the twin does what the real one was recorded doing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.replay import olm
from tests.integration.replay.accepted import table, verdict
from tests.integration.replay.playing import held_in_a_row
from tests.integration.replay.recording import needs_traces

ACCEPTED = table(Path(__file__).with_name("accepted_olm.yaml"))
AWAY = ("f0-olm-catalog-down",)
THERE = ("f1-olm-manual", "f2-olm-backwards", "f3-olm-catalog-refresh")


@needs_traces
@pytest.mark.parametrize("scenarios", [AWAY, THERE], ids=["catalog-away", "catalog-there"])
def test_the_twins_olm_does_what_the_real_one_did(scenarios: tuple[str, ...], tmp_path: Path) -> None:
    found = held_in_a_row(scenarios, olm.stage(reachable=scenarios is THERE), tmp_path)
    assert {one: verdict(one, rows, ACCEPTED) for one, rows in found.items()} == {
        key: [] for key in scenarios
    }
