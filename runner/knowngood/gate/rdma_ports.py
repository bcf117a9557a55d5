"""RDMA ports as parts of a machine: which are the compute NICs', what they should do, and whether they do it.

A port is known by its NIC's PCI address, else by its GUID, else by its name: names change with the order in which
devices are found. Virtual functions, management and storage ports and an NVSwitch's own functions stand in the same
list; the profile says which are meant, and all others are compared with the baseline only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from knowngood.gate.rdma_counters import finite
from knowngood.model.matrix import Profile
from knowngood.model.parts import Out
from knowngood.model.values import Object, Values

TOPS = {
    "MT4123": 200.0,
    "MT4129": 400.0,
    "MT4131": 800.0,
    "ConnectX-6": 200.0,
    "ConnectX-7": 400.0,
    "ConnectX-8": 800.0,
}
"""Gb/s that a port of that card can do at most, by its type or model (NVIDIA's product pages)."""
UP = ("ACTIVE", "LinkUp")
ENCODING = 128 / 130  # of a PCIe link from generation 3 on
PHYSICAL = "physical"


@dataclass(frozen=True, slots=True)
class Port:
    """One port and its NIC. `part` names it for good; `rate` in Gb/s, None where it can't be read.

    `firmware`: "" could not be read, None was not asked for.
    """

    part: str
    name: str
    state: tuple[str, str] = ("", "")
    rate: float | None = None
    layer: str = ""
    pci: str = ""
    guid: str = ""
    board: str = ""
    hca: str = ""
    firmware: str | None = None
    function: str = PHYSICAL
    pcie: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> tuple[str, str, str, str]:
        """What ports of one make have in common; a firmware's first number is the card's."""
        return self.board, self.hca, self.layer, _card(self.firmware or "")

    @property
    def label(self) -> str:
        """Its name and, where that is another, what it is known by."""
        return self.name if self.part == self.name else f"{self.name} ({self.part})"

    @property
    def up(self) -> bool:
        """Whether it carries traffic."""
        return self.state == UP

    @property
    def down(self) -> bool:
        """Whether it is known not to: a state that can't be read is none."""
        return any(word not in ("", up) for word, up in zip(self.state, UP, strict=True))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whose ports are meant. `sure`: the profile or the machine's own make says which they are."""

    compute: tuple[Port, ...]
    others: tuple[Port, ...]
    sure: bool
    wanted: int


def read(measured: Values) -> list[Port]:
    """The ports of a probe's answer."""
    devices = {d.get("name"): d for d in measured.get("devices", ())}
    firmware = measured.get("firmware", {})
    found = []
    for port in measured.get("ports", ()):
        name, _, number = str(port.get("name", "")).partition("/")
        device = devices.get(name, {})
        key = device.get("pci") or device.get("guid") or name
        found.append(
            Port(
                part=f"{key}/{number}",
                name=f"{name}/{number}",
                state=(str(port.get("state", "")), str(port.get("physState", ""))),
                rate=finite(port.get("rateGbps")),
                layer=str(port.get("linkLayer", "")),
                firmware=device.get("firmware") or firmware.get(name),
                pcie={k: n for k, v in device.get("pcie", {}).items() if (n := finite(v)) is not None},
                function=str(device.get("function") or PHYSICAL),
                **{k: str(device.get(k) or "") for k in ("pci", "guid", "board", "hca")},
            )
        )
    return found


def choose(ports: Sequence[Port], profile: Profile, limits: Values, without: int = 0) -> Chosen:
    """The compute NICs' ports: those that the profile names, else those of the only make of which as many are there.

    `without`: so many are known to be missing.
    """
    wanted = expected(profile, limits) - without
    physical = [p for p in ports if p.function == PHYSICAL]
    nics = profile.compute_nics
    named = [
        p
        for p in physical
        if (not nics.pci_addresses or p.pci in nics.pci_addresses)
        and (not nics.boards or p.board in nics.boards)
        and (not nics.link_layer or p.layer == nics.link_layer)
    ]
    compute, sure = named, len(named) <= wanted
    if not sure:
        makes = Counter(p.kind for p in named)
        fitting = [kind for kind, count in makes.items() if count == wanted]
        if len(fitting) == 1:
            compute, sure = [p for p in named if p.kind == fitting[0]], True
    others = tuple(p for p in physical if p not in compute)
    return Chosen(tuple(compute), others, sure, wanted)


def expected(profile: Profile, limits: Values) -> int:
    """How many ports the compute NICs have together."""
    return int(limits.get("expectedPorts") or profile.compute_nics.ports or profile.nics)


def chosen(ports: Sequence[Port], profile: Profile, limits: Values, out: Out) -> tuple[Chosen, str]:
    """The compute NICs' ports without those that are known to be out; and why that can't be told, "" where it can."""
    first = choose(ports, profile, limits, out.sure)
    for without in range(out.sure + 1, out.most + 1) if len(first.compute) < first.wanted else ():
        fewer = choose(ports, profile, limits, without)
        if len(fewer.compute) >= fewer.wanted:
            return fewer, f"nothing tells whether {', '.join(out.untold)} is what lacks"
    return first, ""


def faults(chosen: Chosen, profile: Profile, limits: Values) -> Iterator[tuple[str, str]]:
    """(part, what is wrong) of the compute NICs' ports, by the profile alone."""
    if len(chosen.compute) < chosen.wanted:
        yield "", f"{len(chosen.compute)} ports, expected {chosen.wanted}"
    bad = [(p.part, why) for p in chosen.compute if (why := fault(p, profile, limits))]
    if chosen.sure:
        yield from bad
    elif len(chosen.compute) - len(bad) < chosen.wanted:
        yield "", f"{len(chosen.compute) - len(bad)} good ports, expected {chosen.wanted}"
        yield from bad


def fault(port: Port, profile: Profile, limits: Values) -> str:
    """Why a port is no good: down, slow, or behind too narrow a PCIe link; "" where it is not known to be."""
    if port.down:
        return f"{port.label} is {port.state[0] or '?'}/{port.state[1] or '?'}"
    floor = rate_floor(profile, limits)
    if floor and port.rate is not None and port.rate < floor:
        return f"{port.label} runs at {port.rate} Gb/s, expected {floor:g}"
    wanted = {"speed": profile.compute_nics.pcie_gts, "width": profile.compute_nics.pcie_width}
    for key, unit in (("speed", "GT/s"), ("width", "lanes")):
        here = port.pcie.get(key)
        if wanted[key] and here is not None and here < wanted[key]:
            return f"{port.label} has a PCIe link of {here:g} {unit}, expected {wanted[key]:g}"
    lanes, speed = port.pcie.get("width"), port.pcie.get("speed")
    if not any(wanted.values()) and lanes and speed and port.rate and lanes * speed * ENCODING < port.rate:
        return f"{port.label} runs at {port.rate:g} Gb/s behind a PCIe link of {speed:g} GT/s x{lanes:g}"
    return ""


def rate_floor(profile: Profile, limits: Values) -> float:
    """Gb/s that each compute port must run at by the profile; 0: it does not say."""
    return float(limits.get("rateGbps", 0) or profile.compute_nics.rate_gbps)


def doubts(
    chosen: Chosen, profile: Profile, expect: Mapping[str, str], limits: Values
) -> Iterator[tuple[str, str]]:
    """(part, what can't be told): what the profile leaves open and the machine doesn't tell either."""
    for port in chosen.compute:
        if port.firmware == "" and ("nic-firmware" in expect or profile.compute_nics.firmware):
            yield port.part, f"can't read the firmware of {port.label}"
        yield from ((port.part, f"can't read the {what} of {port.label}") for what in _unread(port))
    layers = sorted({p.layer for p in chosen.compute if p.layer})
    if chosen.sure and len(layers) > 1:
        yield "", f"the compute NICs speak {' and '.join(layers)}: name linkLayer in the profile"
    if not rate_floor(profile, limits):
        for port in chosen.compute:
            top = TOPS.get(port.hca) or TOPS.get(profile.nic_model)
            if port.up and port.rate is not None and (top is None or port.rate < top):
                can = (
                    f"a {port.hca or profile.nic_model} can do {top:g}" if top else "who knows what it can do"
                )
                words = f"runs at {port.rate} Gb/s and {can}: name rateGbps in the profile"
                yield port.part, f"{port.label} {words}"
    wanted = profile.compute_nics.pcie_gts or profile.compute_nics.pcie_width
    for port in chosen.compute if wanted else ():
        if "speed" not in port.pcie or "width" not in port.pcie:
            yield port.part, f"can't read the PCIe link of {port.label}"


def _unread(port: Port) -> list[str]:
    """What decides whether it is a good port, and can't be read."""
    if port.down:
        return []
    wanted = {"state": port.up, "rate": port.rate is not None, "link layer": bool(port.layer)}
    return [what for what, there in wanted.items() if not there]


def firmware(chosen: Chosen, profile: Profile, expect: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(part, what is wrong) of NICs with another firmware than the profile says of their board, or the release.

    The release's is that of the profile's NIC; its first number is the card's, and another card has its own component.
    """
    cards = {_card(v): v for c, v in expect.items() if c.startswith("nic-firmware-")}
    wrong: dict[str, tuple[str, str]] = {}
    for port in (*chosen.compute, *chosen.others):
        wanted = profile.compute_nics.firmware.get(port.board, "")
        if not wanted and port in chosen.compute:
            wanted = expect.get("nic-firmware", "")
        if not wanted and port.firmware:
            wanted = cards.get(_card(port.firmware), "")
        if wanted and port.firmware and port.firmware != wanted:
            device = port.name.partition("/")[0]
            wrong[device] = port.part, f"{device} has firmware {port.firmware}, expected {wanted}"
    right = sum(p.name.partition("/")[0] not in wrong for p in chosen.compute)
    if chosen.sure or right < chosen.wanted:
        yield from wrong.values()


def _card(version: str) -> str:
    return version.partition(".")[0]


def kept(ports: Sequence[Port]) -> Object:
    """What a baseline keeps of ports, by part."""
    return {
        p.part: {
            "name": p.name,
            "up": p.up,
            "rateGbps": p.rate,
            "layer": p.layer,
            "firmware": p.firmware,
            **({"pcie": [p.pcie.get("speed"), p.pcie.get("width")]} if p.pcie else {}),
            **({"guid": p.guid} if p.guid else {}),
        }
        for p in ports
        if p.function == PHYSICAL
    }


def partners(ports: Sequence[Port], before: Mapping[str, Values]) -> dict[str, str]:
    """Part -> the part of the same port in a baseline: the same NIC by its GUID, else what stands in the same place.

    A device that got another name, or another place, is compared with itself; another card in its place is not.
    """
    places = {(old["guid"], part.rpartition("/")[2]): part for part, old in before.items() if old.get("guid")}
    found = {}
    for port in ports:
        same = places.get((port.guid, port.part.rpartition("/")[2])) if port.guid else None
        if same is None and port.part in before and not (port.guid and before[port.part].get("guid")):
            same = port.part
        if same is not None:
            found[port.part] = same
    return found


def changed(
    ports: Sequence[Port], before: Mapping[str, Values], judged: Sequence[Port]
) -> Iterator[tuple[str, str]]:
    """(part, what is worse than in the baseline): ports that are gone, down, slower, of another link layer, or
    behind a narrower link.

    Firmware counts for ports that are not `judged` by the release.
    """
    physical = {p.part: p for p in ports if p.function == PHYSICAL}
    mine = {old: physical[part] for part, old in partners(list(physical.values()), before).items()}
    for part, old in before.items():
        port = mine.get(part)
        if port is None:
            yield part, f"{old['name']} ({part}) of the baseline is gone"
            continue
        if old["up"] and port.down:
            yield part, f"{port.label} is {port.state[0] or '?'}/{port.state[1] or '?'}, it was up"
        elif not port.down and port.rate is not None and port.rate < (finite(old["rateGbps"]) or 0):
            yield part, f"{port.label} runs at {port.rate} Gb/s, it ran at {old['rateGbps']}"
        if port.layer and old.get("layer", port.layer) not in ("", port.layer):
            yield part, f"{port.label} speaks {port.layer}, it spoke {old['layer']}"
        for key, unit, was in zip(("speed", "width"), ("GT/s", "lanes"), old.get("pcie") or (), strict=False):
            now = port.pcie.get(key)
            if finite(was) is not None and now is not None and now < was:
                yield part, f"{port.label} has a PCIe link of {now:g} {unit}, it had {was:g}"
        if port not in judged and old["firmware"] and port.firmware and port.firmware != old["firmware"]:
            yield part, f"{port.label} has firmware {port.firmware}, it had {old['firmware']}"


def vanished(ports: Sequence[Port], before: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    """(part, what can't be read now): of ports that were up, what the baseline could."""
    physical = [p for p in ports if p.function == PHYSICAL]
    then = partners(physical, before)
    for port in (p for p in physical if p.part in then):
        old = before[then[port.part]]
        for what in _unread(port) if old["up"] else ():
            yield port.part, f"can't read the {what} of {port.label}; the baseline has it"
        for key, was in zip(("speed", "width"), old.get("pcie") or (), strict=False):
            if was is not None and key not in port.pcie:
                yield port.part, f"can't read the {key} of the PCIe link of {port.label}; the baseline has it"
