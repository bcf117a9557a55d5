"""What nvidia-smi prints on a node of the twin, to be changed line by line."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.twin.behaviours import nvidia_smi as twins
from knowngood.twin.events import EventLog
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

SXM = NodeSeed(
    "gpu-1",
    "gpu",
    product="PowerEdge XE9680",
    gpus=8,
    gpuModel="NVIDIA H200",
    gpuPciId="10de:2335",
    nvswitch=True,
    nics=1,
    docaOfed="25.10",
)
PCIE = replace(
    SXM, product="PowerEdge XE7740", gpuModel="NVIDIA H200 NVL", gpuPciId="10de:233b", nvswitch=False
)


def profile(seed: NodeSeed = SXM, **limits: Any) -> Profile:
    """The profile of such a machine."""
    return Profile(
        name="p",
        product=seed.product,
        gpus=seed.gpus,
        gpu_model=seed.gpuModel,
        gpu_pci_id=seed.gpuPciId,
        nvswitch=seed.nvswitch,
        nics=8,
        nic_model="ConnectX-7",
        rdma_mode="dma-buf",
        gates={"driver_health": {"kind": "passive", **limits}},
        sources=(),
        where=Location("test"),
    )


PARTED = replace(SXM, migConfig="all-1g.18gb")
"""The same machine, all of its GPUs in MIG instances."""


def printed(
    seed: NodeSeed = SXM, argv: tuple[str, ...] = ("-q", "-x"), ailment: str = "", gpu: int = 2
) -> str:
    """The twin's answer, of a machine whose GPU `gpu` has that ailment."""
    return _printed((SXM, PCIE, PARTED).index(seed), argv, ailment, gpu)


@cache
def _printed(which: int, argv: tuple[str, ...], ailment: str, gpu: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        seed = (SXM, PCIE, PARTED)[which]
        machine = Machine(seed, root, EventLog(Path(folder) / "events.jsonl"), {"ID": "rhcos"})
        machine.boot("power-on")
        machine.load_driver("580.173.02", "open")
        if ailment:
            machine.ail(ailment, machine.gpus()[gpu])
        return twins.run(machine, argv).stdout.decode()


def edited(text: str, old: str, new: str, gpu: int = 0) -> str:
    """The document with one GPU's element changed; the rest stays."""
    parts = text.split("<gpu ")
    assert old in parts[gpu + 1], old
    parts[gpu + 1] = parts[gpu + 1].replace(old, new, 1)
    return "<gpu ".join(parts)
