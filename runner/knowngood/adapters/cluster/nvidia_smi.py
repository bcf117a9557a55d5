"""Reads what `nvidia-smi` prints: `-q -x` (XML), `nvlink -s` and `-L`. Pure.

Format: nvsmi_device_v11 to v13 (v13 since R560). Names change between branches, so a reading is looked for under each
name that it had. The document comes from a driver's pod and holds names that tenants chose (processes): no DTD and so
no entity ever reaches the parser, its size is bounded, and a reading that is there twice is not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

MAX_CHARS = 8 << 20
"""Eight GPUs with their clock tables print some 400,000 characters."""
_PROLOG = re.compile(
    r"\s*<\?xml version=\"1\.0\"[^<>]*\?>\s*<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v\d+\.dtd\">\s*"
)
_END = "</nvidia_smi_log>"
_INFOROM = re.compile(r"infoROM is corrupted at gpu (\S+)", re.IGNORECASE)
_LOST = re.compile(
    r"^.*(?:GPU is lost|fallen off the bus|Unable to determine the device handle).*$",
    re.IGNORECASE | re.MULTILINE,
)
_PLACE = re.compile(r"(?:[0-9a-f]{4}){1,2}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:0000)?([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$", re.IGNORECASE)
_HEAD = re.compile(r"GPU (\d+): (.*?) \(UUID: (GPU-[0-9a-f-]+)\)\s*$")
_LINK = re.compile(r"\s+Link (\d{1,3}): (?:(\d{1,6}(?:\.\d{1,6})?) GB/s|<inactive>|(.*?))\s*$")
_NO_LINKS = re.compile(r"all links are inactive", re.IGNORECASE)
_SLICE = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[0-9a-f/GPU-]+)\)\s*$")

_THROTTLED = (
    "clocks_event_reasons/clocks_event_reason_{}",
    "clocks_throttle_reasons/clocks_throttle_reason_{}",
)
_ECC = "ecc_errors/{}/{}"
_REMAP = ("remapped_rows/remapped_row_{}",)
_GEN = ("pci/pci_gpu_link_info/pcie_gen/{}_link_gen",)
_WIDTH = ("pci/pci_gpu_link_info/link_widths/{}_link_width",)


def _named(paths: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(path.format(name) for path in paths)


READINGS: Mapping[str, tuple[str, ...]] = {
    "product": ("product_name",),
    "pciId": ("pci/pci_device_id",),
    "persistence": ("persistence_mode",),
    "computeMode": ("compute_mode",),
    "migMode": ("mig_mode/current_mig",),
    "migPending": ("mig_mode/pending_mig",),
    "inforom": ("inforom_version/img_version",),
    "resetRequired": ("gpu_reset_status/reset_required",),
    "resetRecommended": ("gpu_reset_status/drain_and_reset_recommended",),
    "recoveryAction": ("gpu_recovery_action",),
    "pcieGen": _named(_GEN, "current"),
    "pcieMaxGen": _named(_GEN, "max"),
    "pcieWidth": _named(_WIDTH, "current"),
    "pcieMaxWidth": _named(_WIDTH, "max"),
    "performanceState": ("performance_state",),
    "hwSlowdown": _named(_THROTTLED, "hw_slowdown"),
    "hwThermalSlowdown": _named(_THROTTLED, "hw_thermal_slowdown"),
    "hwPowerBrake": _named(_THROTTLED, "hw_power_brake_slowdown"),
    "swThermalSlowdown": _named(_THROTTLED, "sw_thermal_slowdown"),
    "swPowerCap": _named(_THROTTLED, "sw_power_cap"),
    "ecc": ("ecc_mode/current_ecc",),
    "eccPending": ("ecc_mode/pending_ecc",),
    "volatileSram": (_ECC.format("volatile", "sram_uncorrectable"),),
    "volatileSramParity": (_ECC.format("volatile", "sram_uncorrectable_parity"),),
    "volatileSramSecded": (_ECC.format("volatile", "sram_uncorrectable_secded"),),
    "volatileDram": (_ECC.format("volatile", "dram_uncorrectable"),),
    "aggregateSram": (_ECC.format("aggregate", "sram_uncorrectable"),),
    "aggregateSramParity": (_ECC.format("aggregate", "sram_uncorrectable_parity"),),
    "aggregateSramSecded": (_ECC.format("aggregate", "sram_uncorrectable_secded"),),
    "aggregateDram": (_ECC.format("aggregate", "dram_uncorrectable"),),
    "sramThresholdExceeded": (_ECC.format("aggregate", "sram_threshold_exceeded"),),
    "channelRepairPending": ("ecc_errors/channel_repair_pending",),
    "tpcRepairPending": ("ecc_errors/tpc_repair_pending",),
    "pageRetirementPending": ("retired_pages/pending_retirement",),
    "remappedCorrectable": _named(_REMAP, "corr"),
    "remappedUncorrectable": _named(_REMAP, "unc"),
    "remapPending": _named(_REMAP, "pending"),
    "remapFailure": _named(_REMAP, "failure"),
    "fabricState": ("fabric/state",),
    "fabricStatus": ("fabric/status",),
    "fabricBandwidth": ("fabric/health/bandwidth",),
    "fabricHealth": ("fabric/health/summary",),
    "routeUnhealthy": ("fabric/health/route_unhealthy",),
}
"""A reading -> where the document has it, below <gpu>; the newest name first."""
UNTOLD = re.compile(
    r"\[?(?:N/A|None|Not (?:Supported|Found)|Unknown(?: Error)?|ERR!|Requested functionality has been deprecated|"
    r"Insufficient Permissions)\]?$",
    re.IGNORECASE,
)
"""What the tool prints where it has no value."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A MIG device: its GPU instance and compute instance, and the memory it has (MiB, 0: not told)."""

    gpu_instance: int
    compute_instance: int
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. `values`: reading -> text as printed; a reading that the document lacks is absent.

    `address` is as the kernel writes it (0000:18:00.0). `doubled`: readings that were there more than once.
    """

    uuid: str
    address: str
    values: Mapping[str, str]
    instances: tuple[Instance, ...] = ()
    doubled: tuple[str, ...] = ()

    def told(self, reading: str) -> str:
        """The value, "" where there is none, or only a word for none."""
        text = self.values.get(reading, "")
        return "" if UNTOLD.match(text) else text

    def number(self, reading: str) -> int | None:
        """The value as a whole number (16x is 16), None where there is none."""
        match = re.match(r"\d{1,18}(?=x?$)", self.told(reading))
        return int(match.group()) if match else None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole document. `corrupt`: addresses of GPUs whose InfoROM the tool warns about. `lost`: what it says of GPUs
    that it does not reach, with their addresses, "" where it names none.
    """

    driver: str
    gpus: tuple[Gpu, ...]
    corrupt: tuple[str, ...] = ()
    lost: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Links:
    """One GPU's NVLinks: link -> GB/s in one direction, 0.0 for one that is down; `told`: whether it said anything.

    `unread`: what it said of links in words that are not known, or of one twice.
    """

    rates: Mapping[int, float] = field(default_factory=dict)
    told: bool = False
    unread: tuple[str, ...] = ()

    @property
    def up(self) -> int:
        """How many carry traffic."""
        return sum(rate > 0 for rate in self.rates.values())

    @property
    def fastest(self) -> float:
        """GB/s of the fastest of them, 0.0 where none is up."""
        return max(self.rates.values(), default=0.0)


def parse(text: str) -> Report:
    """The document of `nvidia-smi -q -x`, with what the tool prints behind it. ValueError says why it can't be read."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"it is longer than {MAX_CHARS} characters")
    prolog = _PROLOG.match(text)
    if prolog is None:
        raise ValueError(f"it does not begin as nvidia-smi's XML does: {text[:80]!r}")
    body, end, behind = text[prolog.end() :].rpartition(_END)
    if not end:
        raise ValueError("it breaks off before its end")
    if "<!" in body:
        raise ValueError("it holds a declaration, which nvidia-smi never prints there")
    try:
        root = ET.fromstring(body + end)  # noqa: S314 (no DTD reaches the parser: see above)
    except ET.ParseError as error:
        raise ValueError(f"it is no well-formed XML: {error}") from error
    gpus = tuple(_gpu(element) for element in root.findall("gpu"))
    _counted(root, gpus)
    corrupt = tuple(dict.fromkeys(address(found) for found in _INFOROM.findall(behind)))
    lost = tuple((_place(words), words.strip()[:200]) for words in _LOST.findall(behind))
    return Report((root.findtext("driver_version") or "").strip(), gpus, corrupt, lost)


def links(text: str) -> dict[str, Links]:
    """What `nvidia-smi nvlink -s` prints: GPU UUID -> its links. A GPU of which nothing is said has none `told`."""
    found: dict[str, dict[int, float]] = {}
    told: dict[str, bool] = {}
    unread: dict[str, list[str]] = {}
    uuid = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            uuid = head[3]
            found.setdefault(uuid, {})
        elif uuid and (link := _LINK.match(line)):
            told[uuid] = True
            if link[3] is not None or int(link[1]) in found[uuid]:
                unread.setdefault(uuid, []).append(f"NVLink {link[1]} is told as {link[0].strip()[:60]!r}")
            else:
                found[uuid][int(link[1])] = float(link[2] or 0.0)
        elif uuid and _NO_LINKS.search(line):
            told[uuid] = True
    return {
        gpu: Links(rates, told.get(gpu, False), tuple(unread.get(gpu, ()))) for gpu, rates in found.items()
    }


def slices(text: str) -> dict[str, dict[str, str]]:
    """What `nvidia-smi -L` prints: GPU UUID -> MIG device's UUID -> its profile (1g.18gb), in the order printed."""
    found: dict[str, dict[str, str]] = {}
    uuid = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            uuid = head[3]
            found[uuid] = {}
        elif uuid and (device := _SLICE.match(line)):
            found[uuid][device[3]] = device[1]
    return found


def address(text: str) -> str:
    """A PCI address as the kernel writes it: nvidia-smi prints a domain of eight digits."""
    match = _ADDRESS.match(text.strip())
    return match[1].lower() if match else text.strip().lower()


def _place(words: str) -> str:
    match = _PLACE.search(words)
    return address(match.group()) if match else ""


def _counted(root: ET.Element, gpus: tuple[Gpu, ...]) -> None:
    """Refuse a document whose GPUs are not those that it says it has."""
    said = (root.findtext("attached_gpus") or "").strip()
    if said != str(len(gpus)):
        raise ValueError(f"it says {said or 'nothing'} of attached GPUs and describes {len(gpus)}")
    if len({gpu.uuid for gpu in gpus} | {""}) != len(gpus) + 1:
        raise ValueError("two of its GPUs have one UUID, or one has none")


def _gpu(element: ET.Element) -> Gpu:
    values, doubled = {}, []
    for reading, paths in READINGS.items():
        places = [(path, found) for path in paths if (found := element.findall(path))]
        if not places:
            continue
        _, found = places[0]
        if len(found) > 1:
            doubled.append(reading)
        else:
            values[reading] = (found[0].text or "").strip()
    instances = (_instance(e) for e in element.findall("mig_devices/mig_device"))
    uuid = (element.findtext("uuid") or "").strip()
    return Gpu(uuid, address(element.get("id", "")), values, tuple(instances), tuple(doubled))


def _instance(element: ET.Element) -> Instance:
    def number(path: str) -> int:
        match = re.match(r"\s*(\d{1,12})\b", element.findtext(path) or "")
        return int(match[1]) if match else -1

    memory = max(0, number("fb_memory_usage/total"))
    return Instance(number("gpu_instance_id"), number("compute_instance_id"), memory)
