"""Parts of machines that files of the matrix name: a profile's NICs, a cluster's known bad ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

_PLACE = re.compile(r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<rest>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{4}(?::[0-9a-f]{4}){3}", re.IGNORECASE)
_NUMBER = re.compile(r"[1-9][0-9]?")  # of a port on its NIC: from 1 on, as the kernel counts them
_BARE = re.compile(r"(?:0x)?([0-9a-f]{16})", re.IGNORECASE)
_GPU = "GPU-"
_UUID = re.compile(r"GPU-[0-9a-f]{8}-[0-9a-f]{4}(-[0-9a-f]{4}){0,2}(-[0-9a-f]{12})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ComputeNics:
    """Which of a machine's RDMA ports its GPUs are to use, and what they do. Empty or 0: the profile does not say.

    `boards` are board ids (PSID), `firmware` maps one to the version that it must run, whatever a release names.
    """

    pci_addresses: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    link_layer: str = ""  # InfiniBand or Ethernet
    ports: int = 0  # of all of them together
    rate_gbps: float = 0.0  # of a port
    pcie_gts: float = 0.0  # GT/s of a lane
    pcie_width: int = 0  # lanes
    firmware: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiver:
    """A part that is known to be bad, which a gate finds and does not count until the end of that day (UTC).

    `part` is a PCI address, a GUID, a UUID or another name that the gate gives; `until` is a date, YYYY-MM-DD; `where`
    is where the cluster file names the part, FILE:LINE:COLUMN.
    """

    node: str
    gate: str
    part: str
    reason: str
    until: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Out:
    """How many known bad parts are not there: `sure` at least, `most` where nobody knows the place of some.

    `placed` are those that are waived by their places, `untold` those of which nobody knows the place.
    """

    sure: int = 0
    most: int = 0
    placed: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    def excuses(self, lack: int) -> bool | None:
        """Whether so many fewer parts than there should be are all known to be out; None: nobody can tell."""
        return True if lack <= self.sure else None if lack <= self.most else False


def out(waived: Iterable[str], there: Collection[str], homes: Mapping[str, str] | None = None) -> Out:
    """Which waived parts are out, each counted once under whatever names it is waived.

    `there`: places (PCI addresses) and other names of what is there; `homes`: other name -> place of what was there
    before, "" where nobody kept it. A part whose place is taken was replaced, so it is not out. Only a home tells which
    place a UUID had; one without may be any of those that are waived by their places, or one more. What homes know of,
    nobody waives and is gone takes the place of one: no waiver of a place that was never there excuses it.
    """
    here, known = {short(n) for n in there}, {short(n): short(place) for n, place in (homes or {}).items()}
    gone = {short(part) for part in waived} - here
    places = {known.get(part) or part for part in gone} - here
    placed = {part for part in places if _PLACE.fullmatch(part)}
    unplaced = places - placed
    were = len(unplaced & known.keys())
    others = {place for name, place in known.items() if place and name not in here} - here - places
    strange = placed - set(known.values())
    taken = min(len(others), len(strange))
    sure, most = max(len(placed) - taken, were), len(placed) + len(unplaced) - taken
    return Out(sure, most, tuple(sorted(placed)), tuple(sorted(unplaced)))


def is_place(name: str) -> bool:
    """Whether it is a PCI address."""
    return bool(_PLACE.fullmatch(name))


def is_nic(name: str) -> bool:
    """Whether it can name a NIC or one port of it: a PCI address or a GUID as the kernel writes it, `/1` for a port."""
    nic, slash, number = name.partition("/")
    named = bool(_PLACE.fullmatch(nic) or _GUID.fullmatch(nic))
    return named and (not slash or bool(_NUMBER.fullmatch(number)))


def meant_nic(name: str) -> str:
    """What was meant by a name that `is_nic` refuses, where only one thing can be; "" else."""
    nic, slash, number = name.strip().partition("/")
    bare = _BARE.fullmatch(nic.replace(":", ""))
    last, colon, behind = nic.rpartition(":")
    spelled = ":".join(re.findall("....", bare[1].lower())) if bare else ""
    tries = [f"{nic}.0{slash}{number}"]  # without its function
    tries += [f"{last}/{behind}"] if colon and not slash else []  # a port behind a colon
    tries += [f"{spelled}{slash}{number}", name.strip()]  # a GUID as ibstat writes it
    return next((found for found in tries if is_nic(found)), "")


def is_gpu(name: str) -> bool:
    """Whether it can name a GPU: a PCI address or a GPU's UUID, whole or as the kernel's files tell it."""
    return is_place(name) or bool(_UUID.fullmatch(name))


def short(name: str) -> str:
    """A part's name as it is compared: lower case, of a GPU's UUID what the kernel's files tell of it.

    A PCI address, also a port's (0000:18:00.0/1), as the kernel writes it: nvidia-smi has a longer domain
    (00000000:18:00.0), people leave it out where it is 0.
    """
    if name.startswith(_GPU):
        return _GPU + "-".join(name.split("-")[1:3]).lower()
    place, slash, port = name.lower().partition("/")
    if found := _PLACE.fullmatch(place):
        place = f"{int(found['domain'] or '0', 16):04x}:{found['rest']}"
    return f"{place}{slash}{port}"
