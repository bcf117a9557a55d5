"""A NIC driver, a driver, its flavour and its RDMA mode in one hop: one drain a node, restored by a gate, then done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.integration.play import Play, explained, staged

from knowngood.matrix.locate import matrix_dir

OLD = {
    "nvidia-driver": "580.173.02",
    "kernel-module-type": "proprietary",
    "rdma-mode": "nvidia-peermem",
    "doca-ofed": "doca3.3.0-26.01-1.0.0.0-0",
}
NEW = {
    "nvidia-driver": "595.91.07",
    "kernel-module-type": "open",
    "rdma-mode": "dma-buf",
    "doca-ofed": "doca3.4.1-26.04-1.1.0.0-1",
}
FIELDS = {
    "kernel-module-type": ("nvidiadriver", "spec.kernelModuleType"),
    "rdma-mode": ("nvidiadriver", "spec.rdma.enabled"),
    "doca-ofed": ("nicnodepolicy", "spec.ofedDriver.version"),
}
OBJECTS = {
    "nvidiadriver": {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver", "name": "{ring}"},
    "nicnodepolicy": {"apiVersion": "mellanox.com/v1alpha1", "kind": "NicNodePolicy", "name": "{ring}"},
}


def coupled(folder: Path) -> Path:
    """Our matrix, where the small cluster declares all of them ring by ring, and two releases that differ in all."""
    matrix = shutil.copytree(matrix_dir(), folder / "ours")
    for other in (matrix / "clusters").glob("*.yaml"):
        if other.stem != "lab-small":
            other.unlink()
    file = matrix / "clusters" / "lab-small.yaml"
    cluster = yaml.safe_load(file.read_text(encoding="utf-8"))
    for component, (name, path) in FIELDS.items():
        where = f"clusters/lab-small/gpu/{name}-{{ring}}.yaml"
        cluster["declare"][component] = {"file": where, "path": path, "object": dict(OBJECTS[name])}
    file.write_text(yaml.safe_dump({**cluster, "release": "before"}), encoding="utf-8")
    release = yaml.safe_load((matrix / "releases" / "r580.yaml").read_text(encoding="utf-8"))
    release["components"].pop("gpu-operator-rdma")
    for name, versions in (("before", OLD), ("after", NEW)):
        more = {"supersedes": "before"} if name == "after" else {}
        made = {**release, **more, "components": {**release["components"], **versions}}
        (matrix / "releases" / f"{name}.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")
    return matrix


def loads(play: Play, module: str, node: str) -> list[str]:
    found = [e for e in play.events() if e["event"] == "module-loaded" and e["module"] == module]
    return [e["version"] for e in found if e["node"] == node]


@pytest.mark.slow
def test_four_components_come_with_one_drain_and_go_back_with_one(tmp_path: Path) -> None:
    canary, other = "lab-gpu-1", "lab-gpu-2"
    with staged(tmp_path / "stage", "lab-small", source=coupled(tmp_path)) as play:
        before = play.snapshot("before")
        play.stage.fault("xid-31-after-driver", canary, {"version": NEW["nvidia-driver"]})
        ended = play.upgrade("after")
        assert ended.code == 6, explained(ended)
        assert play.differences(before) == ""
        assert loads(play, "nvidia", canary) == ["580.173.02", "595.91.07", "580.173.02"]
        assert loads(play, "mlx5_core", canary)[-2:] == ["26.04-1.1.0", "26.01-1.0.0"]
        assert loads(play, "nvidia", other) == ["580.173.02"]
        play.stage.clear_faults()
        again = play.knowngood(
            "upgrade", "lab-small", "--to", "after", "--yes", "--try-again", "--output", "json"
        )
        assert again.code == 0, explained(again)
        for node in (canary, other):
            assert loads(play, "nvidia", node)[-1] == "595.91.07"
            assert loads(play, "mlx5_core", node)[-1] == "26.04-1.1.0"
