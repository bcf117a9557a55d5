"""The driver itself finds nothing wrong with its GPUs, their memory, links and clocks.

Proves: each GPU of the profile is there; no memory error since the driver's load, no row remap or page retirement
pending or failed, ECC on; PCIe at its width and generation; NVLinks up at one rate, fabric trained and Fabric Manager
running where there is NVSwitch; no hardware or thermal slowdown; InfoROM readable; persistence on; no reset asked for.
Needs: the driver pod (exec of nvidia-smi -q -x and nvlink -s). No Job, no idle GPU: works on nodes in use.
fail: any of these is otherwise, by the profile or against the same GPU (by UUID) before the change. What passes by
itself (a slowdown, a fabric in progress) gets settleSeconds for all nodes together, and fails after them.
inconclusive: no answer, or not this node's; a value of N/A, or a word that is not known, where one is promised; NVLinks
that are all slower than their GPU's make can do, or of a make that nobody knows, where no nvlinkGBps says more. The
profile's notApplicable names readings that such GPUs do not have (knowngood.adapters.cluster.nvidia_smi.READINGS).
Waived: what is wrong with a known bad GPU, or that it is not there (by PCI address or UUID); inconclusive by a place of
which nobody knows that a GPU was there.
Noted: a power cap; a link generation that rests while the GPU does; NVLinks and fabric of a GPU in MIG mode.
Thresholds: the profile's. Sources there: limits of counters scitix/sichek, pending and failed remaps leptonai/gpud,
PCIe and throttling as in NVIDIA/NVSentinel issue 890.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from knowngood.adapters.cluster.nvidia_smi import UNTOLD, Gpu, Links
from knowngood.gate import judge, measure, some
from knowngood.gate.driver import LinksTold, Reports, Told
from knowngood.gate.nvlinks import link_doubts, link_faults
from knowngood.gate.settling import settle_seconds
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Profile
from knowngood.model.node import NodeState

SETTLE = 10.0  # seconds; a proposal
PENDING = {
    "remapPending": "a row remap is pending: it needs a reset",
    "remapFailure": "a row remap failed: replace it",
    "sramThresholdExceeded": "its SRAM had more errors than NVIDIA allows: replace it",
    "channelRepairPending": "a channel repair is pending",
    "tpcRepairPending": "a TPC repair is pending",
    "pageRetirementPending": "a page retirement is pending: it needs a reset",
    "resetRequired": "it needs a reset",
    "resetRecommended": "it asks to be drained and reset",
}
"""Readings that say Yes where something is wrong."""
SLOWDOWNS = {
    "hwSlowdown": "is slowed down by its hardware",
    "hwThermalSlowdown": "is slowed down by its hardware, by heat",
    "hwPowerBrake": "is slowed down by the power brake",
    "swThermalSlowdown": "is slowed down by heat",
}
"""Readings that say Active where something is wrong."""
WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(PENDING, ("No", "Yes")),
    **dict.fromkeys(SLOWDOWNS, ("Not Active", "Active")),
    **dict.fromkeys(("ecc", "eccPending", "persistence"), ("Enabled", "Disabled")),
    "fabricState": ("Completed", "In Progress", "Not Started"),
    "fabricBandwidth": ("Full", "Degraded"),
    "fabricHealth": ("Healthy", "Unhealthy", "Limited Capacity"),
    "routeUnhealthy": ("False", "True"),
}
"""The words that are known of a reading; the first says that all is well."""
RESTING = re.compile(r"P(?:[1-9]|1[0-5])")
"""Performance states below the highest one."""
WIDTHS = (1, 2, 4, 8, 12, 16, 32)
LINK: Mapping[str, Sequence[int]] = {
    "pcieGen": range(1, 8),
    "pcieMaxGen": range(1, 8),
    "pcieWidth": WIDTHS,
    "pcieMaxWidth": WIDTHS,
}
"""What a PCIe link can be; all ones are what a device reads as that does not answer."""
LOST = re.compile(r"GPU is lost|requires reset|fallen off", re.IGNORECASE)
COUNTS = {
    "maxVolatileSram": (
        "SRAM errors since the load",
        ("volatileSram", "volatileSramParity", "volatileSramSecded"),
    ),
    "maxVolatileDram": ("uncorrectable memory errors since the load", ("volatileDram",)),
    "maxAggregateSram": ("SRAM errors ever", ("aggregateSram", "aggregateSramParity", "aggregateSramSecded")),
    "maxRemappedRows": ("remapped rows", ("remappedUncorrectable",)),
}
NUMBERS = {r for _, readings in COUNTS.values() for r in readings}
NUMBERS |= {"pcieGen", "pcieMaxGen", "pcieWidth", "pcieMaxWidth", "aggregateDram", "remappedCorrectable"}
DEFAULTS = {"maxVolatileSram": 0, "maxVolatileDram": 0, "maxAggregateSram": 4, "maxRemappedRows": 512}
PROMISED: tuple[tuple[str, ...], ...] = (
    ("pciId",),
    ("persistence",),
    ("inforom",),
    ("pcieWidth",),
    ("pcieMaxWidth",),
    ("pcieGen",),
    ("pcieMaxGen",),
    ("ecc",),
    ("volatileSram", "volatileSramParity"),
    ("volatileSram", "volatileSramSecded"),
    ("volatileDram",),
    ("aggregateSram", "aggregateSramParity"),
    ("aggregateSram", "aggregateSramSecded"),
    ("remapPending",),
    ("remapFailure",),
    ("remappedUncorrectable",),
    ("hwSlowdown",),
    ("hwThermalSlowdown",),
    ("hwPowerBrake",),
    ("swThermalSlowdown",),
    ("resetRequired", "recoveryAction"),
)
"""Of each, one reading at least must have a value."""


@pytest.fixture(scope="session")
def told_at_rest(reports: Reports, hardware: Hardware) -> Mapping[str, Told]:
    """All nodes' reports, once what passes by itself has passed."""

    def waits(node: str, told: Told) -> bool:
        profile = hardware.of(node)
        return told.report is not None and any(transient(gpu, profile) for gpu in told.report.gpus)

    return reports.settled(waits, settle_seconds(hardware, "driver_health", SETTLE))


def test_the_gpus_are_well(
    node: str,
    state: NodeState,
    told_at_rest: Mapping[str, Told],
    profile: Profile,
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
) -> None:
    """Memory, PCIe, clocks, InfoROM and settings of each GPU."""
    told = told_at_rest[node]
    gpus = told.report.gpus if told.report else ()
    before = (baseline or {}).get("gpus", {})
    measure(gpus={gpu.uuid: figures(gpu) for gpu in gpus})
    wrong, unsure = [told.wrong] if told.wrong else [], list[str]()
    if told.report:
        corrupt = told.report.corrupt
        wrong += judge.unwaived((at, f"the InfoROM of GPU {at} is corrupted") for at in corrupt)
        wrong += judge.unwaived((at, f"nvidia-smi says {words!r}") for at, words in told.report.lost)
        lacking, unsure = missing(gpus, profile, before)
        wrong += lacking
        known = [*state.gpus, *profile.gpu_pci_addresses, *(g.address for g in gpus)]
        known += [str(kept.get("address", "")) for kept in before.values()]
        unsure += judge.nowhere(known, "gpuPciAddresses")
    for gpu in gpus:
        words = [*of_memory(gpu, limits), *of_settings(gpu, limits), *of_pcie(gpu, limits), *slowed(gpu)]
        words += worse(gpu, before.get(gpu.uuid, {}))
        wrong += of_gpu(gpu, words)
    if wrong:
        judge.fail(some(wrong))
    unread = [told.trouble] if told.trouble else [*unsure, *strange(gpus, state)]
    unread += [word for gpu in gpus for word in of_gpu(gpu, untold(gpu, limits))]
    if unread:
        judge.inconclusive(some(unread))
    judge.note("; ".join(f"{named(gpu)} {word}" for gpu in gpus for word in resting(gpu, limits)))


def test_the_fabric_is_up(
    node: str,
    state: NodeState,
    told_at_rest: Mapping[str, Told],
    nvlinks: Mapping[str, LinksTold],
    profile: Profile,
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
) -> None:
    """NVLinks of each GPU; with NVSwitch the fabric's state and its manager, too."""
    told, links = told_at_rest[node], nvlinks[node]
    gpus = told.report.gpus if told.report else ()
    up = {gpu.uuid: links.links.get(gpu.uuid, Links()) for gpu in gpus}
    measure(nvlinks={uuid: [found.up, found.fastest] for uuid, found in up.items()})
    before, whole = (baseline or {}).get("nvlinks", {}), [g for g in gpus if g.told("migMode") != "Enabled"]
    wrong = []
    for gpu in whole:
        beside = max(up[g.uuid].fastest for g in whole if g.told("product") == gpu.told("product"))
        then = before.get(gpu.uuid)
        words = [*link_faults(up[gpu.uuid], limits, then, beside, nvswitch=profile.nvswitch)]
        words += of_fabric(gpu, profile)
        wrong += of_gpu(gpu, words)
    if profile.nvswitch and state.inventory and not state.inventory.get("fabric-manager"):
        wrong.append("Fabric Manager does not run")
    if wrong:
        judge.fail(some(wrong))
    unread = [told.trouble] if told.trouble else []
    unread += [x for g in whole for x in of_gpu(g, link_doubts(up[g.uuid], limits, g.told("product")))]
    promised = (
        bool(limits.get("nvlinks")) or profile.nvswitch or any(before.get(gpu.uuid, [0])[0] for gpu in whole)
    )
    if promised:
        unread += [links.trouble] if links.trouble else []
        unread += [x for g in whole if not up[g.uuid].told for x in of_gpu(g, ["its NVLinks are not told"])]
    if profile.nvswitch:
        for reading, what in (("fabricState", "state"), ("fabricStatus", "status")):
            silent = [g for g in whole if not g.told(reading)]
            unread += [x for g in silent for x in of_gpu(g, [f"its fabric {what} is not told"])]
        unread += [] if state.inventory else ["whether Fabric Manager runs can't be read"]
    if unread:
        judge.inconclusive(some(unread))
    parted = [named(gpu) for gpu in gpus if gpu not in whole]
    judge.note(f"in MIG mode, so without NVLink: {', '.join(parted)}" if parted else "")


def named(gpu: Gpu) -> str:
    """A GPU as people find it in a machine."""
    return f"GPU {gpu.address}"


def of_gpu(gpu: Gpu, words: Iterable[str]) -> list[str]:
    """What is said of a GPU, named, where no waiver names it by address or UUID."""
    return of_part(gpu.uuid, gpu.address, [f"{named(gpu)}: {word}" for word in words])


def of_part(uuid: str, address: str, words: Iterable[str]) -> list[str]:
    """Of these words those that no waiver takes from the GPU, by either name."""
    return judge.unwaived((uuid, word) for word in judge.unwaived((address, one) for one in words))


def figures(gpu: Gpu) -> dict[str, Any]:
    """What is kept of a GPU to compare with: where it is, counters that are not zero, and its link."""
    pcie = [gpu.number("pcieGen"), gpu.number("pcieWidth")]
    kept: dict[str, Any] = {"address": gpu.address, "pcie": pcie}
    counters = {name: gpu.number(name) for name in sorted(NUMBERS) if not name.startswith("pcie")}
    return kept | {name: count for name, count in counters.items() if count}


def missing(gpus: Sequence[Gpu], profile: Profile, before: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """GPUs that are not there, or not those that should be; and what can't be told of that.

    A waived one may be away, or another in its place.
    """
    wrong, unsure = list[str](), list[str]()
    homes = {uuid: str(kept.get("address", "")) for uuid, kept in before.items()}
    gone = judge.waived_out({name for gpu in gpus for name in (gpu.address, gpu.uuid)}, homes)
    lack = profile.gpus - len(gpus)
    if lack < 0 or gone.excuses(lack) is False:
        waived = f", of which {gone.most} may be missing" if gone.most else ""
        wrong.append(f"the driver describes {len(gpus)} GPUs, the profile {profile.gpus}{waived}")
    elif gone.excuses(lack) is None:
        unsure.append(f"without a baseline nothing tells whether {some(gone.untold)} is what lacks")
    lost = sorted(set(before) - {gpu.uuid for gpu in gpus})
    missed = [word for uuid in lost for word in of_part(uuid, homes[uuid], [f"{uuid} is gone"])]
    homeless = [uuid for uuid in lost if not homes[uuid] and f"{uuid} is gone" in missed]
    if homeless and len(homeless) <= len(gone.placed):  # each may be one that is waived by its address
        missed = [word for word in missed if word.partition(" ")[0] not in homeless]
        unsure.append(f"the baseline does not tell where {some(homeless)} was, so whether it is waived")
    wrong += missed
    vendor, _, device = profile.gpu_pci_id.partition(":")
    for gpu in gpus:
        found = gpu.told("pciId").lower()
        if found and found != f"{device}{vendor}":
            wrong.append(f"{named(gpu)} has PCI id {found[4:]}:{found[:4]}, the profile {profile.gpu_pci_id}")
    return wrong, unsure


def strange(gpus: Sequence[Gpu], state: NodeState) -> Iterator[str]:
    """Whether the answer is of the machine whose files were read: by the UUIDs that the kernel shows."""
    placed = state.inventory.get("gpus", {})
    for gpu in gpus if placed else ():
        if gpu.address not in placed:
            yield f"{named(gpu)} is not in the kernel's files"
        elif not gpu.uuid.startswith(placed[gpu.address].rpartition(" ")[2]):
            yield f"{named(gpu)} is {gpu.uuid}, by the kernel's files another one"


def of_memory(gpu: Gpu, limits: Mapping[str, Any]) -> Iterator[str]:
    """Errors, remaps, resets."""
    yield from dict.fromkeys(f"the driver says {text!r}" for text in gpu.values.values() if LOST.search(text))
    yield from (words for reading, words in PENDING.items() if gpu.told(reading) == "Yes")
    for limit, (words, readings) in COUNTS.items():
        count, allowed = sum(gpu.number(r) or 0 for r in readings), int(limits.get(limit, DEFAULTS[limit]))
        if count > allowed:
            yield f"{count} {words}, {allowed} allowed"


def of_settings(gpu: Gpu, limits: Mapping[str, Any]) -> Iterator[str]:
    """ECC, persistence, and what the driver asks for."""
    if gpu.told("ecc") == "Disabled" and limits.get("ecc", True):
        yield "ECC is off"
    if (pending := gpu.told("eccPending")) and gpu.told("ecc") and pending != gpu.told("ecc"):
        yield f"ECC will be {pending.lower()} after the next reset"
    if gpu.told("persistence") == "Disabled" and limits.get("persistence", True):
        yield "persistence is off"
    action = gpu.values.get("recoveryAction", "")
    if action != "None" and not UNTOLD.match(action) and action:
        yield f"the driver asks for: {action}"


def of_pcie(gpu: Gpu, limits: Mapping[str, Any]) -> Iterator[str]:
    """Width and generation, against the profile or else what GPU and slot can do."""
    width, gen = gpu.number("pcieWidth"), gpu.number("pcieGen")
    wide, fast = (
        wanted(gpu, limits, *names) for names in (("pcieWidth", "pcieMaxWidth"), ("pcieGen", "pcieMaxGen"))
    )
    if width is not None and width < wide:
        yield f"PCIe x{width}, expected x{wide}"
    can = gpu.number("pcieMaxGen")
    if can is not None and can < fast:
        yield f"PCIe can do generation {can} there, expected {fast}"
    elif gen is not None and gen < fast and not idle(gpu):
        yield f"PCIe generation {gen}, expected {fast}"


def wanted(gpu: Gpu, limits: Mapping[str, Any], reading: str, most: str) -> int:
    """What the profile says of a link, or else the most that it can do."""
    return int(limits.get(reading, gpu.number(most) or 0))


def idle(gpu: Gpu) -> bool:
    """Whether the GPU rests: then its link may, too. The width never does."""
    return bool(RESTING.fullmatch(gpu.told("performanceState")))


def slowed(gpu: Gpu) -> Iterator[str]:
    """Clocks held down by hardware or heat."""
    yield from (words for reading, words in SLOWDOWNS.items() if gpu.told(reading) == "Active")


def worse(gpu: Gpu, before: Mapping[str, Any]) -> Iterator[str]:
    """What this very GPU did not have before the change."""
    if not before:
        return
    for reading in ("remappedUncorrectable", "aggregateSram", "aggregateSramParity", "aggregateSramSecded"):
        now, then = gpu.number(reading), int(before.get(reading, 0))
        if now is not None and now > then:
            yield f"{reading} grew from {then} to {now}"
    gen, width = before.get("pcie", (None, None))
    if width and (now := gpu.number("pcieWidth")) is not None and now < width:
        yield f"PCIe x{now}, before the change x{width}"
    if gen and (now := gpu.number("pcieGen")) is not None and now < gen and not idle(gpu):
        yield f"PCIe generation {now}, before the change {gen}"


def of_fabric(gpu: Gpu, profile: Profile) -> Iterator[str]:
    """The NVSwitch fabric as the GPU sees it."""
    state, status = gpu.told("fabricState"), gpu.told("fabricStatus")
    if not profile.nvswitch or not state:
        return
    if state in WORDS["fabricState"][1:]:
        yield f"the fabric is {state.lower()}"
    elif status and status != "Success":
        yield f"the fabric ended with: {status}"
    for reading in ("fabricBandwidth", "fabricHealth", "routeUnhealthy"):
        if (said := gpu.told(reading)) in WORDS[reading][1:]:
            yield f"{reading} is {said}"


def transient(gpu: Gpu, profile: Profile) -> bool:
    """Whether something is wrong with the GPU that may pass by itself."""
    return any(True for _ in slowed(gpu)) or any(
        word.startswith("the fabric is") for word in of_fabric(gpu, profile)
    )


def untold(gpu: Gpu, limits: Mapping[str, Any]) -> Iterator[str]:
    """What the profile promises and the driver does not tell, tells twice, or tells in a word that is not known."""
    spared = set(limits.get("notApplicable", ()))
    for readings in PROMISED:
        if not any(value_of(gpu, r) for r in readings) and not spared & {*readings}:
            yield f"{readings[0]} is {gpu.values.get(readings[0]) or 'not told'}"
    for reading, said in gpu.values.items():
        unknown = reading in WORDS and said not in WORDS[reading]
        count = gpu.number(reading)
        uncounted = reading in NUMBERS and (count is None or count not in LINK.get(reading, [count]))
        if gpu.told(reading) and (unknown or uncounted):
            yield f"{reading} is {said[:40]!r}"
    yield from (f"{reading} is there twice" for reading in gpu.doubled)


def value_of(gpu: Gpu, reading: str) -> str:
    """A reading's value; of the recovery action `None` is one."""
    if reading == "recoveryAction" and gpu.values.get(reading) == "None":
        return "None"
    return gpu.told(reading)


def resting(gpu: Gpu, limits: Mapping[str, Any]) -> Iterator[str]:
    """What is said with a pass."""
    gen = gpu.number("pcieGen")
    if idle(gpu) and gen is not None and gen < wanted(gpu, limits, "pcieGen", "pcieMaxGen"):
        yield f"rests at PCIe generation {gen} in {gpu.told('performanceState')}"
    if gpu.told("swPowerCap") == "Active":
        yield "is at its power cap"
