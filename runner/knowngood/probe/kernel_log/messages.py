"""What a message says that carries no number: one of the signatures, a failure in unknown words, or nothing."""

from __future__ import annotations

import re
from functools import cache

from knowngood.probe.kernel_log.signature import BDF, Signature
from knowngood.probe.kernel_log.signatures import SIGNATURES

LONGEST = 4096
"""Characters of a message that are looked at: the kernel prints no longer line (printk's record has 1 to 2 KiB)."""
HARMLESS = tuple(
    re.compile(pattern)
    for pattern in (
        # Each is on healthy nodes: NVIDIA/open-gpu-kernel-modules #427, NVIDIA/dcgm-exporter #657,
        # Mellanox/nv_peer_memory #120, leptonai/gpud #1164, prometheus/node_exporter #3434.
        r"NVRM: .*nvCheck\w*: Check failed: .*\[NV_ERR_(?:OBJECT_NOT_FOUND|NOT_SUPPORTED|INSUFFICIENT_PERMISSIONS)\]",
        r"NVRM: Rate limiting GSP RPC error prints",
        r"NVRM: (?:GPU ?\d+ )?(?:GSP )?RPC (?:buffer|history|event history|error history)\b",
        r"NVRM:\s+-?\d+\s+\d+\s+\w+\s+0x",  # a row of that history
        r"NVRM: (?:GPU at PCI:|GPU Board Serial Number)",
        r"NVRM: .*(?:nvidia-bug-report|loading NVIDIA)",
        r"(?:nvidia\S*|mlx5_\w+): module verification failed",
        r"mlx5_(?:core \S+: )?(?:mlx5_)?\w*(?:cmd_out_err|cmd_check)\b.*ACCESS_REG\b.*failed",
        r"nvidia-peermem .*invalid context",
        r"nvidia-modeset: WARNING: ",  # of displays
        # Whenever a virtual machine stops on a host that migrates none: public notes on vGPU under Proxmox.
        r"\[nvidia-vgpu-vfio\] \S+ Failed to (?:notify migration|set stop-and-copy|configure vgpu device) state",
        # torvalds/linux mlx5/core/main.c: it waits; where it waited in vain it says "Firmware over".
        r"mlx5_core \S+: (?:wait_fw_init:\d+:\(pid \d+\): )?Waiting for FW [a-z-]+, timeout abort in \d+ ?s",
    )
)

_OURS = re.compile(
    r"(?:\[drm(?::\S+ \[|\] \[)|\[)?"
    r"(?P<who>NVRM|mlx5_\w+|nvidia-nvswitch\d*|nvidia[-_](?:caps|drm|fs|modeset|nvlink|peermem|uvm|vgpu-vfio)"
    rf"|nvidia(?= {BDF}))\]*(?:: | )"
)
"""How the drivers' lines begin; DRM writes the module's name behind its own."""
_FAILURE = re.compile(
    r"\b(?:fail(?:ed|ure|ures|s|ing)?|errors?|cannot|can't|could not|unable|mismatch\w*|time(?:d[ -]?out|out)|fatal"
    r"|corrupt\w*|refus\w+|abort\w*|unrecoverable|uncorrect\w+|unresponsive"
    r"|lost|hung|stuck|locked up|panic|assert\w*)\b",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"\s*(?:\r?\n|\\n|\\x0a|\\012|#012|\|[0-7]\|)(?:\s|\\n|(?:\x01|\\x01|\\001|#001)[0-7])*(?:NVRM:\s*)?"
)
_BREAK = re.compile(r"[\n\\#|]")
_DIGITS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{2,}(?:[:.][0-9a-fA-F]+)+\b|\d+")


_NAMED = re.compile(r"\(\?P<\w+>")
_EVERYDAY = re.compile(rf"mlx5_core {BDF}\.[0-7] \S+: Link (?:up|down)\b|NVRM: +-?\d+ ")


@cache
def _one_of_them() -> re.Pattern[str]:
    """All of them at once: most lines are none, and this tells it in one go."""
    return re.compile("|".join(_NAMED.sub("(?:", s.reads) for s in SIGNATURES))


def joined(message: str) -> str:
    """A message of several lines as one, whatever a log made of its line breaks (a line feed, `#012`, `|3|`, ...)."""
    return _JOINT.sub(" ", message[:LONGEST]).strip() if _BREAK.search(message) else message[:LONGEST]


def find(message: str) -> tuple[Signature, re.Match[str]] | None:
    """The first signature that the joined message begins with."""
    if _EVERYDAY.match(message) or not _one_of_them().match(message):
        return None
    for signature in SIGNATURES:
        if match := signature.pattern.match(message):
            return signature, match
    return None


def unknown_failure(message: str) -> str:
    """Which driver says in a joined message that something failed, in words that no signature knows; "" if none."""
    match = _OURS.match(message)
    if not match or not _FAILURE.search(message, match.end()):
        return ""
    return "" if any(known.match(message) for known in HARMLESS) else match["who"]


def shape(message: str) -> str:
    """A message without its numbers and addresses: what a baseline knows it by."""
    return _DIGITS.sub("#", message)[:160]


KEYWORDS = (
    "NVRM",
    "SXid",
    "mlx5_",
    "vidia",
    "NVSwitch",
    "multicast team",
    "NETDEV WATCHDOG",
    "PCIe",
    "downgraded",
    "retraining",
    "k speed",
    "AER:",
    "pcieport",
    "AMD-Vi: ",
    "DMAR:",
    "arm-smmu",
    "Hardware Error",
    "EDAC",
    "mce:",
    "blocked for more than",
    "INFO: rcu",
    "soft lockup",
    "hard LOCKUP",
    "Kernel panic",
    "Oops:",
    "BUG:",
    "BUG at ",
    "Internal error:",
    "Unable to handle kernel",
    "general protection",
    "d opcode",
    "stack segment",
    "double fault",
    "divide error",
)
"""Every line that any pattern here matches has one of these: what a file, or a journal, is searched for.

Some lack the letters at their ends that every line is full of: grep looks for the ends first, and is a fifth faster so.
"""

JOURNAL_PATTERN = (
    r"^(?:NVRM|nvidia|mlx5_|NETDEV WATCHDOG|pcieport |\[nvidia|\[drm(?::\S+ \[nvidia|\] \[nvidia)"
    r"|\S+ [0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7][: ]"
    r".*(?:AER|PCIe|NETDEV WATCHDOG|downgraded|retraining|link speed|AMD-Vi)"
    r"|(?:iommu ivhd\d+: )?AMD-Vi: (?:Event|Completion)|DMAR: ?\[|DMAR: VT-d|arm-smmu-v3 \S+: event"
    r"|(?:mce: )?(?:\{\d+\})?\[Hardware Error\]|mce: |EDAC |(?:rcu: )?INFO: (?:task|rcu)|(?:NMI )?watchdog: |BUG: "
    r"|Kernel panic|Oops: |Internal error: |Unable to handle kernel|kernel BUG|general protection fault"
    r"|invalid opcode|stack segment|double fault|divide error"
    r"|Linux version|Missed \d+ kernel messages)"
)
"""The same for a journal's messages, from their start: journalctl's --grep (PCRE2) and Python read it alike."""
