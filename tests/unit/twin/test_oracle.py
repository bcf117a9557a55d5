"""The oracle's eye on one machine: what a reload of the NIC driver changes, and what it must leave as it was."""

from __future__ import annotations

from pathlib import Path

from knowngood.twin.events import EventLog
from knowngood.twin.oracle import host_view, load_view
from knowngood.twin.oracle_judge import COMPARED, differences
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

SEED = NodeSeed(
    "gpu-1", "gpu", gpus=2, nics=2, nicFirmware="28.47.1026", docaOfed="25.10-1.2.2", modules=("rpcrdma",)
)


def test_there_and_back_only_the_load_tells_and_what_was_lost(tmp_path: Path) -> None:
    host = Machine(SEED, tmp_path / "root", EventLog(tmp_path / "events"), {"ID": "rhcos"})
    host.boot("power-on")
    host.write("sys/class/infiniband/mlx5_0/device/sriov_numvfs", "8\n")

    def look() -> dict[str, object]:
        nothing: dict[str, object] = {name: {} for name in COMPARED}
        seen = {"nodes": {"gpu-1": host_view(host.root)}, "loads": {"gpu-1": load_view(host.root)}}
        return {**nothing, **seen}

    before = look()
    host.nic.unload()
    host.nic.load("26.04-0.8.6")
    assert differences(before, look()) == [
        "nodes.gpu-1.nfsOverRdma: True -> False",
        "nodes.gpu-1.nicDriver: 25.10-1.2.2 -> 26.04-0.8.6",
        "nodes.gpu-1.vfs.mlx5_0: gone, was 8",
    ]
    host.nic.restore_vfs()
    host.nic.unload()
    host.nic.load("25.10-1.2.2")
    host.nic.restore_vfs()
    host.nic.load_nfs()
    assert differences(before, look()) == []
    assert [line.split(":")[0] for line in differences(before, look(), ["loads"])] == ["loads.gpu-1.nic"]
