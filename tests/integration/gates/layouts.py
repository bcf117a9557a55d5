"""Six layouts of healthy nodes, and what goes on on such nodes all day without anything being wrong with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.gates.faults.fault import given, mig, sliced, whole
from tests.unit.gates.faults.machine import matrix
from tests.unit.gates.faults.recorded import Recorded, at_rest

from knowngood.gate.driver import QUERY
from knowngood.gate.rdma_counters import INFORM
from knowngood.twin import host_files

CLASS = "sys/class/infiniband"
Noise = Callable[[Recorded, random.Random], object]


def device(node: Recorded, name: str, slot: str, **files: str) -> None:
    """One more RDMA device, as the first one but for these files."""
    for path, text in host_files.nic(node.machine.seed, 0).items():
        node.machine.write(path.replace("mlx5_0", name), text)
    node.machine.write(f"{CLASS}/{name}/device/uevent", f"DRIVER=mlx5_core\nPCI_SLOT_NAME={slot}\n")
    node.machine.write(f"{CLASS}/{name}/node_guid", f"5c25:7303:{slot[5:7]}{slot[8:10]}:000{slot[-1]}\n")
    for path, text in files.items():
        node.machine.write(f"{CLASS}/{name}/{path.replace('__', '/')}", f"{text}\n")


def roce(node: Recorded) -> None:
    """Ethernet, with virtual functions and two storage NICs of another make."""
    for nic in range(node.machine.seed.nics):
        node.machine.set_port(
            nic, {"link_layer": "Ethernet", **{f"hw_counters/{name}": "0" for name in INFORMS}}
        )
    for number in range(4):
        virtual_function(node, number)
    for number in (0, 1):
        other = {"board_id": "DEL0000000027", "hca_type": "MT41692", "ports__1__link_layer": "Ethernet"}
        device(node, f"mlx5_{20 + number}", f"0000:f0:00.{number}", **other)


def virtual_function(node: Recorded, number: int) -> None:
    """One more of the first NIC."""
    name = f"mlx5_{30 + number}"
    device(node, name, f"0000:1c:01.{number}", ports__1__link_layer="Ethernet", ports__1__state="1: DOWN")
    node.machine.write(f"{CLASS}/{name}/device/physfn/uevent", "PCI_SLOT_NAME=0000:1c:00.0\n")


def infiniband(node: Recorded) -> None:
    """With a management NIC that is down, and the functions by which an NVSwitch is managed."""
    device(
        node,
        "mlx5_20",
        "0000:f1:00.0",
        board_id="DEL0000000015",
        hca_type="MT4127",
        ports__1__state="1: DOWN",
        ports__1__phys_state="3: Disabled",
        ports__1__link_layer="Ethernet",
    )
    for number in range(2):
        device(
            node, f"mlx5_{21 + number}", f"0000:c{number}:00.0", board_id="NVD0000000054", hca_type="MT4129"
        )


def pcie(folder: Path) -> Recorded:
    """No NVSwitch, and the profile of such a machine."""
    profile = matrix().profiles["xe7740-h200nvl"]

    def plain(node: Recorded) -> None:
        given(node)
        node.profile = profile

    fields = {"product": profile.product, "gpuModel": profile.gpu_model, "gpuPciId": profile.gpu_pci_id}
    return at_rest(folder, plain, nvswitch=False, gpus=profile.gpus, nics=profile.nics, **fields)


def with_nics(prepare: Callable[[Recorded], object], **limits: Any) -> Callable[[Path], Recorded]:
    """A whole machine with other NICs."""

    def made(folder: Path) -> Recorded:
        def nics(node: Recorded) -> None:
            given(node)
            gates = {**node.profile.gates}
            gates["rdma_health"] = {**gates["rdma_health"], **limits}
            node.profile = replace(node.profile, gates=gates)
            prepare(node)

        return at_rest(folder, nics)

    return made


LAYOUTS: Mapping[str, Callable[[Path], Recorded]] = {
    "HGX with NVSwitch": whole,
    "PCIe": pcie,
    "MIG": mig,
    "time-sliced": sliced,
    "RoCE with VFs and storage NICs": with_nics(roce),
    "InfiniBand with a management NIC": with_nics(infiniband),
}
INFORMS = sorted(name for name in INFORM if name.isidentifier())


def counters(node: Recorded, dice: random.Random) -> None:
    """Traffic, congestion, and errors within the rate."""
    for nic in range(node.machine.seed.nics):
        for name in ("port_rcv_data", "port_xmit_data", "port_xmit_packets", "port_xmit_wait"):
            node.machine.count(nic, name, dice.randrange(10**9))
        node.machine.count(nic, "symbol_error", dice.randrange(3))
        for name in ("np_cnp_sent", "rp_cnp_handled"):
            path = f"{CLASS}/mlx5_{nic}/ports/1/hw_counters/{name}"
            value = int(node.machine.read(path) or 0) + dice.randrange(1000)
            node.machine.set_port(nic, {f"hw_counters/{name}": str(value)})


def flood(node: Recorded, dice: random.Random) -> None:
    """A chatty kernel: nothing of it is the drivers' trouble."""
    lines = (
        "IPv6: ADDRCONF(NETDEV_CHANGE): veth{}: link becomes ready",
        "audit: type=1400 audit({}.1:5): avc:  granted",
        "mlx5_core 0000:1c:00.0: Port module event: module {}, Cable plugged",
        "nvidia-nvlink: Nvlink Core is being initialized, major device number {}",
        "device veth{} entered promiscuous mode",
        "health.go:185] XidCriticalError: Xid=79 on Device=GPU-{}",
    )
    for number in range(dice.randrange(20, 60)):
        node.machine.kernel(dice.choice(lines).format(number % 8))


def consequences(node: Recorded, dice: random.Random) -> None:
    """A tenant's job died: channels that were ended with it."""
    for number in range(dice.randrange(1, 8)):
        node.machine.kernel(
            f"NVRM: Xid (PCI:0000:18:00): 45, pid={number}, name=python3, Ch 0000000{number}", 3
        )


def tenants_error(node: Recorded, dice: random.Random) -> None:
    """One tenant's own mistake, on one GPU."""
    node.machine.kernel(
        f"NVRM: Xid (PCI:0000:18:00): 31, pid={dice.randrange(9999)}, name=python3, Ch 00000008, MMU Fault", 3
    )


def resting(node: Recorded, dice: random.Random) -> None:
    """GPUs that rest, or work at their power cap."""

    def said(text: str) -> str:
        still = text.replace("<performance_state>P0", "<performance_state>P8")
        return still.replace("current_link_gen>5", "current_link_gen>1")

    def capped(text: str) -> str:
        return text.replace("sw_power_cap>Not Active", "sw_power_cap>Active")

    node.printed[QUERY] = dice.choice((said, capped, str))


def renamed(node: Recorded, _dice: random.Random) -> None:
    """The devices were found in another order."""
    folder = node.machine.root / CLASS
    one, other = folder / "mlx5_0", folder / "mlx5_1"
    one.rename(folder / "x")
    other.rename(one)
    (folder / "x").rename(other)


def functions(node: Recorded, dice: random.Random) -> None:
    """Virtual functions come and go with tenants' pods."""
    number = dice.randrange(4, 8)
    if (node.machine.root / CLASS / f"mlx5_{30 + number}").exists():
        node.machine.remove([f"{CLASS}/mlx5_{30 + number}"])
    else:
        virtual_function(node, number)


NOISES: tuple[Noise, ...] = (counters, flood, consequences, tenants_error, resting, renamed)


def noise(node: Recorded, dice: random.Random, layout: str) -> list[str]:
    """An hour of such a node: some of it, by lot; what it was."""
    chosen = dice.sample(NOISES, dice.randrange(2, len(NOISES)))
    if "VFs" in layout:
        chosen.append(functions)
    node.passes(1.0)
    for one in chosen:
        one(node, dice)
    return [one.__name__ for one in chosen]
