"""A host's files as a probe reads them, and what rdma_health says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from knowngood.model.matrix import Profile
from knowngood.model.parts import ComputeNics, Waiver
from knowngood.probe import rdma
from knowngood.probe.host import Host
from knowngood.twin import host_files
from knowngood.twin.seed import NodeSeed

from .conftest import gate, verdict

RDMA = gate("rdma_health")
FIRMWARE = "28.43.2026"
SEED = NodeSeed("n1", "gpu", gpus=2, nics=4, nicModel="ConnectX-7", nicFirmware=FIRMWARE)
LIMITS = {"expectedPorts": 4, "rateGbps": 400}
EXPECT = {"rdma-mode": "dma-buf", "nic-firmware": FIRMWARE}
CLASS = "sys/class/infiniband"


class Machine:
    """A host's files, and the gate's verdict on what a probe reads of them."""

    def __init__(self, root: Path, profile: Profile) -> None:
        self.root = root
        self.profile = replace(profile, nics=4, nic_model="ConnectX-7")
        self.limits: dict[str, Any] = {**LIMITS}
        self.waivers: list[Waiver] = []
        self.about: dict[str, Any] = {"bootId": "b1", "nicLoads": [10.0]}
        files = {
            "proc/uptime": "4000.00 1\n",
            "proc/version": "Linux version 5.14.0-427.92.1.el9_4.x86_64 (x)\n",
            **host_files.nvidia_proc(SEED, "580.1", host_files.OPEN, []),
            **host_files.module("nvidia", "580.1"),
            **host_files.symbols(nic=True, gpu=True),
        }
        for index in range(SEED.nics):
            files |= host_files.nic(SEED, index)
        self.write(files)

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)

    def port(self, nic: int = 0, **values: object) -> None:
        """Files of a port: `link_downed` is a counter, `rate` a file."""
        for name, value in values.items():
            folder = next(
                (f"{f}/" for f in ("counters", "hw_counters") if self.there(nic, f"{f}/{name}")), ""
            )
            folder = folder or ("hw_counters/" if isinstance(value, int) else "")
            self.write({f"{CLASS}/mlx5_{nic}/ports/1/{folder}{name}": f"{value}\n"})

    def there(self, nic: int, file: str) -> bool:
        return (self.root / f"{CLASS}/mlx5_{nic}/ports/1/{file}").exists()

    def more(self, name: str, **files: str) -> None:
        """Another device: as mlx5_0, but for these files."""
        for path, text in host_files.nic(SEED, 0).items():
            self.write({path.replace("mlx5_0", name): text})
        slot = f"0000:f{name[-1]}:00.0"
        self.write({f"{CLASS}/{name}/device/uevent": f"DRIVER=mlx5_core\nPCI_SLOT_NAME={slot}\n"})
        self.write({f"{CLASS}/{name}/node_guid": f"5c25:7303:0000:000{name[-1]}\n"})
        self.write({f"{CLASS}/{name}/{path}": f"{text}\n" for path, text in files.items()})

    def placed(self) -> None:
        """From now on the profile says where its NICs are."""
        places = tuple(host_files.nic_address(n) for n in range(SEED.nics))
        self.profile = replace(self.profile, compute_nics=ComputeNics(pci_addresses=places))

    def judged(self, baseline: Any = None, **expect: str) -> tuple[str, str]:
        self.measured: dict[str, Any] = {}
        probe = {**rdma.run(Host(self.root), {}), **self.about}
        found, why, notes = verdict(
            RDMA.test_ports_are_up_and_count_no_new_errors,
            waivers=self.waivers,
            node="n1",
            probe=json.loads(json.dumps(probe)),
            profile=self.profile,
            limits=self.limits,
            expect={**EXPECT, **expect},
            baseline=baseline,
        )
        self.measured = json.loads(json.dumps(notes.measured))
        return found, why

    def baseline(self) -> dict[str, Any]:
        """What the gate keeps of the machine as it is, which must pass."""
        assert self.judged()[0] == "pass", self.judged()
        self.write({"proc/uptime": "7600.00 1\n"})
        return self.measured
