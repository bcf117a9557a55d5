"""Virtual functions alone, ring by ring on `lab-rdma`: taken back where fewer come than were asked for, then done.

Real twin with the SR-IOV network operator, Git, Argo CD, Ansible, pytest. The oracle judges.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.integration.faults.rows import PARTED
from tests.integration.play import Play, explained, staged

from knowngood.matrix.locate import matrix_dir

OLD, NEW = "4", "8"
FROM, TO = "functions-few", "functions-alone"
NODES = ("rdma-gpu-1", "rdma-gpu-2")


def matrix(folder: Path) -> Path:
    """Ours, with `lab-rdma` on a release from which another one differs by the functions alone."""
    shutil.copytree(matrix_dir(), folder)
    text = (folder / "releases" / "r580.yaml").read_text()
    few = f'{text.rstrip()}\n  sriov-vfs: "{OLD}"\n'
    (folder / "releases" / f"{FROM}.yaml").write_text(few)
    (folder / "releases" / f"{TO}.yaml").write_text(few.replace(f'sriov-vfs: "{OLD}"', f'sriov-vfs: "{NEW}"'))
    cluster = folder / "clusters" / "lab-rdma.yaml"
    cluster.write_text(cluster.read_text().replace("release: r580-peermem", f"release: {FROM}"))
    return folder


def made(play: Play) -> list[tuple[str, int]]:
    """(node, functions of all of its ports), in order, since the cluster was at rest."""
    return [(e["node"], int(e["now"])) for e in play.events() if e["event"] == "functions" and e["before"]]


@pytest.mark.exhaustive
def test_fewer_functions_than_asked_for_are_taken_back_and_all_of_them_are_done(tmp_path: Path) -> None:
    row, (canary, other) = PARTED, NODES
    source = matrix(tmp_path / "matrix")
    with staged(tmp_path / "stage", "lab-rdma", source=source, limits=row.limits) as play:
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        ended = play.upgrade(TO)
        assert (ended.code, ended.result["end"]) == (row.code, row.end), explained(ended)
        assert row.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        assert play.differences(before) == ""
        assert made(play) == [(canary, 64), (canary, 32)], "the later ring was never touched"
        play.stage.clear_faults()
        again = play.knowngood("upgrade", "lab-rdma", "--to", TO, "--yes", "--try-again", "--output", "json")
        assert (again.code, again.result["end"]) == (0, "done"), explained(again)
        assert made(play)[2:] == [(canary, 64), (other, 64)], "one ring after the other"
        subjects = [s for s in play.commits() if "sriov-vfs" in s and "back" not in s]
        assert len(subjects) == 3, "the canary's first, taken back, then one commit a ring"
