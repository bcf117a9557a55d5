"""What gpu_errors must say of a node."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.machine import DRIVER, NODE
from tests.unit.gates.faults.recorded import Recorded

from knowngood.gate.log_errors import Beside
from knowngood.model.context import Window
from knowngood.model.verdict import Verdict

XID = "NVRM: Xid (PCI:0000:18:00): {}, pid=20012, name=python3, Ch 00000008"
LOST = "NVRM: Xid (PCI:0000:18:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
NONE = (
    "NVRM: Xid (PCI:0000:18:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
)


def prints(*lines: str) -> Spoil:
    def spoil(node: Recorded) -> None:
        for line in lines:
            node.machine.kernel(line, 3)

    return spoil


def at_work(node: Recorded, *lines: str, elsewhere: bool = False) -> None:
    node.asked["tenants_work"] = True
    prints(*lines)(node)
    if elsewhere:
        node.beside = Beside({"Xid 31": [("fra-gpu-2", "0000:2a:00", None, None)]})


def ours(node: Recorded, *lines: str) -> None:
    """Claimed and drained, as drift wants to see it."""
    from tests.unit.gates.faults.rows.drift import claimed  # noqa: PLC0415 (rows are read one by one)

    claimed(node)
    node.asked["windows"] = {NODE: node.window}
    prints(*lines)(node)


def rebooted(node: Recorded) -> None:
    """It power-cycled by itself, and all is as it was."""
    machine = node.machine
    machine.kernel("nvidia-nvlink: Unregistered Nvlink Core, major device number 510")
    machine.boot("power-on")
    machine.load_driver(DRIVER, "open")
    machine.install_user_space(DRIVER)
    machine.start_fabric_manager()
    node.node["status"]["nodeInfo"]["bootID"] = machine.boot_id
    node.passes(0.5)


def a_boot_lost(node: Recorded) -> None:
    """The log of the boot in which the window opened is gone."""
    rebooted(node)
    node.window = Window("0" * 32, 10.0, "")


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "one tenant's error on one GPU": lambda n: at_work(n, XID.format(31)),
    "an error that the driver says is cured": prints(XID.format(95), NONE),
    "a disk's IOMMU fault": prints(
        "nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0000 address=0xfc189000 flags=0x0000]"
    ),
    "consequences": prints(XID.format(45), XID.format(43)),
    "another tool's echo": prints("health.go:185] XidCriticalError: Xid=79 on Device=GPU-1"),
}
FAULTS: Mapping[str, Fault] = {
    "off the bus": Fault(prints(LOST), "Xid 79 on GPU 0000:18:00"),
    "a code that no table has": Fault(prints(XID.format(999)), "Xid 999 on GPU 0000:18:00"),
    "an application's error while drained": Fault(
        lambda n: ours(n, XID.format(31)), "Xid 31 on GPU 0000:18:00"
    ),
    "an error that this node did not have": Fault(
        prints(XID.format(31)), "before the change this node had 0"
    ),
    "the same on two nodes at work": Fault(
        lambda n: at_work(n, XID.format(31), elsewhere=True), "on more than one GPU"
    ),
    "a remap that failed": Fault(
        prints("NVRM: Xid (PCI:0000:18:00): 64, pid=1, name=x, Row remapper failure"),
        "Xid 64 on GPU 0000:18:00",
    ),
    "an NVSwitch's fatal error": Fault(
        prints("nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 48 LTSSM Fault Up"),
        "SXid 20034",
    ),
    "a GPU whose GSP does not boot": Fault(
        prints("NVRM: GPU 0000:18:00.0: RmInitAdapter failed! (0x62:0x40:2000)"), "0000:18:00"
    ),
    "an IOMMU's fault of a GPU, by its address": Fault(
        prints("DMAR: [DMA Write NO_PASID] Request device [18:00.0] fault addr 0x1a [fault reason 0x05] PTE"),
        "iommu-fault on GPU 0000:18:00",
    ),
    "an IOMMU's fault of nobody knows whom": Fault(
        prints("DMAR: [DMA Write NO_PASID] Request device [fe:1f.7] fault addr 0x1a [fault reason 0x05] PTE"),
        "iommu-fault on device 0000:fe:1f",
        Verdict.INCONCLUSIVE,
    ),
    "a virtual GPU that does not start": Fault(
        prints("[nvidia-vgpu-vfio] a581675d-19eb-4f50-aa64-6aeb378c58c3: start failed. status: 0x0"),
        "vgpu-failed",
        Verdict.INCONCLUSIVE,
    ),
    "a machine check": Fault(
        prints("mce: [Hardware Error]: Machine check events logged"),
        "machine-check-logged",
        Verdict.INCONCLUSIVE,
    ),
    "a panic": Fault(prints("Kernel panic - not syncing: Fatal exception"), "panic"),
    "a boot that nobody asked for": Fault(rebooted, "the node was rebooted since the window opened"),
    "a boot whose log is lost": Fault(
        a_boot_lost,
        "the node was rebooted since the window opened",
        also={"rdma_health": "in which the window opened, is gone"},
    ),
    "a storm of harmless errors": Fault(
        prints(*(XID.format(92).replace("20012", str(i)) for i in range(500))),
        "a storm: ",
        Verdict.INCONCLUSIVE,
    ),
    "a failure in unknown words": Fault(
        prints("NVRM: knvlinkFoo_GH100: failed to enable what nobody knows"), "NVRM", Verdict.INCONCLUSIVE
    ),
    "lines that journald lost": Fault(
        lambda n: setattr(n, "journal", lost_lines),
        "journald lost kernel lines",
        Verdict.INCONCLUSIVE,
        also={"rdma_health": "journald lost kernel lines"},
    ),
}


def lost_lines(text: str) -> str:
    """Journald says so itself."""
    first, _, rest = text.partition("\n")
    entry = json.loads(first) | {
        "_TRANSPORT": "driver",
        "SYSLOG_IDENTIFIER": "systemd-journald",
        "MESSAGE": "Missed 12 kernel messages",
    }
    return f"{first}\n{json.dumps(entry)}\n{rest}"


EMPTY: Mapping[str, Empty] = {
    "no journal": Empty(lambda n: setattr(n, "unread", "403"), "can't be read"),
    "an empty journal": Empty(lambda n: setattr(n, "journal", lambda _: ""), "no line of the present boot"),
}
