"""What a node's NICs give: the rate that /sys shows, less what the twin's faults take from it.

A rehearsal starts hundreds of these processes, and most of what one costs are its imports: json, re and typing are
half of them.
"""

from __future__ import annotations

import os

CLASS = "sys/class/infiniband"
AILMENTS = "run/twin/fabric.json"
"""Below a node's root: a list of {fault, nic ("" all), peer ("" whoever)}, which the fault's behaviour writes."""
HALF, RAIL, LOSES, SOCKETS, HANGS = (
    "link-at-half-rate",
    "rail-at-half-rate",
    "port-loses-packets",
    "socket-transport",
    "fabric-tool-hangs",
)
USED = 0.9795
"""Share of a port's rate that perftest's payload gets: 391.8 of 400 Gb/s."""


class Side:
    """One side of a link. `rate` in Gb/s."""

    def __init__(self, node: str, device: str, rate: float) -> None:
        self.node = node
        self.device = device
        self.rate = rate


def side(device: str) -> Side | None:
    """This node's port of that name; None where there is none."""
    try:
        with open(f"{root()}/{CLASS}/{device}/ports/1/rate", encoding="ascii") as file:
            words = file.read().split()  # 400 Gb/sec (4X NDR)
    except OSError:
        return None
    return Side(node(), device, float(words[0]) if words else 0.0)


def devices() -> list[str]:
    """This node's NICs, in the order of their numbers."""
    names = os.listdir(f"{root()}/{CLASS}")
    return sorted(names, key=lambda name: (len(name), name))


def root() -> str:
    """Where the node's files are."""
    return os.environ["TWIN_HOST"]


def node() -> str:
    """Whose process this is."""
    return os.environ.get("NODE_NAME", "")


def address() -> str:
    """Where this pod is reached."""
    return os.environ["TWIN_ADDRESS"]


def ails(fault: str, device: str = "", peer: str = "") -> bool:
    """Whether that fault is at work on this node, on that NIC, towards that node."""
    try:
        with open(f"{root()}/{AILMENTS}", encoding="utf-8") as file:
            import json  # noqa: PLC0415 (nothing ails most nodes)

            found = json.load(file)
    except OSError:
        return False
    return any(
        one["fault"] == fault
        and one["nic"] in ("", device.removeprefix("mlx5_"))
        and one["peer"] in ("", peer)
        for one in found
    )


def share(device: str, peer: str) -> float:
    """The share of its rate that a port gives towards that node."""
    return 0.5 if ails(HALF, device, peer) or ails(RAIL, device) else 1.0
