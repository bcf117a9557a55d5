"""Which ports of this node are tested, and by which GPU's memory: the compute NICs', each by its nearest GPU's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowngood.probe import rdma
from knowngood.probe.host import Host
from knowngood.probe.values import Object, Values

DEVICES = "sys/bus/pci/devices"
VERBS = "/dev/infiniband"


@dataclass(frozen=True)
class Port:
    """A port as perftest names it. `part`: what it is known by for good (PCI address or GUID, and number)."""

    part: str
    device: str
    number: int
    gpu: int = 0


def chosen(host: Host, wanted: Values, gpus: int) -> tuple[list[Port], str]:
    """The compute NICs' ports in the order of their PCI addresses, which is the order of rails; and why there are none.

    `wanted`: count, and what the profile says of them (pciAddresses, boardIds, linkLayer). Where more fit than that,
    they are those of the only make of which there are as many; `gpus`: how many this pod has.
    """
    measured = rdma.run(host, {})["measured"]
    devices = {d["name"]: d for d in measured["devices"] if d["function"] == rdma.PHYSICAL}
    fit = [p for p in measured["ports"] if p["device"] in devices and _fits(p, devices[p["device"]], wanted)]
    count = int(wanted.get("count") or len(fit))
    if len(fit) > count:
        makes = Counter(_make(p, devices) for p in fit)
        whole = [make for make, number in makes.items() if number == count]
        if len(whole) != 1:
            return (
                [],
                f"which {count} of {len(fit)} RDMA ports are the compute NICs', the profile does not say",
            )
        fit = [p for p in fit if _make(p, devices) == whole[0]]
    if not fit:
        return [], measured.get("modeTrouble") or "no RDMA port of the compute NICs is here"
    fit.sort(key=lambda p: (devices[p["device"]]["pci"] or p["device"], p["name"]))
    places = [devices[p["device"]]["pci"] for p in fit]
    near = nearest(places, host.gpus()[:gpus] if gpus else [], _paths(host))
    return [
        Port(
            part=f"{d['pci'] or d['guid'] or d['name']}/{p['name'].partition('/')[2]}",
            device=usable(host, d["name"]),
            number=int(p["name"].partition("/")[2]),
            gpu=gpu,
        )
        for p, gpu in zip(fit, near)  # noqa: B905 (strict= is from Python 3.10)
        for d in [devices[p["device"]]]
    ], ""


def _fits(port: Object, device: Object, wanted: Values) -> bool:
    return (
        (not wanted.get("pciAddresses") or device["pci"] in wanted["pciAddresses"])
        and (not wanted.get("boardIds") or device["board"] in wanted["boardIds"])
        and (not wanted.get("linkLayer") or port["linkLayer"] == wanted["linkLayer"])
    )


def _make(port: Object, devices: Mapping[str, Object]) -> tuple[str, ...]:
    device = devices[port["device"]]
    return device["board"], device["hca"], port["linkLayer"], device["firmware"].partition(".")[0]


def usable(host: Host, device: str, verbs: str = VERBS) -> str:
    """The device itself, or the first of its virtual functions that this pod has, where it was given those only."""
    given = _given(host, verbs)
    if not given or device in given:
        return device
    slot = _slot(host, device)
    functions = [n for n in given if slot and _physical(host, n) == slot]
    return sorted(functions)[0] if functions else device


def _given(host: Host, verbs: str) -> set[str]:
    try:
        nodes = [entry.name for entry in Path(verbs).iterdir() if entry.name.startswith("uverbs")]
    except OSError:
        return set()
    return {d for n in nodes if (d := host.text(f"sys/class/infiniband_verbs/{n}/ibdev"))}


def _slot(host: Host, device: str) -> str:
    return _named(host.text(f"{rdma.CLASS}/{device}/device/uevent"))


def _physical(host: Host, device: str) -> str:
    return _named(host.text(f"{rdma.CLASS}/{device}/device/physfn/uevent"))


def _named(uevent: str | None) -> str:
    lines = [line for line in (uevent or "").splitlines() if line.startswith("PCI_SLOT_NAME=")]
    return lines[0].partition("=")[2] if lines else ""


def _paths(host: Host) -> dict[str, tuple[str, ...]]:
    """PCI address -> where it hangs, from the root down: the text of the kernel's own link, which nothing follows."""
    found = {}
    for address in host.names(DEVICES):
        try:
            target = str((host.root / DEVICES / address).readlink())
        except OSError:
            continue
        found[address] = tuple(part for part in target.split("/") if part not in ("..", ""))
    return found


def nearest(ports: Sequence[str], gpus: Sequence[str], paths: Mapping[str, Sequence[str]]) -> list[int]:
    """For each port the index of its GPU: the one with which it shares most bridges, each used as seldom as can be.

    Indexes are those of CUDA where it counts GPUs by their PCI addresses. Where no path is known they go round.
    """
    used: Counter[int] = Counter()
    found = []
    for place, port in enumerate(ports):
        best = min(
            range(len(gpus)),
            key=lambda n: (-_shared(paths.get(port, ()), paths.get(gpus[n], ())), used[n], abs(n - place), n),
            default=0,
        )
        used[best] += 1
        found.append(best)
    return found


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other):  # noqa: B905 (the shorter one ends it)
        if a != b:
            break
        count += 1
    return count
