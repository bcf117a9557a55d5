"""BIOS, BMC and GPU driver in one hop: one drain a node, undone by the machines' BMCs, then proven.

The example cluster lab-firmware: real Redfish over TLS to the twin's BMCs, Git, Argo CD, Ansible, pytest.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import FIRMWARE
from tests.integration.play import Play, explained, staged

CLUSTER, TO = "lab-firmware", "r595-newer-firmware"
CANARY, OTHER = FIRMWARE.node, "fw-gpu-2"
OLD, NEW = ("580.173.02", "2.7.4", "7.20.30.50"), ("595.91.07", "2.8.2", "7.20.60.50")


def flashed(play: Play, node: str) -> set[str]:
    """What its BMC brought to run."""
    return {e["version"] for e in play.events() if e["event"] == "firmware-runs" and e["node"] == node}


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_firmware_and_driver_come_with_one_drain_and_go_back_with_one(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", CLUSTER) as play:
        before = play.snapshot("before")
        play.stage.fault(FIRMWARE.fault, CANARY, FIRMWARE.params)
        ended = play.knowngood("upgrade", CLUSTER, "--to", TO, "--yes", "--output", "json", deadline=500)
        assert (ended.code, ended.result["end"]) == (FIRMWARE.code, FIRMWARE.end), explained(ended)
        assert FIRMWARE.caught_by in ended.result["why"]
        assert play.differences(before) == ""
        assert flashed(play, CANARY) == {*OLD[1:], *NEW[1:]}, "forth and back"
        assert play.given_back(CANARY) == [OLD[0]], "out of service once for both ways"
        assert (flashed(play, OTHER), play.given_back(OTHER)) == (set(), [])
        play.stage.clear_faults()
        arguments = ("upgrade", CLUSTER, "--to", TO, "--yes", "--try-again", "--output", "json")
        again = play.knowngood(*arguments, deadline=500)
        assert again.code == 0, explained(again)
        assert play.given_back(CANARY)[1:] == [NEW[0]] == play.given_back(OTHER), "one drain a node"
        assert flashed(play, OTHER) == set(NEW[1:])
