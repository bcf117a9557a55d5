"""What kernel lines say against a node: always, only where it is new, or where there is too much of it.

Whose error an application's is can't be told from its line: the host's pid maps to no pod afterwards. The phase tells.
On a node that is claimed and drained it is ours. At tenants' work one of a new kind on one GPU is reported; on two
GPUs, or two MIG instances, it speaks against the change, unless nodes that did not move show the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from knowngood.gate.kernel_log import Line
from knowngood.gate.xid import HOST, IOMMU_FAULT, Event, parse
from knowngood.gate.xid_table import Action
from knowngood.model.values import Values

REMAP_FAILED = 64
BURST = frozenset({13, 43, 45})
"""Many of these within a moment are one incident: a process with many channels died (NVIDIA/NVSentinel #1710)."""
BURST_S = 10.0
STORM = 100
"""Incidents of a harmless kind on one GPU in a day that are too many to be called harmless; a proposal."""
DAY_H = 24.0
MOST_KINDS = 60
"""Kinds that a baseline keeps; of a node that has more, the others are new."""

Place = tuple[str, str, int | None, int | None]
"""Node, device, and the GPU and compute instance of MIG."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An error and the line, or the flood of it, that tells it."""

    line: Line
    event: Event

    @property
    def at(self) -> float:
        """Seconds since boot."""
        return self.line.monotonic

    def place(self, node: str) -> Place:
        """Where it is; `node` "" is the judged one."""
        return (node, self.event.address, self.event.gpu_instance, self.event.compute_instance)


class Phase(Enum):
    """Who worked on the node."""

    OURS = "claimed and drained"
    TENANTS = "at its tenants' work"
    COMPARED = "not known"  # what the baseline had is allowed, anything else is not


@dataclass(frozen=True, slots=True)
class Beside:
    """Application errors of other nodes: places by kind on those that moved, kinds on those that did not.

    `unread`: why none of those that did not move could be read, "" where one could, or there is none.
    """

    moved: Mapping[str, Collection[Place]] = field(default_factory=dict)
    still: Collection[str] = ()
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What a baseline counted, by kind, and by kind and device; `hours`: in which time, None where it does not say."""

    errors: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    hours: float | None = None

    def allowed(self, kind: str, device: str | None, hours: float | None) -> int:
        """How many of a kind are no news, on a device or (None) on the node: those of the same rate, and chance."""
        counted = self.errors.get(kind, 0)
        if device is not None and kind in self.places:
            counted = self.places[kind].get(device, 0)
        if not counted or not self.hours or hours is None:
            return counted
        expected = counted * hours / self.hours
        return max(1, math.ceil(expected + 3 * math.sqrt(expected)))


def before_of(baseline: Values | None) -> Before:
    """What a gate's baseline counted."""
    given = baseline or {}
    return Before(given.get("errors", {}), given.get("errorPlaces", {}), given.get("hours"))


def seen(
    lines: Iterable[Line], parts: Collection[str], owners: Mapping[str, str] | None = None
) -> list[Seen]:
    """The errors of these parts (gpu, nic, host) among lines. `owners`: PCI address -> the part that it is."""
    found = (Seen(ln, _owned(event, owners or {})) for ln in lines if (event := parse(ln.message)))
    return [one for one in found if one.event.part in parts]


def _owned(event: Event, owners: Mapping[str, str]) -> Event:
    """An IOMMU may name a device by its address alone: then what it says is of whoever has that address."""
    part = owners.get(event.bdf) if (event.name, event.part) == (IOMMU_FAULT, HOST) else None
    return event._replace(part=part, action=Action.FAULT) if part else event


def standing(found: Sequence[Seen], remap_failed: Callable[[str], bool | None]) -> list[Seen]:
    """Those that no later "recovery action: none" of the GPU closes; 64 only if the driver shows no failed remap."""
    closings = [s for s in found if s.event.recovery and s.event.recovery[1] == 0]

    def closed(one: Seen) -> bool:
        event = one.event
        later = any(
            c.event.address == event.address and c.line.boot_id == one.line.boot_id and c.at >= one.line.until
            for c in closings
        )
        if not (event.kind == "xid" and event.action is Action.RESET and later):
            return False
        return event.code != REMAP_FAILED or remap_failed(event.address) is False

    return [one for one in found if not closed(one)]


def counts(found: Iterable[Seen]) -> Counter[str]:
    """How often each kind was seen."""
    return Counter(
        {k: sum(s.line.count for s in found if s.event.key == k) for k in {s.event.key for s in found}}
    )


def figures(found: Sequence[Seen]) -> dict[str, dict[str, int] | dict[str, dict[str, int]]]:
    """What a baseline keeps: by kind, and by kind and device."""
    kinds = dict(sorted(counts(found).most_common(MOST_KINDS)))
    places: dict[str, dict[str, int]] = {}
    for one in found:
        if one.event.key in kinds and one.event.address:
            of = places.setdefault(one.event.key, {})
            of[one.event.address] = of.get(one.event.address, 0) + one.line.count
    return {"errors": kinds, "errorPlaces": dict(sorted(places.items()))}


def new(
    found: Sequence[Seen], action: Action, before: Before, hours: float | None, least: int = 0
) -> list[Seen]:
    """Those of an action of which there are more than `least`, and more than the baseline allows."""
    of = [s for s in found if s.event.action is action]
    per: Counter[tuple[str, str]] = Counter()
    for one in of:
        per[one.event.key, one.event.address] += one.line.count
    total = counts(of)
    more = {k for k, n in total.items() if n > max(least, before.allowed(k, None, hours))}
    more_at = {
        at for at, n in per.items() if n > max(least, before.allowed(*at, hours)) and at[0] in before.places
    }
    return [s for s in of if s.event.key in more or (s.event.key, s.event.address) in more_at]


def blamed(found: Sequence[Seen], beside: Callable[[], Beside]) -> tuple[list[Seen], str]:
    """Of application errors that are new at tenants' work, those that speak against the change; and why that can't be
    told, "" where it can: nobody knows whether nodes that did not move have them, too.
    """
    kinds = {s.event.key for s in found}
    if not kinds:
        return [], ""
    others = beside()
    places = {k: {s.place("") for s in found if s.event.key == k} | {*others.moved.get(k, ())} for k in kinds}
    spread = {k for k, at in places.items() if len(at) > 1 and k not in others.still}
    return [s for s in found if s.event.key in spread], others.unread


def storms(found: Sequence[Seen], before: Before, hours: float | None) -> list[tuple[str, str, int]]:
    """(kind, device, incidents) of harmless errors that are too many to be harmless."""
    last: dict[tuple[str, str, str], float] = {}
    incidents: Counter[tuple[str, str]] = Counter()
    for one in sorted(found, key=lambda s: (s.line.boot_id, s.at)):
        event = one.event
        if event.action is not Action.INFO or event.code == 154:
            continue
        who = (event.key, event.address, event.pid)
        burst = event.code in BURST and 0 <= one.at - last.get(who, -math.inf) <= BURST_S
        last[who] = one.line.until
        if event.code in BURST:
            incidents[event.key, event.address] += 0 if burst else 1
        else:
            incidents[event.key, event.address] += one.line.count
    days = max(1.0, (hours or 0.0) / DAY_H)
    return [
        (kind, device, n)
        for (kind, device), n in sorted(incidents.items())
        if n > max(STORM * days, before.allowed(kind, device, hours))
    ]


def names(found: Iterable[Seen]) -> list[str]:
    """What it failed for, each once: `failsAtOnce` of the profile goes by these."""
    return sorted({s.event.name for s in found})


def described(found: Sequence[Seen]) -> str:
    """The root of the trouble and how much else there is: a 154 only tells what another error asks for."""
    ordered = sorted(found, key=lambda s: s.at)
    first = next((s for s in ordered if s.event.code != 154), ordered[0])
    event = first.event
    device = {"nic": "NIC", "host": "device"}.get(event.part, "GPU")
    where = f" on {device} {event.address}" if event.address else ""
    words = f"{event.name}{where} ({event.action.word}" + (f": {event.meaning})" if event.meaning else ")")
    number = sum(s.line.count for s in found)
    return f"{words} at {first.at:.1f} s after boot" + (f" and {number - 1} more" if number > 1 else "")
