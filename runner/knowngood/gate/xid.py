"""Reads GPU and NVSwitch errors out of kernel lines.

Grammar: open-gpu-kernel-modules df1c9a3d, src/nvidia/src/kernel/gpu/rc/kernel_rc.c (Xid) and
src/common/nvswitch/kernel/inc (SXid). Code and address are taken from the start of the line only: the process name
further on is set by the process itself and may hold anything, line breaks too. Some severe messages carry no number;
each has a signature of its own. A line that begins as an Xid or SXid and can't be read is for a human, never dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowngood.gate.xid_table import MEANING, RECOVERY, SXID, XID, Action

_ADDRESS = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"
_XID = re.compile(
    rf"NVRM: Xid \((?:PCI:)?(?P<address>{_ADDRESS})(?:\.\d)?"
    r"(?: GPU-I:(?P<gi>\d+)(?: GPU-CI:(?P<ci>\d+))?)?\): (?P<code>\d+)(?:,\s*(?P<text>.*))?$",
    re.DOTALL,
)
_PROCESS = re.compile(
    r"pid='?(?P<pid>\d+|<unknown>)'?(?:, name=(?P<name>.*?))?(?:, |$)(?P<text>.*)", re.DOTALL
)
_CAUSE = re.compile(r"caused by previous Xid (\d+)\s*$")
_RECOVERY = re.compile(r"GPU recovery action changed from 0x([0-9a-fA-F]+) \(.*?\) to 0x([0-9a-fA-F]+)\b")
_NVLINK5 = re.compile(
    r"(?P<unit>\S+)\s+(?P<severity>Fatal|Nonfatal)\s+XC\d\s+i\d+\s+Link\s+(?P<link>-?\d+)\b"
)
_SXID = re.compile(
    rf"nvidia-(?P<switch>nvswitch\d+): SXid \(PCI:(?P<address>{_ADDRESS}\.\d)\): (?P<code>\d{{5,}}),\s*(?P<text>.*)$",
    re.DOTALL,
)
_UNREAD = re.compile(r"NVRM: (?P<kind>Xid)|nvidia-(?P<switch>nvswitch\d+): SXid")
_SXID_MORE = re.compile(r"Severity \d+ Engine instance|Data \{")
_SXID_EVENT = re.compile(r"(?P<severity>Fatal|Non-fatal|Correctable)\b,?(?:.*?\bLink (?P<link>\d+)\b)?")
_UNNUMBERED = (
    (
        "fallen-off-bus",
        Action.REBOOT,
        re.compile(
            rf"NVRM: (?:GPU (?P<address>{_ADDRESS})\.\d: GPU has fallen off the bus"
            r"|fallen off the bus and is not responding)"
        ),
    ),
    (  # the same in three lines, which are one message in the journal
        "fallen-off-bus",
        Action.REBOOT,
        re.compile(
            rf"NVRM: The NVIDIA GPU (?P<address>{_ADDRESS})\.\d\s.*fallen off the bus and is not responding",
            re.DOTALL,
        ),
    ),
    ("reset-required", Action.RESET, re.compile(r"NVRM: .*\[NV_ERR_RESET_REQUIRED\]")),
    ("uvm-fatal", Action.REBOOT, re.compile(r"(?:NVRM|nvidia-uvm): .*uvm encountered global fatal error")),
    ("inforom-corrupted", Action.DRAIN, re.compile(r"NVRM: .*infoROM is corrupted at gpu")),
    ("probe-failed", Action.HOLD, re.compile(r"NVRM: The NVIDIA probe routine failed for \d+ device")),
)
# What dmesg, syslog and /dev/kmsg put before the kernel's own words. Never accepted inside a judgement: a journal
# entry's MESSAGE carries none, so a line that begins otherwise is somebody's echo.
_PREFIX = re.compile(
    r"\s*(?:\d+,\d+,\d+,[^;]*;)?(?:kern\s*:\s*\w+\s*:\s*)?(?:\d{4}-\d\d-\d\dT\S+\s+)?(?:\[[^\]]*\]\s*)?"
    r"(?:(?:\w{3}\s+\d+\s+[\d:]+\s+)?(?:\S+\s+)?kernel:\s*)?(?:\[\s*[\d.]+\]\s*)?"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One error. `name`: "Xid 79", "SXid 20034", "unread Xid" or a signature. Empty fields were not in the line.

    `pid` and `process` are "unknown" where the driver did not know; `cause` is the Xid that a 45 names; `recovery`
    the numbers (from, to) of a 154; `gpu_instance` and `compute_instance` name the MIG slice.
    """

    name: str
    action: Action
    address: str = ""
    code: int | None = None
    text: str = ""
    pid: str = ""
    process: str = ""
    gpu_instance: int | None = None
    compute_instance: int | None = None
    cause: int | None = None
    recovery: tuple[int, int] | None = None
    unit: str = ""
    severity: str = ""
    link: int | None = None
    switch: str = ""

    @property
    def meaning(self) -> str:
        """A few words for people."""
        return MEANING.get(self.code or 0, "") if self.name.startswith("Xid") else self.text[:120]


def parse(message: str) -> Event | None:
    """The error in a kernel message (a journal entry's MESSAGE), None where there is none."""
    message = message.strip()
    if match := _XID.match(message):
        return _xid(match)
    if match := _SXID.match(message):
        return _sxid(match)
    if match := _UNREAD.match(message):
        return _unread(match, message)
    for name, action, pattern in _UNNUMBERED:
        if found := pattern.match(message):
            return Event(name, action, address=(found.groupdict().get("address") or "").lower(), text=message)
    return None


def parse_line(line: str) -> Event | None:
    """The same for a line of a log file, with whatever prefix the tool that wrote it uses."""
    prefix = _PREFIX.match(line)
    return parse(line[prefix.end() :] if prefix else line)


def is_continuation(message: str) -> bool:
    """Whether the line goes on with an SXid that was printed before: never counted."""
    match = _SXID.match(message.strip())
    return bool(match and _SXID_MORE.match(match["text"]))


def _xid(match: re.Match[str]) -> Event:
    code, text = int(match["code"]), match["text"] or ""
    pid = process = ""
    if found := _PROCESS.match(text):
        pid, process, text = _known(found["pid"]), _known(found["name"] or ""), found["text"]
    cause = _CAUSE.search(text) if code == 45 else None
    recovery = _RECOVERY.match(text) if code == 154 else None
    nvlink = _NVLINK5.match(text) if 144 <= code <= 150 else None
    numbers = (int(recovery[1], 16), int(recovery[2], 16)) if recovery else None
    action = XID.get(code, Action.HOLD)
    if code == 154:
        action = RECOVERY.get(numbers[1], Action.HOLD) if numbers else Action.HOLD
    return Event(
        name=f"Xid {code}",
        action=action,
        address=match["address"].lower(),
        code=code,
        text=text.strip(),
        pid=pid,
        process=process,
        gpu_instance=_number(match["gi"]),
        compute_instance=_number(match["ci"]),
        cause=int(cause[1]) if cause else None,
        recovery=numbers,
        unit=nvlink["unit"] if nvlink else "",
        severity=nvlink["severity"].lower() if nvlink else "",
        link=int(nvlink["link"]) if nvlink else None,
    )


def _sxid(match: re.Match[str]) -> Event | None:
    code, text = int(match["code"]), match["text"].strip()
    if _SXID_MORE.match(text):
        return None
    said = _SXID_EVENT.match(text)
    severity = said["severity"].lower() if said else ""
    # The guide's class and the driver's word at run time may differ: the worse one wins. Without a word it is the
    # switch's own controller, which is fatal until known otherwise.
    spoken = {"correctable": Action.INFO, "non-fatal": Action.INFO}.get(severity, Action.DRAIN)
    return Event(
        name=f"SXid {code}",
        action=max(spoken, SXID.get(code, Action.HOLD)),
        address=match["address"].lower(),
        code=code,
        text=text,
        severity=severity,
        link=_number(said["link"]) if said else None,
        switch=match["switch"],
    )


def _unread(match: re.Match[str], message: str) -> Event:
    """Cut off, or in a grammar that we do not know: it may be the worst error there is."""
    kind, text = match["kind"] or "SXid", " ".join(message.split())
    return Event(f"unread {kind}", Action.HOLD, text=text, switch=match["switch"] or "")


def _known(word: str) -> str:
    return "unknown" if word.strip("'") == "<unknown>" else word


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
