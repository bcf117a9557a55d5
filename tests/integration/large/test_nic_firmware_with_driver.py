"""NIC firmware and GPU driver in one hop of `lab-rdma`: one drain a node, taken back by one, then done.

The ring's commit has the NICs flashed by itself, so the ring is out before it; the driver's restart comes after that.
Real twin with the NIC configuration and maintenance operators, Git, Argo CD, Ansible, pytest. The oracle judges.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.integration.faults.rows import FLASH
from tests.integration.play import Play, explained, staged

from knowngood.matrix.locate import matrix_dir

OLD, NEW = ("28.47.1026", "580.173.02"), ("28.46.1006", "595.91.07")
FROM, TO = "r580-parted", "nics-and-driver"
CANARY, OTHER = "rdma-gpu-1", "rdma-gpu-2"


def matrix(folder: Path) -> Path:
    """Ours, with `lab-rdma` on a release from which another one differs by NIC firmware and driver."""
    shutil.copytree(matrix_dir(), folder)
    text = (folder / "releases" / "r580.yaml").read_text().rstrip() + '\n  sriov-vfs: "4"\n'
    (folder / "releases" / f"{FROM}.yaml").write_text(text)
    for old, new in zip(OLD, NEW, strict=True):
        assert old in text
        text = text.replace(old, new)
    (folder / "releases" / f"{TO}.yaml").write_text(text)
    cluster = folder / "clusters" / "lab-rdma.yaml"
    cluster.write_text(cluster.read_text().replace("release: r580-peermem", f"release: {FROM}"))
    return folder


def burned(play: Play, node: str) -> list[str]:
    return [e["version"] for e in play.events() if e["event"] == "nic-firmware-burned" and e["node"] == node]


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_nic_firmware_and_driver_come_with_one_drain_and_go_back_with_one(tmp_path: Path) -> None:
    source = matrix(tmp_path / "matrix")
    with staged(tmp_path / "stage", "lab-rdma", source=source, limits=FLASH.limits) as play:
        before = play.snapshot("before")
        play.stage.fault(FLASH.fault, FLASH.node, FLASH.params)
        ended = play.upgrade(TO)
        assert (ended.code, ended.result["end"]) == (FLASH.code, FLASH.end), explained(ended)
        assert FLASH.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.hits(FLASH.fault), "it never hit"
        assert play.differences(before) == ""
        assert burned(play, CANARY) == [NEW[0], OLD[0]], "forth and back"
        assert play.given_back(CANARY) == [OLD[1]], "out of service once for both ways"
        assert (burned(play, OTHER), play.given_back(OTHER)) == ([], [])
        play.stage.clear_faults()
        arguments = ("upgrade", "lab-rdma", "--to", TO, "--yes", "--try-again", "--output", "json")
        again = play.knowngood(*arguments, deadline=500)
        assert (again.code, again.result["end"]) == (0, "done"), explained(again)
        assert play.given_back(CANARY)[1:] == [NEW[1]] == play.given_back(OTHER), "one drain a node"
        assert burned(play, OTHER) == [NEW[0]]
