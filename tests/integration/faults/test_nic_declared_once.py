"""A NIC driver alone, which one NicClusterPolicy declares for all nodes: done, and what goes wrong in a ring.

Real twin with OLM, kustomize overlays, Git, Ansible, pytest; one run a row on `fra-prod`. The oracle judges every node.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.faults.rows import (
    FRA_CANARY,
    FRA_LAST,
    FRA_LATER,
    FRA_QUICK,
    NIC,
    NIC_NEW_SAYS,
    NIC_OLD_SAYS,
    Once,
)
from tests.integration.play import Play, explained, staged

OLD, NEW = "doca3.2.0-25.10-1.2.8.0-2", "doca3.3.0-26.01-1.0.0.0-0"
GPU_DRIVER = "580.105.08"
FROM, TO = "h200-4.18-r580.105", "nic-alone"


@contextmanager
def on_fra(folder: Path) -> Iterator[Play]:
    """`fra-prod`, and a release that differs from its own by DOCA-OFED alone."""
    with staged(folder / "stage", "fra-prod", limits=FRA_QUICK) as play:
        releases = play.stage.matrix / "releases"
        text = (releases / f"{FROM}.yaml").read_text()
        assert f"doca-ofed: {OLD}" in text
        (releases / f"{TO}.yaml").write_text(text.replace(f"doca-ofed: {OLD}", f"doca-ofed: {NEW}"))
        git = ("git", "-C", str(play.stage.matrix), "-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "A release"], check=True)
        yield play


def loads(play: Play, module: str) -> dict[str, list[str]]:
    """Node -> versions of a module that were loaded since all had settled, in order."""
    events = play.events()
    settled = next(e["time"] for e in events if e["event"] == "settled")
    found: dict[str, list[str]] = {}
    for event in events:
        if event["event"] == "module-loaded" and event["module"] == module and event["time"] > settled:
            found.setdefault(event["node"], []).append(event["version"])
    return found


@pytest.mark.exhaustive
def test_each_node_loads_the_nic_driver_and_then_its_own_gpu_driver_anew(tmp_path: Path) -> None:
    with on_fra(tmp_path) as play:
        ended = play.upgrade(TO)
        assert ended.code == 0, explained(ended)
        assert ended.result["end"] == "done"
        nodes = (FRA_CANARY, FRA_LATER, FRA_LAST)
        assert loads(play, "mlx5_core") == {node: [NIC_NEW_SAYS] for node in nodes}
        # On the canary once more: what was built for the new NIC driver fails at its second load, if ever.
        again = {FRA_CANARY: [GPU_DRIVER, GPU_DRIVER]}
        assert loads(play, "nvidia") == {node: [GPU_DRIVER] for node in nodes} | again
        assert play.commits()[0] == f"fra-prod fleet: doca-ofed {NEW}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.id, marks=pytest.mark.exhaustive if row.id.startswith("doca") else ())
        for row in NIC
    ],
)
def test_what_goes_wrong_in_a_ring_is_taken_back_on_every_node(row: Once, tmp_path: Path) -> None:
    with on_fra(tmp_path) as play:
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        ended = play.upgrade(TO)
        assert ended.code == row.code, explained(ended)
        assert ended.result["end"] == row.end, explained(ended)
        assert row.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        play.stage.clear_faults()
        assert play.differences(before) == ""
        nic = loads(play, "mlx5_core")
        assert {node for node, versions in nic.items() if NIC_NEW_SAYS in versions} == set(row.moved)
        assert {versions[-1] for versions in nic.values()} <= {NIC_OLD_SAYS}
