"""Reads GPU, switch, NIC and host errors out of kernel messages.

Grammar: open-gpu-kernel-modules df1c9a3d, src/nvidia/src/kernel/gpu/rc/kernel_rc.c (Xid) and
src/common/nvswitch/kernel/inc (SXid). Code and address are taken from the start of the line only: the process name
further on is set by the process itself and may hold anything, line breaks too. Severe messages without a number have
signatures. A line that begins as an Xid or SXid and can't be read is for a human, never dropped; a driver's line that
says "failed" in words that nobody knows is compared with the baseline.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from knowngood.probe.kernel_log import messages
from knowngood.probe.kernel_log.codes import MEANING, NVLINK5, RECOVERY, SXID, XID, Action
from knowngood.probe.kernel_log.signature import BDF, GPU, NIC

_XID = re.compile(
    rf"NVRM: Xid \((?:PCI:)?(?P<address>{BDF})(?:\.\d)?"
    r"(?: GPU-I:(?P<gi>\d{1,4})(?: GPU-CI:(?P<ci>\d{1,4}))?)?\): (?P<code>\d{1,6})(?:,\s*(?P<text>.*))?$",
    re.DOTALL,
)
_PROCESS = re.compile(r"pid='?(\d{1,10}|<unknown>)'?(, name=|, |$)")
_CAUSE = re.compile(r"caused by previous Xid (\d{1,6})\s*$")
_RECOVERY = re.compile(
    r"GPU recovery action changed from 0x([0-9a-fA-F]{1,8}) \(.*?\) to 0x([0-9a-fA-F]{1,8})\b"
)
_NVLINK5 = re.compile(
    r"(?P<unit>\S+)\s+(?P<severity>Fatal|Nonfatal)\s+XC\d\s+i\d+\s+Link\s+(?P<link>-?\d{1,6})\b"
)
_SXID = re.compile(
    rf"nvidia-(?P<switch>nvswitch\d+): SXid \(PCI:(?P<address>{BDF}\.\d)\): (?P<code>\d{{5,9}}),\s*(?P<text>.*)$",
    re.DOTALL,
)
NUMBERED = ("NVRM: Xid", "nvidia-nvswitch")
_UNREAD = re.compile(r"NVRM: (?P<kind>Xid)|nvidia-(?P<switch>nvswitch\d+): SXid")
_SXID_MORE = re.compile(r"Severity \d+ Engine instance|Data \{")
_SXID_EVENT = re.compile(r"(?P<severity>Fatal|Non-fatal|Correctable)\b,?(?:.*?\bLink (?P<link>\d{1,6})\b)?")
_FABRIC = re.compile(
    rf"detected NVSwitch (?P<severity>fatal|non-fatal) error (?P<code>\d{{1,9}}) on fid \d+ on NVSwitch pci bus id"
    rf" 0*(?P<address>{BDF}\.\d)(?: physical id \d+)?(?: port (?P<link>\d{{1,6}}))?"
)
_MULTICAST = re.compile(r"failed to find the GPU handle \d+ in the multicast team")
FABRIC_MANAGER = "fabric-manager"


class Event(NamedTuple):
    """One error. `name`: "Xid 79", "SXid 20034", "unread Xid" or a signature. Empty fields were not in the line.

    `pid` and `process` are "unknown" where the driver did not know; `cause` is the Xid that a 45 names; `recovery`
    the numbers (from, to) of a 154; `gpu_instance` and `compute_instance` name the MIG slice. `address` of a GPU is
    domain:bus:device, of a switch or a NIC with its function. `part`: gpu, nic or host. `source`: who wrote the line.
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
    kind: str = "signature"
    part: str = GPU
    function: str = ""
    source: str = "kernel"

    @property
    def bdf(self) -> str:
        """The address as the line has it; "" where it names no device."""
        return f"{self.address}.{self.function}" if self.function else self.address

    @property
    def key(self) -> str:
        """What a baseline knows it by."""
        return self.name if self.kind != "unread" else f"{self.name}: {messages.shape(self.text)}"

    @property
    def meaning(self) -> str:
        """A few words for people."""
        return MEANING.get(self.code or 0, "") if self.name.startswith("Xid") else self.text[:120]


def parse(message: str) -> Event | None:
    """The error in a kernel message (a journal entry's MESSAGE), None where there is none."""
    message = message.strip()
    if message.startswith(NUMBERED):
        if match := _XID.match(message):
            return _xid(match)
        if match := _SXID.match(message):
            return _sxid(match)
        if match := _UNREAD.match(message):
            return _unread(match, message)
    return _unnumbered(messages.joined(message))


def fabric(message: str) -> Event | None:
    """The error in a line of the Fabric Manager's log, without its time and level; None where there is none."""
    if match := _FABRIC.match(message):
        code, severity = int(match["code"]), match["severity"]
        return Event(
            name=f"SXid {code}",
            action=_class(code, severity),
            address=match["address"].lower(),
            code=code,
            text=message,
            severity=severity,
            link=_number(match["link"]),
            kind="sxid",
            source=FABRIC_MANAGER,
        )
    if message.startswith("detected NVSwitch"):  # cut off, or in another grammar, as in `_unread`
        text = " ".join(message.split())
        return Event("unread SXid", Action.HOLD, text=text, kind="unread", source=FABRIC_MANAGER)
    if _MULTICAST.match(message):
        return Event("multicast-team", Action.FAULT, text=message, kind="sxid", source=FABRIC_MANAGER)
    return None


def _unnumbered(message: str) -> Event | None:
    if found := messages.find(message):
        signature, match = found
        fields = match.groupdict()
        address, function = _plain(fields.get("address") or ""), fields.get("function") or ""
        return Event(
            signature.name, signature.action, address, text=message, part=signature.part, function=function
        )
    if who := messages.unknown_failure(message):
        part = NIC if who.startswith("mlx5") else GPU
        switch = who.partition("-")[2] if "nvswitch" in who else ""
        return Event(
            f"unread {who.partition('-')[0]}",
            Action.WATCH,
            text=message,
            switch=switch,
            kind="unread",
            part=part,
        )
    return None


def is_continuation(message: str) -> bool:
    """Whether the line goes on with an SXid that was printed before: never counted."""
    match = _SXID.match(message.strip())
    return bool(match and _SXID_MORE.match(match["text"]))


def _xid(match: re.Match[str]) -> Event:
    address, gpu_instance, compute_instance, number, text = match.groups("")
    code = int(number)
    pid, process, text = _process(text)
    action, cause, recovery = XID.get(code, Action.HOLD), None, None
    unit = severity = ""
    link = None
    if code == 45 and (found := _CAUSE.search(text)):
        cause = int(found[1])
    elif code == 154:
        if found := _RECOVERY.match(text):
            recovery = int(found[1], 16), int(found[2], 16)
        action = RECOVERY.get(recovery[1], Action.HOLD) if recovery else Action.HOLD
    elif code in NVLINK5 and (found := _NVLINK5.match(text)):
        unit, severity, link = found[1], found[2].lower(), int(found[3])
        action = Action.WATCH if severity == "nonfatal" else action
    # By position: by name it takes twice as long, and a log is full of them.
    return Event(
        f"Xid {code}",
        action,
        _plain(address),
        code,
        text.strip(),
        pid,
        process,
        _number(gpu_instance),
        _number(compute_instance),
        cause,
        recovery,
        unit,
        severity,
        link,
        "",
        "xid",
    )


def _process(text: str) -> tuple[str, str, str]:
    """A Xid's pid, process and what follows them; "" where they are not told."""
    match = _PROCESS.match(text)
    if match is None:
        return "", "", text
    rest, name = text[match.end() :], ""
    if match[2] == ", name=":
        name, _, rest = rest.partition(", ")
    return _known(match[1]), _known(name), rest


def _sxid(match: re.Match[str]) -> Event | None:
    switch, address, number, text = match.groups()
    if _SXID_MORE.match(text):
        return None
    code, said = int(number), _SXID_EVENT.match(text)
    severity = said[1].lower() if said else ""
    link = _number(said[2]) if said else None
    action = _class(code, severity)
    return Event(
        f"SXid {code}",
        action,
        _plain(address),
        code,
        text.strip(),
        severity=severity,
        link=link,
        switch=switch,
        kind="sxid",
    )


def _class(code: int, severity: str) -> Action:
    """The guide's class and the driver's word at run time may differ: the worse one wins.

    Without a word it is the switch's own controller, which is fatal until known otherwise.
    """
    mild = severity in {"correctable", "non-fatal"}
    if code not in SXID:
        return Action.WATCH if mild else Action.HOLD
    return max(Action.INFO if mild else Action.DRAIN, SXID[code])


def _unread(match: re.Match[str], message: str) -> Event:
    """Cut off, or in a grammar that we do not know: it may be the worst error there is."""
    kind, text = match["kind"] or "SXid", " ".join(message.split())
    return Event(f"unread {kind}", Action.HOLD, text=text, switch=match["switch"] or "", kind="unread")


def _plain(address: str) -> str:
    """An address as sysfs writes it; some write the domain with eight digits, or not at all where it is the first."""
    address = address.lower().replace("0x", "")
    if address.count(":") == 1:
        return f"0000:{address}"
    return address.removeprefix("0000") if address.find(":") == 8 else address


def _known(word: str) -> str:
    return "unknown" if word.strip("'") == "<unknown>" else word


def _number(text: str | None) -> int | None:
    return int(text) if text else None
