"""What the driver tells of a GPU (`nvidia-smi -q`), and what ails one. Pure; world.py keeps what ails whom.

Names and order are those of nvsmi_device_v13.dtd, the words those of an H200 at work; a part that never differs here
and that nobody judges (clock tables, encoders) is left out. Serial values follow from the node's name.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.twin.seed import NodeSeed

LINKS = 18
"""NVLinks of a Hopper GPU; a machine without NVSwitch has none here: no bridges are played."""
LINK_RATE, LINK_RATE_5 = "26.562 GB/s", "53.125 GB/s"
"""Of a Hopper GPU's NVLink, and a Blackwell's."""
DOWN = "<inactive>"
LINK, INFOROM = "link/", "inforom_version/img_version"
"""`link/<n>` stands for an NVLink beside the document's own paths."""

_UNTOLD = "N/A"
_DEPRECATED = "Requested functionality has been deprecated"
_REASON = "clocks_event_reasons/clocks_event_reason_{}"
_GEN, _WIDTH = "pci/pci_gpu_link_info/pcie_gen", "pci/pci_gpu_link_info/link_widths"

AILMENTS: Mapping[str, Mapping[str, str]] = {
    # An uncorrectable error of the memory; the row is replaced at the next reset (Xid 63).
    "row-remap-pending": {
        "remapped_rows/remapped_row_unc": "1",
        "remapped_rows/remapped_row_pending": "Yes",
        "gpu_recovery_action": "Drain and Reset",
    },
    # No spare row was left (Xid 64).
    "row-remap-fails": {"remapped_rows/remapped_row_unc": "9", "remapped_rows/remapped_row_failure": "Yes"},
    "sram-errors": {
        "ecc_errors/volatile/sram_uncorrectable_parity": "1",
        "ecc_errors/aggregate/sram_uncorrectable_parity": "6",
        "ecc_errors/aggregate/sram_threshold_exceeded": "Yes",
    },
    "ecc-switched-off": {"ecc_mode/current_ecc": "Disabled", "ecc_mode/pending_ecc": "Disabled"}
    | {
        f"ecc_errors/{since}/{what}": _UNTOLD
        for since in ("volatile", "aggregate")
        for what in ("sram_uncorrectable_parity", "sram_uncorrectable_secded", "dram_uncorrectable")
    },
    # A retimer or a seat after maintenance: Gen5 x16 comes up as Gen3 x8, and no Xid says so.
    "pcie-downtrains": {
        f"{_GEN}/current_link_gen": "3",
        f"{_GEN}/device_current_link_gen": "3",
        f"{_WIDTH}/current_link_width": "8x",
    },
    "thermal-slowdown": {
        _REASON.format("hw_slowdown"): "Active",
        _REASON.format("hw_thermal_slowdown"): "Active",
        "temperature/gpu_temp": "91 C",
    },
    "nvlink-goes-down": {f"{LINK}7": DOWN},
    # CUDA answers 802, system not yet initialized.
    "fabric-in-progress": {"fabric/state": "In Progress", "fabric/status": _UNTOLD},
    "inforom-corrupted": {
        INFOROM: _UNTOLD,
        "inforom_version/oem_object": _UNTOLD,
        "inforom_version/ecc_object": _UNTOLD,
    },
    "persistence-lost": {"persistence_mode": "Disabled"},
}
"""Fault -> what it changes on one GPU."""
CURED_BY_BOOT = ("row-remap-pending", "thermal-slowdown", "persistence-lost", "fabric-in-progress")
"""What a new boot mends; the rest is broken until somebody repairs it (the fault is cleared)."""


def values(node: NodeSeed, gpu: str, minor: int, uuid: str, driver: str) -> dict[str, str]:
    """A healthy GPU: path below <gpu> -> text, in the document's order."""
    vendor, _, device = (node.gpuPciId or "10de:233b").partition(":")
    bus = gpu.upper().partition(":")[2]
    return {
        "product_name": node.gpuModel,
        "product_brand": "NVIDIA",
        "product_architecture": "Hopper",
        "display_mode": _DEPRECATED,
        "display_active": "Disabled",
        "persistence_mode": "Enabled",
        "addressing_mode": "None",
        "mig_mode/current_mig": "Enabled" if node.instances else "Disabled",
        "mig_mode/pending_mig": "Enabled" if node.instances else "Disabled",
        "mig_devices": "None",
        "serial": f"16530{minor:02}0{len(node.name):05}",
        "uuid": uuid,
        "minor_number": str(minor),
        "vbios_version": "96.00.cf.00.02",
        INFOROM: "G520.0282.00.04",
        "inforom_version/oem_object": "2.1",
        "inforom_version/ecc_object": "7.16",
        "inforom_version/pwr_object": _UNTOLD,
        "gpu_virtualization_mode/virtualization_mode": "None",
        "gpu_reset_status/reset_required": _DEPRECATED,
        "gpu_reset_status/drain_and_reset_recommended": _DEPRECATED,
        "gpu_recovery_action": "None",
        "gsp_firmware_version": driver,
        "pci/pci_bus": bus[:2],
        "pci/pci_device": "00",
        "pci/pci_domain": "0000",
        "pci/pci_device_id": f"{device}{vendor}".upper(),
        "pci/pci_bus_id": f"00000000:{bus}",
        **_link_info(),
        "pci/replay_counter": "0",
        "pci/replay_rollover_counter": "0",
        "fan_speed": _UNTOLD,
        "performance_state": "P0",
        **_reasons(),
        "compute_mode": "Default",
        "utilization/gpu_util": "0 %",
        "ecc_mode/current_ecc": "Enabled",
        "ecc_mode/pending_ecc": "Enabled",
        **_memory(),
        "temperature/gpu_temp": "34 C",
        "temperature/memory_temp": "41 C",
        "gpu_power_readings/power_state": "P0",
        "gpu_power_readings/instant_power_draw": "76.41 W",
        "gpu_power_readings/current_power_limit": "700.00 W",
        **_fabric(nvswitch=node.nvswitch and not node.instances),
    }


def _link_info() -> dict[str, str]:
    gens = ("max_link_gen", "current_link_gen", "device_current_link_gen", "max_device_link_gen")
    widths = ("max_link_width", "current_link_width")
    info = {f"{_GEN}/{name}": "5" for name in (*gens, "max_host_link_gen")}
    return info | {f"{_WIDTH}/{name}": "16x" for name in widths}


def _reasons() -> dict[str, str]:
    names = ("gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "hw_thermal_slowdown")
    more = ("hw_power_brake_slowdown", "sync_boost", "sw_thermal_slowdown", "display_clocks_setting")
    found = {_REASON.format(name): "Not Active" for name in (*names, *more)}
    return found | {_REASON.format("gpu_idle"): "Active"}


def _memory() -> dict[str, str]:
    counts = ("sram_correctable", "sram_uncorrectable_parity", "sram_uncorrectable_secded")
    found = {
        f"ecc_errors/{since}/{count}": "0"
        for since in ("volatile", "aggregate")
        for count in (*counts, "dram_correctable", "dram_uncorrectable")
    }
    sources = ("sram_l2", "sram_sm", "sram_microcontroller", "sram_pcie", "sram_other")
    found["ecc_errors/aggregate/sram_threshold_exceeded"] = "No"
    found |= {f"ecc_errors/aggregate_uncorrectable_sram_sources/{source}": "0" for source in sources}
    found |= {f"ecc_errors/{what}_repair_pending": "No" for what in ("channel", "tpc")}
    found |= {"retired_pages/pending_blacklist": _UNTOLD, "retired_pages/pending_retirement": _UNTOLD}
    rows = {"corr": "0", "unc": "0", "pending": "No", "failure": "No"}
    found |= {f"remapped_rows/remapped_row_{name}": text for name, text in rows.items()}
    banks = {"max": "2560", "high": "0", "partial": "0", "low": "0", "none": "0"}
    histogram = "remapped_rows/row_remapper_histogram/row_remapper_histogram_{}"
    return found | {histogram.format(name): f"{count} bank(s)" for name, count in banks.items()}


def _fabric(*, nvswitch: bool) -> dict[str, str]:
    state = {"state": "Completed", "status": "Success", "cliqueId": "0"} if nvswitch else {}
    state |= {"clusterUuid": "00000000-0000-0000-0000-000000000000"} if nvswitch else {}
    told = dict.fromkeys(("state", "status", "cliqueId", "clusterUuid"), _UNTOLD) | state
    health = ("bandwidth", "route_recovery_in_progress", "route_unhealthy", "access_timeout_recovery")
    found = {f"fabric/{name}": text for name, text in told.items()}
    return found | {f"fabric/health/{name}": _UNTOLD for name in health}
