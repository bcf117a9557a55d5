"""One input at a time is missing, of an older boot, or another node's: no gate that needs it passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.gates.faults.fault import Stock
from tests.unit.gates.faults.recorded import Recorded, Said, names

from knowngood.adapters.cluster import readouts
from knowngood.gate.driver import NVLINK, QUERY
from knowngood.gate.rdma_counters import judged
from knowngood.model.verdict import Verdict

INCONCLUSIVE = Verdict.INCONCLUSIVE.value
NOT_NEEDED = {
    "mig/monitor": "mig/config beside it shows that the driver can part GPUs, and has not",
    "kallsyms|proc/version": "each of them shows DMA-BUF where the other is missing",
    "bus/pci/devices": "it lists what else is plugged in; GPUs and NICs have files of their own",
    "proc/uptime": "nothing has grown, so no rate is asked",
    "class/dmi/": "the release names neither BIOS nor product",
    "board_id|hca_type": "the profile names no board, and all ports are of one make",
    "device/uevent|node_guid": "a port is known by its GUID where its address is missing, and the other way round",
    "max_link_|sriov_numvfs": "what a slot could do is told, not judged",
    "refcnt|mlx5_ib/version|rpcrdma/srcversion": "another file of the module shows that it is loaded",
}
"""Files without which all gates pass, and why they may."""
SHOWN_BY_ABSENCE = {
    "gpus/#/information": {"drift": "fail", "driver_health": INCONCLUSIVE, "time_slicing": "fail"},
    "nv-fabricmanager.pid": {"driver_health": "fail"},
}
"""Files that are not there when what they stand for is not: that is measured."""
TOLD = {
    "mig/config": "the places of MIG instances can't be read",
    "driver/nvidia/version": "can't read kernel-module-type|can't read which kernel modules the GPU driver has",
    "random/boot_id": "it did not tell its boot id",
    "gpus/#/information": "the driver has 7 GPUs|is not in the kernel's files|8 of 7 nvidia.com/gpu",
    "nv-fabricmanager.pid": "Fabric Manager does not run",
    "current_link_speed": "can't read the speed of the PCIe link of mlx5_7",
    "current_link_width": "can't read the width of the PCIe link of mlx5_7",
    "fw_ver": "can't read the firmware of mlx5_7",
    "link_layer": "can't read the link layer of mlx5_7",
    "state": "can't read the state of mlx5_7",
    "/rate": "can't read the rate of mlx5_7",
    "mlx5_core/version": "can't read doca-ofed",
    "nvidia/version": "can't read nvidia-driver|the nvidia module is not loaded",
}
"""How a kind of file ends -> the words of which one stands in each reason; a counter is told by its name."""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))


def bad(found: Mapping[str, Said]) -> dict[str, str]:
    return {gate: said.verdict.value for gate, said in found.items() if said.verdict is not Verdict.PASS}


def files(node: Recorded) -> dict[str, str]:
    """Kind of file -> one of them, of all that are read of a node; the last NIC and GPU stand for the others."""
    printed = node.execute(readouts.command(with_ports=True)).stdout
    paths = readouts.parse_grep(printed)
    return {
        re.sub(r"mlx5_\d+(?=/)|[0-9a-f:.]{12}|gpu\d+", "#", path): path.lstrip("/") for path in sorted(paths)
    }


def expected(kind: str, node: Recorded) -> dict[str, str] | None:
    """What the gates say without a file of that kind; None: some say that they can't tell, and none fails."""
    counter = kind.rpartition("/")[2] if "counters/" in kind else ""
    informs = counter and not judged(counter, "InfiniBand", node.profile.gates["rdma_health"])
    if informs or any(re.search(words, kind) for words in NOT_NEEDED):
        return {}
    return next((said for words, said in SHOWN_BY_ABSENCE.items() if kind.endswith(words)), None)


def test_each_file_that_is_missing_is_told_and_none_is_held_against_the_node(
    stock: Stock, tmp_path: Path
) -> None:
    kinds = files(stock.of("whole", tmp_path / "all"))
    assert len(kinds) > 60
    wrong = {}
    for number, (kind, path) in enumerate(sorted(kinds.items())):
        node = stock.of("whole", tmp_path / str(number))
        node.machine.remove([path])
        said, wanted = node.judged(names()), expected(kind, node)
        found = bad(said)
        right = found == wanted if wanted is not None else set(found.values()) == {INCONCLUSIVE}
        if not right or wordless(kind, said):
            wrong[kind] = {gate: said[gate].reason for gate in found}
    assert wrong == {}


def wordless(kind: str, found: Mapping[str, Said]) -> list[str]:
    """Gates that say something else than what is missing."""
    counter = rf"mlx5_7.* {kind.rpartition('/')[2]} can't be read"
    words = next((words for end, words in TOLD.items() if kind.endswith(end)), counter)
    return [gate for gate in bad(found) if not re.search(words, found[gate].reason)]


def of_another_boot(text: str) -> str:
    return re.sub(r'("_BOOT_ID": ")[0-9a-f]{32}', r"\g<1>" + "d" * 32, text)


def rebooted(node: Recorded) -> None:
    node.node["status"]["nodeInfo"]["bootID"] = "d" * 8


def answered_by_another(node: Recorded) -> None:
    """The driver pod that answers is another node's: nothing was known of this one before."""
    node.baseline.clear()
    node.printed[QUERY] = lambda text: text.replace("GPU-", "GPU-0")


READERS = (
    "drift",
    "driver_health",
    "gpu_errors",
    "latent_fault",
    "mig_layout",
    "rdma_health",
    "time_slicing",
)
INPUTS: dict[str, tuple[Callable[[Recorded], object], tuple[str, ...], str]] = {
    "the driver pod's shell": (lambda n: setattr(n, "silent", "no route"), READERS, "no route"),
    "the kubelet's journal": (lambda n: setattr(n, "unread", "403"), READERS, "403"),
    "nvidia-smi": (
        lambda n: n.printed.update({QUERY: lambda _: ""}),
        ("driver_health", "mig_layout", "time_slicing"),
        "can't be read",
    ),
    "its NVLinks": (lambda n: n.printed.update({NVLINK: lambda _: ""}), ("driver_health",), "NVLinks"),
    "the probe": (
        lambda n: setattr(n, "unanswered", "never started"),
        ("smoke_inference", "smoke_training"),
        "never started",
    ),
    "the node's readiness": (
        lambda n: n.node["status"].update(conditions=[]),
        (*READERS, "smoke_inference", "smoke_training"),
        "the node is not Ready",
    ),
    "an older boot's files": (rebooted, (*READERS, "smoke_inference", "smoke_training"), "rebooted"),
    "an older boot's journal": (
        lambda n: setattr(n, "journal", of_another_boot),
        ("gpu_errors", "rdma_health"),
        "no line of the present",
    ),
    "an older boot's probe": (
        lambda n: n.answered.update(bootId="d" * 32),
        ("smoke_inference", "smoke_training"),
        "rebooted",
    ),
    "another node's driver": (answered_by_another, ("driver_health",), "by the kernel's files another one"),
}
"""Input -> how it is taken away, the gates that can't tell without it, and their words."""


@pytest.mark.parametrize("missing", INPUTS)
def test_each_input_that_is_missing_is_told_by_each_gate_that_needs_it(
    stock: Stock, tmp_path: Path, missing: str
) -> None:
    take, gates, words = INPUTS[missing]
    node = stock.of("whole", tmp_path)
    take(node)
    found = node.judged(names())
    assert bad(found) == dict.fromkeys(gates, INCONCLUSIVE), found
    assert all(words in found[gate].reason for gate in gates), found
