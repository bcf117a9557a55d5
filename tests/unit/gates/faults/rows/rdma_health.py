"""What rdma_health must say of a node."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.recorded import Recorded

from knowngood.model.verdict import Verdict
from knowngood.twin import host_files

CLASS = "sys/class/infiniband"


def port(nic: int, **values: object) -> Spoil:
    """Files of a port: `counters/link_downed` is written counters__link_downed."""
    return lambda n: n.machine.set_port(nic, {k.replace("__", "/"): str(v) for k, v in values.items()})


def device(nic: int, file: str, text: str) -> Spoil:
    return lambda n: n.machine.write(f"{CLASS}/mlx5_{nic}/{file}", f"{text}\n")


def by_peermem(node: Recorded) -> None:
    node.machine.load_peermem(users=1)


def ethernet(node: Recorded) -> None:
    """Another NIC joins: of storage, on Ethernet. Nothing of it was there before, and nothing is asked of it."""
    for path, text in host_files.nic(node.machine.seed, 0).items():
        node.machine.write(path.replace("mlx5_0", "mlx5_9"), text)
    node.machine.write(f"{CLASS}/mlx5_9/device/uevent", "DRIVER=mlx5_core\nPCI_SLOT_NAME=0000:f0:00.0\n")
    node.machine.write(f"{CLASS}/mlx5_9/board_id", "DEL0000000027\n")
    node.machine.write(f"{CLASS}/mlx5_9/node_guid", "5c25:7303:0000:0009\n")
    node.machine.write(f"{CLASS}/mlx5_9/ports/1/link_layer", "Ethernet\n")


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "a storage NIC more": ethernet,
    "what is only counted": port(1, counters__port_rcv_data=10**9, counters__port_xmit_wait=5),
    "errors within the hour's rate": port(1, counters__symbol_error=100),
}
FAULTS: Mapping[str, Fault] = {
    "a port that is down": Fault(
        port(3, state="1: DOWN", phys_state="2: Polling"), "mlx5_3/1 (0000:61:00.0/1) is DOWN/Polling"
    ),
    "a link at half its rate": Fault(
        port(2, rate="200 Gb/sec (2X NDR)"), "mlx5_2/1 (0000:3e:00.0/1) runs at 200.0 Gb/s, expected 400"
    ),
    "a link that went down": Fault(port(4, counters__link_downed=1), "mlx5_4/1 (0000:9e:00.0/1) link_downed"),
    "symbol errors beyond the rate": Fault(port(5, counters__symbol_error=100_000), "mlx5_5/1"),
    "a packet that was lost on InfiniBand": Fault(port(6, hw_counters__out_of_sequence=4), "mlx5_6/1"),
    "a counter that can't be read": Fault(
        port(1, counters__link_downed="\x00"),
        "mlx5_1/1 (0000:2e:00.0/1) link_downed can't be",
        Verdict.INCONCLUSIVE,
    ),
    "another firmware": Fault(
        device(1, "fw_ver", "28.39.1002"),
        "mlx5_1 has firmware 28.39.1002",
        also={"latent_fault": "nic-firmware is 28.39.1002"},
    ),
    "half the PCIe lanes": Fault(device(1, "device/current_link_width", "8"), "mlx5_1/1"),
    "a NIC that is gone": Fault(lambda n: n.machine.remove([f"{CLASS}/mlx5_7"]), "of the baseline is gone"),
    "GPU memory by the old way": Fault(
        by_peermem,
        "GPU memory goes by nvidia-peermem, expected dma-buf",
        also={"drift": "rdma-mode is nvidia-peermem", "latent_fault": "rdma-mode is nvidia-peermem"},
    ),
    "a firmware that complains": Fault(
        lambda n: n.machine.kernel(
            "mlx5_core 0000:1c:00.0: print_health_info:431:(pid 0): Health issue observed, firmware internal error",
            3,
        ),
        "0000:1c:00.0",
    ),
    "a queue that hangs": Fault(
        lambda n: n.machine.kernel("mlx5_core 0000:1c:00.0 ens1np0: TX timeout detected", 3), "0000:1c:00.0"
    ),
    "an IOMMU's fault of a NIC, by its address": Fault(
        lambda n: n.machine.kernel("DMAR: [DMA Read NO_PASID] Request device [2e:00.0] fault addr 0x7", 3),
        "iommu-fault on NIC 0000:2e:00",
    ),
    "a firmware that can't be read": Fault(
        lambda n: n.machine.remove([f"{CLASS}/mlx5_1/fw_ver"]),
        "can't read the firmware",
        Verdict.INCONCLUSIVE,
    ),
    "nothing that shows the way of GPU memory": Fault(
        lambda n: n.machine.write("proc/kallsyms", "0 T linux_banner\n"),
        "can't tell how GPU memory",
        Verdict.INCONCLUSIVE,
    ),
}


def no_ports(node: Recorded) -> None:
    node.machine.remove([CLASS])
    node.unanswered = "no room for a probe"


def no_port_of_a_probe(node: Recorded) -> None:
    node.machine.remove([CLASS])
    node.results["rdma"] = {"ok": None, "reason": "", "measured": {}}


EMPTY: Mapping[str, Empty] = {
    "no RDMA device in the driver's pod, and no probe": Empty(no_ports, "no room for a probe"),
    "no port by the probe's own answer": Empty(no_port_of_a_probe, "could not read the ports"),
}
