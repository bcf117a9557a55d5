"""What driver_health must say of a node."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.recorded import Recorded

from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.driver import NVLINK, QUERY
from knowngood.model.verdict import Verdict
from knowngood.twin.world import FABRIC_MANAGER

GPU, THIRD = "0000:3a:00.0", 2
AILING = {
    "row-remap-pending": "a row remap is pending",
    "row-remap-fails": "a row remap failed: replace it",
    "sram-errors": "its SRAM had more errors",
    "ecc-switched-off": "ECC is off",
    "pcie-downtrains": "PCIe x8, expected x16",
    "thermal-slowdown": "slowed down by its hardware, by heat",
    "nvlink-goes-down": "17 of 18 NVLinks are up, down: 7",
    "fabric-in-progress": "the fabric is in progress",
    "inforom-corrupted": "the InfoROM of GPU",
    "persistence-lost": "persistence is off",
}
"""The twin's own."""
EDITED = {
    "a remapped row more than before": ("remapped_row_unc>0<", "remapped_row_unc>1<", "grew from 0 to 1"),
    "a page retirement pending": ("<pending_retirement>N/A", "<pending_retirement>Yes", "page retirement"),
    "a channel repair pending": ("channel_repair_pending>No", "channel_repair_pending>Yes", "channel repair"),
    "a TPC repair pending": ("tpc_repair_pending>No", "tpc_repair_pending>Yes", "TPC repair"),
    "a reset asked for": ("gpu_recovery_action>None", "gpu_recovery_action>GPU Reset", "asks for: GPU Reset"),
    "ECC off after the next reset": ("pending_ecc>Enabled", "pending_ecc>Disabled", "ECC will be disabled"),
    "an older generation of PCIe": (
        "current_link_gen>5",
        "current_link_gen>4",
        "PCIe generation 4, expected 5",
    ),
    "a power brake": ("hw_power_brake_slowdown>Not", "hw_power_brake_slowdown>", "power brake"),
    "another model": ("<pci_device_id>233510DE", "<pci_device_id>233010DE", "PCI id 10de:2330"),
    "a fabric without success": ("<status>Success", "<status>Failure", "the fabric ended with: Failure"),
    "an unhealthy fabric": ("route_unhealthy>N/A", "route_unhealthy>True", "routeUnhealthy is True"),
    "lost memory errors": ("<dram_uncorrectable>0", "<dram_uncorrectable>1", "uncorrectable memory errors"),
}
UNTOLD = {
    "a value that is not told": ("<remapped_row_failure>No", "<remapped_row_failure>N/A", "remapFailure"),
    "an unknown word": ("<remapped_row_pending>No", "<remapped_row_pending>Perhaps", "remapPending"),
    "no fabric state": ("<state>Completed", "<state>N/A", "its fabric state is not told"),
}


def ailing(ailment: str) -> Spoil:
    return lambda n: n.machine.ail(ailment, n.machine.gpus()[THIRD])


def edit(old: str, new: str) -> Spoil:
    return lambda n: n.edited(QUERY, old, new, THIRD)


def of_another_node(node: Recorded) -> None:
    """Somebody else's answer: what it says may be well, and is not of this machine."""
    node.printed[QUERY] = lambda text: text.replace("GPU-", "GPU-0")


def resting(text: str) -> str:
    still = text.replace("<performance_state>P0", "<performance_state>P8")
    return still.replace("current_link_gen>5", "current_link_gen>1")


def half_a_link(text: str) -> str:
    return text.replace("Link 3: 26.562 GB/s", "Link 3: 13.281 GB/s", 1)


def all_links_slow(node: Recorded) -> None:
    node.baseline = {key: kept for key, kept in node.baseline.items() if "driver_health" not in key}
    node.printed[NVLINK] = lambda text: text.replace("26.562", "13.281")


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "a link that rests while its GPU does": lambda n: n.printed.update({QUERY: resting}),
}
FAULTS: Mapping[str, Fault] = {
    **{name: Fault(ailing(name), words) for name, words in AILING.items()},
    **{name: Fault(edit(old, new), words) for name, (old, new, words) in EDITED.items()},
    **{
        name: Fault(edit(old, new), words, Verdict.INCONCLUSIVE) for name, (old, new, words) in UNTOLD.items()
    },
    "a link at half its rate": Fault(
        lambda n: n.printed.update({NVLINK: half_a_link}), "NVLink 3 runs at 13.281 GB/s, others at 26.562"
    ),
    "all links at half their rate, and no baseline": Fault(
        all_links_slow, "NVLink 0 runs at 13.281 GB/s, expected at 25"
    ),
    "a link in words that nobody knows": Fault(
        lambda n: n.printed.update({NVLINK: lambda t: t.replace("Link 3: 26.562 GB/s", "Link 3: Sleep", 1)}),
        "NVLink 3 is told as",
        Verdict.INCONCLUSIVE,
    ),
    "no Fabric Manager": Fault(lambda n: n.machine.remove([FABRIC_MANAGER]), "Fabric Manager does not run"),
    "a GPU off the bus by the tool's exit code": Fault(
        lambda n: n.printed.update({QUERY: lambda t: Ran(t, "", 15)}), "a GPU has fallen off the bus"
    ),
    "another node's answer": Fault(of_another_node, "is gone"),
}
EMPTY: Mapping[str, Empty] = {
    "no answer": Empty(lambda n: n.printed.update({QUERY: lambda _: ""}), "can't be read"),
    "no NVLinks": Empty(lambda n: n.printed.update({NVLINK: lambda _: ""}), "its NVLinks are not told"),
    "no driver": Empty(
        lambda n: n.printed.update({QUERY: lambda _: Ran("", "", 9)}), "nvidia-smi ended with 9"
    ),
}
