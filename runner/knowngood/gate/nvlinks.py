"""Whether a GPU's NVLinks are as many and as fast as they should be. Pure.

How fast is said by the profile (`nvlinkGBps`), by the links beside them and by the same GPU before the change. Where
all are slow alike and the profile says nothing, the GPU's make tells what it can do; what nobody knows is no pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowngood.adapters.cluster.nvidia_smi import Links

TOPS = (
    (re.compile(r"\bG?B(?:100|200|300)\b"), 50.0),
    (re.compile(r"\bG?H(?:20|100|200|800)\b|\b[AV]100\b|\bA(?:30|800)\b"), 25.0),
    (re.compile(r"\bA40\b|\bRTX (?:A[456]\d00|3090)\b"), 14.0),
)
"""Product -> GB/s that one of its NVLinks can do one way, nominal: 25 from NVLink 2 to 4 (open-mpi/hwloc #574).

What nvidia-smi prints is a little more: 53.125 for Blackwell (NVIDIA/k8s-test-infra #371), 26.562 for Hopper (NVIDIA
Health Validation; bottlerocket #4418), 25.781 for V100 (Azure/azhpc-diagnostics #73), 14.062 for an RTX A6000's bridge.
"""
NEAR = 0.99
"""Share of a rate that is taken for the rate."""


def link_faults(
    found: Links, limits: Mapping[str, Any], before: Sequence[Any] | None, beside: float, *, nvswitch: bool
) -> Iterator[str]:
    """NVLinks that are down, slow, or fewer than before.

    `before`: how many were up, and how fast; `beside`: GB/s of the fastest of the node's GPUs of that make.
    """
    down = sorted(link for link, rate in found.rates.items() if not rate)
    expected = int(limits.get("nvlinks", 0))
    most = found.up + len(found.unread)
    if found.told and most < expected:
        yield f"{found.up} of {expected} NVLinks are up" + (f", down: {_few(down)}" if down else "")
    elif found.told and before and most < before[0]:
        yield f"{found.up} NVLinks are up, before the change {before[0]}"
    elif found.told and nvswitch and not most:
        yield "no NVLink is up, and there is an NVSwitch"
    then = float(before[1]) if before else 0.0
    fast = max([*found.rates.values(), beside, float(limits.get("nvlinkGBps", 0.0)), then])
    if slow := {link: rate for link, rate in found.rates.items() if 0 < rate < fast * NEAR}:
        link, rate = min(slow.items())
        others = fast in (*found.rates.values(), beside)
        whose = "others" if others else "before the change" if fast == then else "expected"
        yield f"NVLink {link} runs at {rate} GB/s, {whose} at {fast}"


def link_doubts(found: Links, limits: Mapping[str, Any], product: str) -> Iterator[str]:
    """What can't be told: links in words that nobody knows, and how fast they should be."""
    yield from found.unread
    links = {link: rate for link, rate in found.rates.items() if rate}
    if not links or limits.get("nvlinkGBps"):
        return
    top = next((rate for make, rate in TOPS if make.search(product)), None)
    link, rate = min(links.items(), key=lambda one: one[1])
    if top is None or rate < top * NEAR:
        can = f"{product} can do {top:g}" if top else f"who knows what {product or 'such a GPU'} can do"
        yield f"NVLink {link} runs at {rate} GB/s and {can}: name nvlinkGBps in the profile"


def _few(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + (", …" if len(numbers) > 6 else "")
