"""What drift must say of a node."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.machine import DRIVER, NODE
from tests.unit.gates.faults.recorded import Recorded

from knowngood.model import names
from knowngood.model.node import Leftover
from knowngood.model.verdict import Verdict

OTHER = "595.91.07"
GPU_FILE = "proc/driver/nvidia/gpus/0000:18:00.0/information"


def another_firmware(node: Recorded) -> None:
    for path in node.machine.root.glob("proc/driver/nvidia/gpus/*/information"):
        said = path.read_text().replace(f"GPU Firmware: \t {DRIVER}", f"GPU Firmware: \t {OTHER}")
        node.machine.write(str(path.relative_to(node.machine.root)), said)


def proprietary(node: Recorded) -> None:
    node.machine.write(
        "proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  Mon\n"
    )


def tainted(key: str) -> Spoil:
    return lambda n: n.node["spec"].setdefault("taints", []).append({"key": key, "effect": "NoSchedule"})


def claimed(node: Recorded, *, cordon: bool = True, taint: bool = True) -> None:
    node.asked["claimed"] = True
    node.node["spec"]["unschedulable"] = cordon
    if taint:
        tainted(names.MAINTENANCE_TAINT)(node)


def annotated(key: str) -> Spoil:
    return lambda n: n.node["metadata"].setdefault("annotations", {}).update({key: "x"})


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "claimed, with our taint and cordon": claimed,
    "another run's Job": lambda n: n.leftovers.append(Leftover("job", "knowngood/x", "of r9", "r9")),
}
FAULTS: Mapping[str, Fault] = {
    "another driver's module": Fault(
        lambda n: n.machine.write("sys/module/nvidia/version", f"{OTHER}\n"),
        f"nvidia-driver is {OTHER}, expected {DRIVER}",
        also={"latent_fault": "it was proven as"},
    ),
    "another user space": Fault(
        lambda n: n.machine.install_user_space(OTHER), f"nvidia-user-space is {OTHER}"
    ),
    "another GSP firmware": Fault(another_firmware, f"gsp-firmware is {OTHER}"),
    "the proprietary module": Fault(
        proprietary,
        "kernel-module-type is proprietary, expected open",
        also={"rdma_health": "GPU memory goes by", "latent_fault": "kernel-module-type is proprietary"},
    ),
    "another DOCA-OFED": Fault(
        lambda n: n.machine.write("sys/module/mlx5_core/version", "25.07-0.9.7\n"),
        "doca-ofed is",
        also={"latent_fault": "doca-ofed is"},
    ),
    "a module of that no package says": Fault(
        lambda n: n.machine.write("sys/module/mlx5_core/version", "25.99-9.9.9\n"),
        "doca-ofed reports 25.99-9.9.9, which no known package does",
        Verdict.INCONCLUSIVE,
        also={"latent_fault": "doca-ofed reports 25.99-9.9.9"},
    ),
    "another driver loaded last by the log": Fault(
        lambda n: n.machine.kernel(
            f"NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  {OTHER}  Release Build"
        ),
        f"the kernel log says that {OTHER} was loaded last",
    ),
    "a label that lags behind": Fault(
        lambda n: n.labelled(**{"cuda_driver-version_full": "570.1"}),
        "GPU feature discovery says driver 570.1",
    ),
    "an upgrade that did not end": Fault(
        lambda n: n.node["metadata"]["labels"].update(
            {"nvidia.com/gpu-driver-upgrade-state": "drain-required"}
        ),
        "nvidia.com/gpu-driver-upgrade-state is drain-required",
    ),
    "a drainer's annotation": Fault(
        annotated("nvidia.com/gpu-driver-upgrade-driver-wait-for-safe-load"), "is left over"
    ),
    "NFS over RDMA stayed out": Fault(
        lambda n: n.machine.remove(["sys/module/rpcrdma"]), "no longer loaded: rpcrdma"
    ),
    "in quarantine": Fault(tainted(names.QUARANTINE_TAINT), "the node is in quarantine"),
    "our taint is left": Fault(tainted(names.MAINTENANCE_TAINT), "our maintenance taint is left over"),
    "our claim is left": Fault(annotated(names.CLAIM_ANNOTATION), "the claim x is left over"),
    "somebody lifted our cordon": Fault(lambda n: claimed(n, cordon=False), "somebody lifted our cordon"),
    "our taint is gone": Fault(lambda n: claimed(n, taint=False), "our maintenance taint is gone"),
    "somebody else's cordon": Fault(
        lambda n: n.node["spec"].update({"unschedulable": True}),
        "somebody else cordoned",
        Verdict.INCONCLUSIVE,
    ),
    "a Job of this run": Fault(
        lambda n: n.leftovers.append(Leftover("job", "knowngood/probe-1", "of r1", "r1")),
        "job knowngood/probe-1",
    ),
    "a hold of this run": Fault(
        lambda n: n.leftovers.append(Leftover("hold", NODE, "a pool is paused")), "a pool is paused"
    ),
    "a GPU fewer": Fault(
        lambda n: n.machine.lose_gpu("0000:18:00.0"),
        "the driver has 7 GPUs, the profile 8",
        also={"driver_health": "the driver describes 7 GPUs", "time_slicing": "8 of 7 nvidia.com/gpu"},
    ),
}

EMPTY: Mapping[str, Empty] = {
    "no file can be read": Empty(lambda n: setattr(n, "silent", "the pod is gone"), "can't be read"),
    "no pod": Empty(lambda n: n.pods.clear(), "can't be read"),
}
