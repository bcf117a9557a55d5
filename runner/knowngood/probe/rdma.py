"""RDMA as the kernel shows it: devices, ports, counters, firmware, and how GPU memory reaches the NIC.

Paths: the kernel's sysfs for InfiniBand (Documentation/ABI/stable/sysfs-class-infiniband) and PCI
(Documentation/ABI/testing/sysfs-bus-pci). All counters are told but those of traffic
and of queues that end. A zero is told as 0; a counter
that is there and can't be read, or holds no number that 64 bits can, is `unread`.
"""

from __future__ import annotations

import re

from knowngood.probe import gpudirect
from knowngood.probe.host import Host
from knowngood.probe.values import Object, Values

CLASS = "sys/class/infiniband"
TRAFFIC = re.compile(
    r".*_data(_64)?|.*_packets(_64)?|.*_(bytes|pkts)|lifespan|.*_cqe_flush_error|duplicate_request|rx_.*_requests"
    r"|rx_dct_connect|rx_icrc_encapsulated|(multi|uni)cast_.*"
)
PHYSICAL, VIRTUAL = "physical", "virtual"
WIDTHS = (1, 2, 4, 8, 12, 16, 32)
"""Lanes that a PCIe link can have. Of a device that does not answer the kernel reads all ones, and shows 63."""


def run(host: Host, params: Values) -> Object:
    """Read all ports. `ok`: there was something to read, else None; whether it is healthy is the gate's.

    measured: devices [{name, pci, guid, board, hca, firmware, function, pcie: {speed (GT/s), width, their max}}],
    ports [{name, device, state, physState, rateGbps, linkLayer}], firmware {device: version}, counters and unread
    {port: {counter: value}} and {port: [counter]}, mode with what shows it, peermem, uptimeSeconds, listed (whether
    /sys/class was read at all).
    """
    names = host.names(CLASS)
    devices = [_device(host, name) for name in names]
    ports = [port for name in names for port in _ports(host, name)]
    counters, unread = _counters(host, ports)
    way = gpudirect.way(host)
    measured = {
        "devices": devices,
        "ports": ports,
        "firmware": {d["name"]: d["firmware"] for d in devices},
        "counters": counters,
        "unread": unread,
        "mode": way.mode,
        "modeShownBy": way.by,
        "modeTrouble": way.trouble,
        "peermem": _peermem(host),
        "uptimeSeconds": host.uptime(),
        "listed": bool(host.names("sys/class")),
    }
    reason = "" if ports else f"no RDMA port under /{CLASS}"
    return {"ok": True if ports else None, "backend": "", "reason": reason, "measured": measured}


def mode(host: Host) -> str:
    """How GPU memory reaches the NIC: `dma-buf`, `nvidia-peermem`, `none`, or "" where it can't be told."""
    return gpudirect.way(host).mode


def _peermem(host: Host) -> Object:
    loaded = "nvidia_peermem" in host.names("sys/module")
    return {"loaded": loaded, "refcnt": host.text("sys/module/nvidia_peermem/refcnt") or "" if loaded else ""}


def _device(host: Host, name: str) -> Object:
    root = f"{CLASS}/{name}"
    uevent = re.search(r"^PCI_SLOT_NAME=(\S+)$", host.text(f"{root}/device/uevent") or "", re.M)
    # A virtual function has a physical one; a subfunction (mlx5's, without a PCI address) has a number.
    virtual = {"physfn", "sfnum"} & {*host.names(f"{root}/device")}
    return {
        "name": name,
        "pci": uevent.group(1) if uevent else "",
        "guid": _guid(host.text(f"{root}/node_guid")),
        "board": host.text(f"{root}/board_id") or "",
        "hca": host.text(f"{root}/hca_type") or "",
        "firmware": host.text(f"{root}/fw_ver") or "",
        "function": VIRTUAL if virtual else PHYSICAL,
        "pcie": {
            key: value
            for key, file in (
                ("speed", "current_link_speed"),
                ("width", "current_link_width"),
                ("maxSpeed", "max_link_speed"),
                ("maxWidth", "max_link_width"),
            )
            if (value := _leading(host.text(f"{root}/device/{file}"))) is not None
            and (value in WIDTHS or "idth" not in key)
        },
    }


def _guid(text: str | None) -> str:
    """A GUID that tells devices apart: not the zero of a function that was given none."""
    return "" if not text or not text.strip("0:") else text


def _ports(host: Host, device: str) -> list[Object]:
    found = []
    for port in host.names(f"{CLASS}/{device}/ports"):
        root = f"{CLASS}/{device}/ports/{port}"
        found.append(
            {
                "name": f"{device}/{port}",
                "device": device,
                "state": _word(host.text(f"{root}/state")),
                "physState": _word(host.text(f"{root}/phys_state")),
                "rateGbps": _rate(host.text(f"{root}/rate")),
                "linkLayer": host.text(f"{root}/link_layer") or "",
            }
        )
    return found


def _word(text: str | None) -> str:
    """`ACTIVE` of `4: ACTIVE`; "" where it can't be read."""
    return (text or "").partition(":")[2].strip()


def _rate(text: str | None) -> float | None:
    """400 of `400 Gb/sec (4X NDR)`; None where it can't be read."""
    return _leading(text) if re.match(r"[\d.]+ Gb/sec", text or "") else None


def _leading(text: str | None) -> float | None:
    """32 of `32.0 GT/s PCIe` and 16 of `16`; None of what begins with no number of this kind."""
    match = re.match(r"(\d{1,6}(?:\.\d{1,3})?)(?![\d.])", text or "")
    return float(match.group(1)) if match else None


def _counters(host: Host, ports: list[Object]) -> tuple[dict[str, dict[str, int]], dict[str, list[str]]]:
    found: dict[str, dict[str, int]] = {}
    unread: dict[str, list[str]] = {}
    for port in ports:
        device, _, number = port["name"].partition("/")
        values = found.setdefault(port["name"], {})
        for folder in ("counters", "hw_counters"):
            root = f"{CLASS}/{device}/ports/{number}/{folder}"
            for name in host.names(root):
                if TRAFFIC.fullmatch(name):
                    continue
                value = host.number(f"{root}/{name}")
                if value is None:
                    unread.setdefault(port["name"], []).append(name)
                else:
                    values[name] = value
    return found, unread
