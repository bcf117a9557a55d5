"""How a node's NIC driver and its loads are told, from whatever source answers. Pure: nobody is asked here.

Sources, the least privilege first: the node's kernel journal (loads, and modules that were refused), files under /sys
and /proc as `grep -H` prints them through any privileged pod, `ofed_info -s` in the DOCA pod. Only the kernel's own
files say which DOCA-OFED runs: the pod's packages and its image's tag do not, and neither does the wait label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from knowngood.adapters.cluster.facts import dashed, is_ready
from knowngood.adapters.cluster.readouts import Lines, first
from knowngood.model.mover import Mark
from knowngood.model.values import Values

NIC, PEERMEM = "mlx5_core", "nvidia_peermem"
POD_LABEL, POD_CONTAINER = "nvidia.com/ofed-driver", "mofed-container"
BACKPORT = "Compat-mlnx-ofed backport release"
"""DOCA-OFED's compatibility module prints it once a load, before the first adapter appears."""
LOAD_WORDS = "firmware version:|Compat-mlnx-ofed|disagrees about version"
"""For a journal query: the lines that `loads` and `refused` read."""
WITHIN_S = 60.0
"""Adapters that one load brings up print within that time of the first: each needs a few seconds."""
_FIRMWARE = re.compile(r"mlx5_core (?P<device>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]): firmware version:")
_REFUSED = re.compile(r"(?P<module>\w+): disagrees about version of symbol (?P<symbol>\w+)")
_OFED_INFO = re.compile(r"(?:MLNX_OFED_LINUX|MLNX_OFED|OFED-internal)-(?P<version>\d+\.\d+-\d[\d.]*\d)")


@dataclass(frozen=True, slots=True)
class NicDriver:
    """The NIC driver in the kernel. `version` is DOCA-OFED's, "" where it is the kernel's own (`in_tree`)."""

    version: str
    in_tree: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A module that the kernel refused: built against another driver's symbols. `at`: seconds since boot."""

    module: str
    boot_id: str
    at: float


@dataclass
class _Pass:
    """Adapters that appeared together."""

    boot_id: str
    at: float
    backport: bool = False
    devices: set[str] = field(default_factory=set)


def nic_driver(read: Lines) -> NicDriver | None:
    """What is loaded, by /sys/module/mlx5_core. None: not loaded, or /sys/module was not read.

    DOCA-OFED's module has a version; the kernel's own lost it in Linux 5.7 and has a srcversion only.
    """
    version, source, users = (
        first(read, f"/sys/module/{NIC}/{file}") for file in ("version", "srcversion", "refcnt")
    )
    if version:
        return NicDriver(version, in_tree=False)
    return NicDriver("", in_tree=True) if source or users else None


def loads(lines: Iterable[Values], devices: Collection[str] = ()) -> tuple[Mark, ...]:
    """The loads of the NIC driver among one boot's kernel lines, oldest first. Their `version` is "": no line tells it.

    DOCA-OFED's begin with its backport line. The kernel's own says nothing of itself: there a load is when all of the
    node's adapters print their firmware again. `devices` are the PCI addresses of its physical functions; without them
    it is the adapters that came first. One that prints alone was reset, and virtual functions print when they are made:
    neither is a load.
    """
    passes = _passes(lines)
    known = set(devices) or (passes[0].devices if passes else set())
    whole = [one for one in passes if one.backport or (known and known <= one.devices)]
    return tuple(Mark("", one.boot_id, one.at) for one in whole)


def last_load(
    lines: Iterable[Values], running: NicDriver | None, devices: Collection[str] = ()
) -> Mark | None:
    """The load of what runs now, with its version; None where the journal holds none, or nothing is known to run."""
    found = loads(lines, devices)
    if not found or running is None:
        return None
    return Mark(running.version, found[-1].boot_id, found[-1].at)


def refused(lines: Iterable[Values]) -> tuple[Refusal, ...]:
    """The modules that were refused for another driver's symbols, oldest first, each once a moment."""
    found: dict[tuple[str, float], Refusal] = {}
    for entry in lines:
        match = _REFUSED.search(str(entry.get("MESSAGE") or ""))
        if match:
            boot, at = _moment(entry)
            found.setdefault((match["module"], at), Refusal(match["module"], boot, at))
    return tuple(found.values())


def stale_modules(lines: Sequence[Values], nic: Mark | None, gpu: Mark | None) -> tuple[str, ...]:
    """Modules that still belong to an older NIC driver: refused, or built with a GPU driver that was loaded before it.

    Of the second kind only nvidia_peermem is told, and only on the same boot; who has no such module asks for nothing.
    """
    since = gpu.at if gpu else 0.0
    found = {r.module for r in refused(lines) if r.at >= since and (gpu is None or r.boot_id == gpu.boot_id)}
    if nic and gpu and nic.boot_id == gpu.boot_id and gpu.at < nic.at:
        found.add(PEERMEM)
    return tuple(sorted(found))


def ofed_info(printed: str) -> str:
    """The version of the packages in a DOCA pod, as `ofed_info -s` prints it; "" where it prints none.

    What was built for, not what is loaded: before the pod has loaded its driver, and after a fault, they differ.
    """
    found = _OFED_INFO.search(printed)
    return found["version"] if found else ""


def doca_pod(pods: Iterable[Values]) -> Values | None:
    """Of a node's pods the one that can be asked in the GPU driver pod's place: the DOCA pod, if it is ready."""
    for pod in pods:
        containers = {c.get("name") for c in (pod.get("spec") or {}).get("containers") or ()}
        if (
            POD_LABEL in (pod["metadata"].get("labels") or {})
            and POD_CONTAINER in containers
            and is_ready(pod)
        ):
            return pod
    return None


def _passes(lines: Iterable[Values]) -> list[_Pass]:
    """Adapters that appeared together. A backport line begins a pass, a device's second line, or a long pause."""
    found: list[_Pass] = []
    for entry in lines:
        message = str(entry.get("MESSAGE") or "")
        boot, at = _moment(entry)
        if BACKPORT in message:
            found.append(_Pass(boot, at, backport=True))
        elif match := _FIRMWARE.search(message):
            last = found[-1] if found else None
            if last is None or match["device"] in last.devices or at - last.at > WITHIN_S:
                last = _Pass(boot, at)
                found.append(last)
            last.devices.add(match["device"])
    return found


def _moment(entry: Values) -> tuple[str, float]:
    """Boot id and seconds since boot at which the kernel printed a line, not when journald read it."""
    stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
    return dashed(str(entry.get("_BOOT_ID") or "")), int(stamp or 0) / 1e6
