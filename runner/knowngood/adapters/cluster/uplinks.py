"""Which ports carry a node's own traffic, so that nobody takes the NIC driver out from under it. Pure.

Read as `grep -H` prints files in the host's network namespace: through the DOCA pod, which has it, or a probe Job; the
GPU driver pod sees its own. An uplink that can't be told is never "none".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowngood.adapters.cluster.readouts import Lines

ROUTES, ROUTES6 = "/proc/net/route", "/proc/net/ipv6_route"
FILES = (
    ROUTES,
    ROUTES6,
    "/sys/class/net/*/device/uevent",
    "/sys/class/net/*/lower_*/uevent",
    "/sys/class/net/*/master/uevent",
)
"""What is read: routes, the driver behind each port, what a bond, VLAN or bridge is made of, and whose port one is."""
UP, REJECT = 0x1, 0x200
SWITCH = "ovs-system"
"""The kernel's end of Open vSwitch: br-ex of OVN-Kubernetes shows no port of its own, its ports show this."""
_FILE = re.compile(r"/sys/class/net/(?P<name>[^/]+)/(?P<what>device|master|lower_(?P<lower>[^/]+))/uevent$")


def uplinks(read: Lines) -> tuple[str, ...] | None:
    """The ports on which the node's default routes end, sorted; None where that can't be told.

    Bonds, VLANs and bridges are followed down to the ports that they are made of.
    """
    roads = {*_default_ipv4(read), *_default_ipv6(read)}
    if not roads:
        return None
    drivers, lower, masters = _devices(read)
    found: set[str] = set()
    ahead, seen = sorted(roads), set[str]()
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in drivers:
            found.add(name)
            continue
        below = lower.get(name) or {port for port, master in masters.items() if master == SWITCH}
        if not below:
            return None
        ahead += sorted(below)
    return tuple(sorted(found))


def taken_down(read: Lines, driver: str = "mlx5_core") -> tuple[str, ...] | None:
    """The uplinks that a reload of this driver takes down; () where none is on it, None where it can't be told."""
    ports = uplinks(read)
    if ports is None:
        return None
    drivers, _, _ = _devices(read)
    return tuple(port for port in ports if drivers[port] == driver)


def _default_ipv4(read: Lines) -> Iterator[str]:
    for line in read.get(ROUTES, ())[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "00000000" and int(fields[3], 16) & UP:
            yield fields[0]


def _default_ipv6(read: Lines) -> Iterator[str]:
    for line in read.get(ROUTES6, ()):
        fields = line.split()
        if len(fields) < 10 or fields[0].strip("0") or fields[1] != "00":
            continue
        flags = int(fields[8], 16)
        if flags & UP and not flags & REJECT and fields[9] != "lo":
            yield fields[9]


def _devices(read: Lines) -> tuple[dict[str, str], dict[str, set[str]], dict[str, str]]:
    """Port -> driver, device -> what it is made of, port -> its master."""
    drivers: dict[str, str] = {}
    lower: dict[str, set[str]] = {}
    masters: dict[str, str] = {}
    for path, lines in read.items():
        match = _FILE.match(path)
        if match is None:
            continue
        rows = dict(line.split("=", 1) for line in lines if "=" in line)
        if match["lower"]:
            lower.setdefault(match["name"], set()).add(match["lower"])
        elif match["what"] == "master":
            masters[match["name"]] = rows.get("INTERFACE", "")
        elif rows.get("DRIVER"):
            drivers[match["name"]] = rows["DRIVER"]
    return drivers, lower, masters
