"""NIC firmware alone, ring by ring on `lab-rdma`: taken back where it is burned and does not run, then done.

Real twin with the NIC configuration and maintenance operators, Git, Argo CD, Ansible, pytest. The oracle judges.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.integration.faults.rows import FLASH
from tests.integration.play import Play, explained, staged

from knowngood.matrix.locate import matrix_dir

OLD, NEW = "28.47.1026", "28.46.1006"
FROM, TO = "r580-parted", "nics-alone"
NODES = ("rdma-gpu-1", "rdma-gpu-2")


def matrix(folder: Path) -> Path:
    """Ours, with `lab-rdma` on a release from which another one differs by firmware alone; both name all of it."""
    shutil.copytree(matrix_dir(), folder)
    text = (folder / "releases" / "r580.yaml").read_text().rstrip() + '\n  sriov-vfs: "4"\n'
    assert f"nic-firmware: {OLD}" in text
    (folder / "releases" / f"{FROM}.yaml").write_text(text)
    (folder / "releases" / f"{TO}.yaml").write_text(
        text.replace(f"nic-firmware: {OLD}", f"nic-firmware: {NEW}")
    )
    cluster = folder / "clusters" / "lab-rdma.yaml"
    cluster.write_text(cluster.read_text().replace("release: r580-peermem", f"release: {FROM}"))
    return folder


def burned(play: Play) -> list[tuple[str, str]]:
    """(node, version), in order."""
    return [(e["node"], e["version"]) for e in play.events() if e["event"] == "nic-firmware-burned"]


@pytest.mark.slow
def test_what_is_burned_and_does_not_run_is_taken_back_and_what_runs_is_done(tmp_path: Path) -> None:
    row, (canary, other) = FLASH, NODES
    source = matrix(tmp_path / "matrix")
    with staged(tmp_path / "stage", "lab-rdma", source=source, limits=row.limits) as play:
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        ended = play.upgrade(TO)
        assert (ended.code, ended.result["end"]) == (row.code, row.end), explained(ended)
        assert row.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        assert play.differences(before) == ""
        assert burned(play) == [(canary, NEW), (canary, OLD)], "the later ring was never touched"
        play.stage.clear_faults()
        again = play.knowngood("upgrade", "lab-rdma", "--to", TO, "--yes", "--try-again", "--output", "json")
        assert (again.code, again.result["end"]) == (0, "done"), explained(again)
        assert burned(play)[2:] == [(canary, NEW), (other, NEW)], "one ring after the other"
        subjects = [s for s in play.commits() if NEW in s and "back" not in s]
        assert len(subjects) == 3, "the canary's first, taken back, then one commit a ring"
