"""Counters of RDMA ports: which may not grow, which may by a rate, which only inform; and growth since a baseline.

A counter that is full, was set back or is gone says nothing of what happened: that is never a pass. Names that no
table knows inform: vendors add some with each release, and on a healthy network most of them grow.

Sources: NVIDIA/NVSentinel docs/nic-health-monitor.md (limits and rates); NVIDIA's description of mlx5 counters
(MLNX_OFED, "understanding mlx5 Linux counters"); widths of the InfiniBand ones: the InfiniBand Architecture's
PortCounters, as Linux drivers/infiniband/core/sysfs.c reads them (PORT_PMA_ATTR).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knowngood.model.values import Object, Values

LINK_DOWNED = "link_downed"
FATAL = (
    LINK_DOWNED,
    "excessive_buffer_overrun_errors",
    "local_link_integrity_errors",
    "rnr_nak_retry_err",
    "port_rcv_constraint_errors",
    "port_rcv_remote_physical_errors",
    "port_rcv_switch_relay_errors",
    "port_xmit_constraint_errors",
)
"""May not grow. The last four are a fabric's own (IBTA); a healthy one has none."""
LOSSLESS = ("out_of_sequence", "packet_seq_err")
"""May not grow on InfiniBand, which loses nothing; on Ethernet a lost packet is the network's daily business."""
LIMITS = {
    LINK_DOWNED: "maxLinkDowned",
    "local_link_integrity_errors": "maxLocalLinkIntegrityErrors",
    "excessive_buffer_overrun_errors": "maxExcessiveBufferOverrunErrors",
}
"""The profile's limits of those that may not grow, which are 0 otherwise."""
RATES: Mapping[str, tuple[str, float, float]] = {
    "symbol_error": ("maxSymbolErrorsPerHour", 120, 3600.0),
    "link_error_recovery": ("maxLinkErrorRecoveryPerMinute", 5, 60.0),
    "port_rcv_errors": ("maxPortRcvErrorsPerSecond", 10, 1.0),
    "port_xmit_discards": ("maxPortXmitDiscardsPerSecond", 100, 1.0),
    "local_ack_timeout_err": ("maxLocalAckTimeoutsPerSecond", 1, 1.0),
    "roce_slow_restart": ("maxRoceSlowRestartsPerSecond", 10, 1.0),
}
"""Counter -> the profile's limit, its default and its seconds."""
INFORM = frozenset(
    {
        "VL15_dropped",
        "duplicate_request",
        "implied_nak_seq_err",
        "np_cnp_sent",
        "np_ecn_marked_roce_packets",
        "out_of_buffer",
        "port_xmit_wait",
        "req_cqe_error",
        "req_remote_access_errors",
        "req_remote_invalid_request",
        "req_rnr_retries_exceeded",
        "req_transport_retries_exceeded",
        "resp_cqe_error",
        "resp_local_length_error",
        "resp_remote_access_errors",
        "resp_rnr_nak",
        "roce_adp_retrans",
        "roce_adp_retrans_to",
        "roce_slow_restart_cnps",
        "roce_slow_restart_trans",
        "rp_cnp_handled",
        "rp_cnp_ignored",
        "rx_out_of_buffer",
    }
)
"""Congestion, and what a peer that went away or a tenant's own program raises: recorded, never judged."""
WIDTHS = {
    "excessive_buffer_overrun_errors": 4,
    "local_link_integrity_errors": 4,
    LINK_DOWNED: 8,
    "link_error_recovery": 8,
    "port_rcv_constraint_errors": 8,
    "port_xmit_constraint_errors": 8,
    "port_rcv_errors": 16,
    "port_rcv_remote_physical_errors": 16,
    "port_rcv_switch_relay_errors": 16,
    "port_xmit_discards": 16,
    "symbol_error": 16,
    "VL15_dropped": 16,
}
"""Bits of those that InfiniBand keeps short; they stop at their largest value."""
OTHER_WIDTHS = (32, 64)
SHORTEST = 60.0  # seconds; a rate over less says nothing
PER_LOAD = 1
"""Times that a link goes down each time the NIC's driver is loaded anew."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One port's counters at one time, `seconds` since boot `boot`. `loads`: when the NIC's driver was loaded on it.

    `known` has the names that were read, zero too.
    """

    values: Mapping[str, int]
    known: frozenset[str]
    boot: str = ""
    seconds: float | None = None
    loads: tuple[float, ...] = ()


@dataclass(slots=True)
class Finding:
    """What is wrong with a port's counters, what can't be told of them, and what is worth a word."""

    wrong: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judged(name: str, layer: str, limits: Values) -> bool:
    """Whether a counter decides anything on a port of that link layer."""
    return _class(name, layer, limits) != "informs"


def _class(name: str, layer: str, limits: Values) -> str:
    if name in limits.get("countersThatInform", ()):
        return "informs"
    if name in FATAL or (name in LOSSLESS and layer == "InfiniBand"):
        return "fatal"
    if name in limits.get("countersThatMayNotGrow", ()):
        return "fatal"
    return "rate" if name in RATES else "informs"


def compare(now: Reading, before: Reading | None, layer: str, limits: Values) -> Finding:
    """A port's counters against those of the same port before; None: a baseline is being taken."""
    found = Finding()
    full = [n for n in sorted(now.values) if judged(n, layer, limits) and saturated(n, now.values[n])]
    if before is None:
        found.unsure += [f"{name} is full ({now.values[name]}): clear it (perfquery -R)" for name in full]
        return found
    booted = before.boot != now.boot if before.boot and now.boot else _younger(now, before)
    # A boot begins with the kernel's own driver: what a pod loads then takes the links down as any reload does.
    reloads = len(now.loads) if booted else sum(at > (before.seconds or math.inf) for at in now.loads)
    back = {name for name, old in before.values.items() if now.values.get(name, old) < old}
    # One that went back without a reason that we know tells it of the whole port.
    anew = booted or (bool(back) and not reloads)
    seconds = _seconds(now, before, anew=anew)
    for name in sorted(now.values):
        value, old = now.values[name], before.values.get(name, 0)
        growth = value if anew or name in back else value - old
        if not judged(name, layer, limits):
            if growth and name not in INFORM and name not in LOSSLESS:
                found.notes.append(f"{name} grew by {growth}")
        elif growth > allowed(name, layer, seconds, limits, reloads):
            if anew or name in before.known:
                found.wrong.append(f"{name} grew by {growth}")
            else:
                found.unsure.append(f"{name} is {value}, and the baseline does not have it")
        elif name in full:
            found.unsure.append(
                f"{name} is full ({value}): what came since can't be told; clear it (perfquery -R)"
            )
        elif name in back and not (booted or reloads):
            found.unsure.append(f"{name} went back from {old} to {value}: what it had counted is lost")
    gone = sorted(name for name in before.known - now.known if judged(name, layer, limits))
    found.unsure += [f"{name} can't be read; the baseline has it" for name in gone]
    return found


def allowed(name: str, layer: str, seconds: float, limits: Values, reloads: int) -> float:
    """How much a counter may grow in that time; `reloads`: how often the NIC's driver was loaded in it."""
    if _class(name, layer, limits) == "rate":
        key, default, unit = RATES[name]
        return float(limits.get(key, default)) * seconds / unit
    limit = float(limits.get(LIMITS.get(name, ""), 0))
    if name == LINK_DOWNED:
        limit += reloads * float(limits.get("maxLinkDownedPerLoad", PER_LOAD))
    return limit


def saturated(name: str, value: int) -> bool:
    """Whether a counter stands at the largest value that it can hold."""
    widths = (WIDTHS[name], *OTHER_WIDTHS) if name in WIDTHS else OTHER_WIDTHS
    return any(value == 2**bits - 1 for bits in widths)


def _younger(now: Reading, before: Reading) -> bool:
    return now.seconds is not None and before.seconds is not None and now.seconds < before.seconds


def _seconds(now: Reading, before: Reading, *, anew: bool) -> float:
    here, there = now.seconds or 0.0, before.seconds or 0.0
    return max(here if anew else here - there, SHORTEST)


def packed(ports: Mapping[str, Mapping[str, int]]) -> list[Object]:
    """Ports' counters, small: ports mostly have the same ones, so the names are kept once for those that agree."""
    groups: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for port, values in sorted(ports.items()):
        names = tuple(sorted(values))
        groups.setdefault(names, {})[port] = [values[name] for name in names]
    return [{"names": " ".join(names), "ports": rows} for names, rows in groups.items() if names]


def unpacked(kept: Any, names: Iterable[Mapping[str, str]] = ()) -> Iterator[tuple[str, dict[str, int]]]:
    """Port -> counters of what a baseline kept.

    Older ones kept a mapping without zeros, and beside it the `names` of what was read.
    """
    if not isinstance(kept, Mapping):
        for group in kept or ():
            known = group["names"].split()
            yield from ((port, dict(zip(known, row, strict=True))) for port, row in group["ports"].items())
        return
    found: dict[str, dict[str, int]] = {}
    for group in names:
        for port in group["ports"].split():
            found.setdefault(port, {}).update(dict.fromkeys(group["names"].split(), 0))
    for port, values in kept.items():
        found.setdefault(port, {}).update(values)
    yield from found.items()


def finite(value: Any) -> float | None:
    """A number that can be counted with; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
