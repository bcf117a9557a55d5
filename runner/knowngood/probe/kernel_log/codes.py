"""What each Xid and SXid code asks for: the operator's action, mildest first.

Sources: NVIDIA's Xid catalogue (docs.nvidia.com/deploy/xid-errors, actions as of 2026-08-22) for codes 1 to 172,
driver header nverror.h (open-gpu-kernel-modules df1c9a3d) for 173 to 176; NVIDIA's Fabric Manager guide for SXid.
The mapping of NVIDIA's actions onto ours is our proposal (docs/adr); where sources disagree the stricter one
counts. A code that is in no table is `hold`: never dropped silently; where the driver itself calls it non-fatal
the baseline decides.
"""

from __future__ import annotations

from enum import IntEnum


class Action(IntEnum):
    """What an event asks for. From RESET on, the node must not serve before somebody acted."""

    INFO = 0  # record it; a storm of it is for a human
    WATCH = 1  # compare with the baseline; what is new can't be told to be harmless
    APP = 2  # restart the workload; new after a driver change, it is the driver's
    FAULT = 3  # compare with the baseline; what is new speaks against the node
    RESET = 4  # drain, then reset the GPU
    REBOOT = 5  # reboot the node
    DRAIN = 6  # cordon, open a support case
    HOLD = 7  # not known: a human decides

    @property
    def word(self) -> str:
        """The action as text."""
        return self.name.lower()


_XID = {
    Action.INFO: "14 37 38 43 44 45 66 67 92 93 106 107 121 137 141 152 153 162 163 164",
    Action.APP: "8 11 13 25 31 32 39-41 60 68-72 75-77 80 82-86 88 89 94 96-105 126-135 139",
    Action.RESET: "46 48 61-64 74 95 109 110 119 120 136 140 143 155 156 158 159 169 171 172",
    Action.REBOOT: "79 151 168",
    Action.DRAIN: "54 157 167",
}
NVLINK5 = frozenset(range(144, 151))
"""NVLink5 codes, of Blackwell: in no table, judged by the driver's own word (Fatal, Nonfatal)."""

RECOVERY = {
    0: Action.INFO,
    1: Action.RESET,
    2: Action.REBOOT,
    3: Action.DRAIN,
    4: Action.RESET,
    5: Action.HOLD,  # recover the IMEX domain
}
"""Xid 154's target by its number: the labels changed with R610, the numbers did not."""

_SXID_NON_FATAL = (
    "11004 11012 11021-11023 12021 12023 12028 15008 15011 19049 19055 19057 19059 19062 19065 19068 19071 19084"
    " 20001 20012 22013 24001-24003"
)
_SXID_FATAL = (
    "11001 11009 11013 11018-11020 12001 12002 12020 12022 12024-12027 12030-12032 14017 15001 15006 15009 15010"
    " 15012 15013 19047 19048 19054 19056 19058 19060 19061 19063 19064 19066 19067 19069 19070 20034 22003 22011"
    " 22012 23001-23017 24004-24007"
)

MEANING = {
    13: "graphics engine exception",
    31: "GPU memory page fault",
    43: "GPU stopped processing",
    45: "channel torn down after an earlier error",
    48: "double bit ECC error",
    61: "internal micro-controller breakpoint",
    62: "internal micro-controller halt",
    63: "memory row remap pending",
    64: "memory row remap failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "high rate of single bit ECC errors",
    94: "contained memory error",
    95: "uncontained memory error",
    109: "context switch timeout",
    119: "GSP RPC timeout",
    120: "GSP error",
    140: "uncorrectable ECC error",
    154: "GPU recovery action changed",
}


def _codes(text: str) -> set[int]:
    codes: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        codes.update(range(int(first), int(last or first) + 1))
    return codes


XID = {code: action for action, text in _XID.items() for code in _codes(text)}
SXID = dict.fromkeys(_codes(_SXID_NON_FATAL), Action.INFO) | dict.fromkeys(_codes(_SXID_FATAL), Action.DRAIN)
