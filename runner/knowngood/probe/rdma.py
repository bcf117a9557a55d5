"""RDMA as the kernel shows it: ports, counters, firmware, and how GPU memory reaches the NIC.

Paths: the kernel's sysfs for InfiniBand (Documentation/ABI/stable/sysfs-class-infiniband). Counters that never
mean trouble (data, packets, flushed completions) are left out. A zero is told as 0: a counter that is absent could not
be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from knowngood.probe.host import Host

CLASS = "sys/class/infiniband"
HARMLESS = re.compile(
    r".*_data(_64)?|.*_packets(_64)?|lifespan|.*_cqe_flush_error|duplicate_request|rx_.*_requests|rx_dct_connect"
    r"|rx_icrc_encapsulated|(multi|uni)cast_.*"
)


def run(host: Host, params: Mapping[str, Any]) -> dict[str, Any]:
    """Read all ports. `ok`: there was something to read; whether it is healthy is the gate's to say."""
    devices = host.names(CLASS)
    ports = [port for device in devices for port in _ports(host, device)]
    measured = {
        "ports": ports,
        "firmware": {d: host.text(f"{CLASS}/{d}/fw_ver") or "" for d in devices},
        "counters": _counters(host, ports),
        "mode": mode(host),
        "peermem": _peermem(host),
        "uptimeSeconds": host.uptime(),
    }
    reason = "" if ports else f"no RDMA port under /{CLASS}"
    return {"ok": True if ports else None, "backend": "", "reason": reason, "measured": measured}


def mode(host: Host) -> str:
    """How GPU memory reaches the NIC: `dma-buf`, `nvidia-peermem`, `none`, or "" where it can't be told.

    DMA-BUF needs the open kernel modules and Linux 5.12 (NVIDIA GPU Operator documentation, gpu-operator-rdma);
    a loaded nvidia_peermem means that the legacy way is, or may be, in use.
    """
    if not host.module_version():
        return ""
    if "nvidia_peermem" in host.names("sys/module"):
        return "nvidia-peermem"
    flavour = host.text("proc/driver/nvidia/version")
    kernel = re.search(r"Linux version (\d+)\.(\d+)", host.text("proc/version") or "")
    if flavour is None or kernel is None:
        return ""
    new_enough = (int(kernel.group(1)), int(kernel.group(2))) >= (5, 12)
    return "dma-buf" if "Open Kernel Module" in flavour and new_enough else "none"


def _peermem(host: Host) -> dict[str, Any]:
    loaded = "nvidia_peermem" in host.names("sys/module")
    return {"loaded": loaded, "refcnt": host.text("sys/module/nvidia_peermem/refcnt") or "" if loaded else ""}


def _ports(host: Host, device: str) -> list[dict[str, Any]]:
    found = []
    for port in host.names(f"{CLASS}/{device}/ports"):
        root = f"{CLASS}/{device}/ports/{port}"
        found.append(
            {
                "name": f"{device}/{port}",
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
    match = re.match(r"(\d+(?:\.\d+)?) Gb/sec", text or "")
    return float(match.group(1)) if match else None


def _counters(host: Host, ports: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    found = {}
    for port in ports:
        device, _, number = port["name"].partition("/")
        values: dict[str, int] = {}
        for folder in ("counters", "hw_counters"):
            root = f"{CLASS}/{device}/ports/{number}/{folder}"
            for name in host.names(root):
                if not HARMLESS.fullmatch(name) and (value := host.number(f"{root}/{name}")) is not None:
                    values[name] = value
        found[port["name"]] = values
    return found
