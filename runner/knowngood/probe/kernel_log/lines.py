"""What log formats put around the kernel's own words: time, boot, and whether the kernel wrote it at all.

Formats: /dev/kmsg records; dmesg with seconds, `-T` dates or `--decode`; syslog and rsyslog; Talos' kernel.log and
dmesg; journalctl short, short-precise, short-iso, short-unix, short-monotonic, json; the Fabric Manager's own file;
bare messages.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple

from knowngood.probe.kernel_log.events import NUMBERED, Event, fabric, parse
from knowngood.probe.kernel_log.messages import JOURNAL_PATTERN
from knowngood.probe.values import Values

_STAMP = (
    r"(?:\w{3} +\d+ (?:\d{4} )?[\d:]{8}(?:\.\d+)?"
    r"|(?:\w{3} )?\d{4}-\d\d-\d\d[T ][\d:]{8}(?:[.,]\d+)?(?: ?(?:Z|[A-Z]{3,4}|[+-]\d\d(?::?\d\d)?))?"
    r"|\d{9,11}\.\d+)"
)
_KMSG = re.compile(r"(?:\d+\.[\w.+~-]*,)?(?P<prio>\d{1,9}),\d+,(?P<us>\d{1,18}),[^;]*;")
"""A record of /dev/kmsg; netconsole may write the kernel's release before it."""
_FABRIC = re.compile(r"\[(?P<wall>\w{3} \d+ \d{4} [\d:]{8})\] \[\w+\] \[tid \d+\] ")
_COUNTED = re.compile(r"\d{1,6} (?=<\d{1,3}>)")
"""How long a message is, where a syslog came over TCP (RFC 6587)."""
_RFC5424 = re.compile(
    r"<(?P<prio>\d{1,3})>1 (?P<wall>\S+) \S+ (?P<tag>\S+) \S+ \S+ (?:-|\[.*?\]) (?:\ufeff)?"
)
_DECODED = re.compile(
    r"(?P<facility>kern|user|daemon|mail|auth(?:priv)?|syslog|lpr|news|uucp|cron|ftp|local[0-7])\s*:\s*[a-z]+\s*:\s*"
)
_TALOS = re.compile(
    r"(?:[\w.:-]+: )?(?:(?P<stored>\d{4}-\d\d-\d\d [\d:]{8}(?:\.\d+)? [+-]\d{4}) \w+: (?P<facility>\w+): "
    r"|(?P<of>[a-z0-7]+): +[a-z]+: \[(?P<printed>[^\]]+)\]: )"
)
"""Its stored kernel.log, and what `talosctl dmesg` prints, with the node's address before it."""
_SYSLOG = re.compile(rf"(?P<wall>{_STAMP}) (?P<host>\S+) (?P<tag>[^\s:\[]+)(?:\[\d+\])?: ")
_TAGGED = re.compile(r"[\w.-]+ (?P<tag>[^\s:\[]+)(?P<pid>\[\d+\])?: ")
_BRACKET = re.compile(r"\[(?P<inside>(?=[^\[\]\n]*\d|\.\.\.)[^\[\]\n]{1,64})\]\s*")
"""A time, or the number of a task or a processor; not a word of the message, such as [Hardware Error]."""
_ISO = re.compile(rf"(?P<wall>{_STAMP})\s+")
_NO_YEAR = re.compile(r"\w{3} +\d+ [\d:]{8}(?:\.\d+)?")
_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)")
_OWN_TAG = "kernel: "
_COPIED = re.compile(
    rf"(?=(?:{_STAMP}) \S+ kernel: )|\bkernel: |(?=\[ *\d+\.\d{{6}}\]|\[\w{{3}} \w{{3}} +\d+ [\d:]{{8}} \d{{4}}\])"
)
"""Where the kernel's own begins in a line that another program copied: a container's log, many nodes' in one."""
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
FABRIC_MANAGER_TAG = "nv-fabricmanager"
_UNSTAMPED = re.compile(r"^\[\w{3} \d+ \d{4} [\d:]{8}\] \[\w+\] \[tid \d+\] ")
_UNTAGGED = re.compile(rf"[\w.-]{{1,64}}:? (?={JOURNAL_PATTERN.lstrip('^')})")
"""A node's name and nothing else before the kernel's words. A program's name is no other: then it counts, too."""
_KERNEL_TAGS = frozenset({"kernel", "kern"})
_BEGINNINGS = ("NVRM: ", "nvidia-nvswitch", "mlx5_core ")
_WORDS = re.compile("|".join(_BEGINNINGS))
LONGEST_PREFIX = 1024
LONGEST_COPIED = 200
"""Characters before the kernel's own: the names of a node, a pod and a container, and a time."""
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


class Line(NamedTuple):
    """One message. `seconds` since boot, `wall` as ISO 8601 (or as printed where no year is), each where known.

    `kernel`: the kernel may have written it; False: another program did. `whole`: it begins with a time, a priority or
    a tag, so it is no wrapped rest of the line before it. `fabric_manager`: of that program's own file.
    """

    message: str
    seconds: float | None = None
    wall: str | None = None
    boot_id: str | None = None
    kernel: bool = True
    whole: bool = True
    fabric_manager: bool = False

    def event(self) -> Event | None:
        """The error that it tells, None where it tells none or another program wrote it."""
        if self.fabric_manager:
            return fabric(self.message)
        if not self.kernel:
            return None
        numbered = self.message.startswith(NUMBERED)  # seldom twice the same: a flood of them is counted
        return parse(self.message) if numbered or len(self.message) > SHORT else _parsed(self.message)


_parsed = lru_cache(maxsize=4096)(parse)
"""What is no error comes again and again: links that go up."""
SHORT = 512


def of_text(raw: str) -> Line:
    """A line of a text log."""
    if raw[:1] == "[":
        end = raw.find("] ", 1, 24)
        if end > 0 and raw.startswith(_BEGINNINGS, end + 2):
            try:
                seconds = float(raw[1:end])
            except ValueError:
                seconds = -1.0
            if 0.0 <= seconds < 1e12:  # no "nan" either
                return Line(raw[end + 2 :], seconds)
    elif raw[:1].isdigit() and (match := _KMSG.match(raw)):
        text = raw[match.end() :]
        text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), text) if "\\x" in text else text
        return Line(text, seconds=int(match["us"]) / 1e6, kernel=int(match["prio"]) < 8)
    if "\x1b[" in raw:  # dmesg --color=always
        return of_text(_COLOUR.sub("", raw))
    # What comes before the driver's own words is often the same: it is read once.
    word = _WORDS.search(raw, 0, LONGEST_PREFIX)
    cut = word.start() if word else LONGEST_PREFIX
    before = _prefix(raw[:cut])
    message, untold = before[0] + raw[cut:], before.kernel and before.seconds is None
    if untold and not message.startswith(_BEGINNINGS) and (host := _UNTAGGED.match(message)):
        message = message[host.end() :]
    return Line(message, *before[1:])


@lru_cache(maxsize=4096)
def _prefix(raw: str) -> Line:
    raw = _COUNTED.sub("", raw, count=1) if _COUNTED.match(raw) else raw
    if match := _FABRIC.match(raw):
        return Line(raw[match.end() :], wall=iso(match["wall"]), fabric_manager=True)
    if match := _TALOS.match(raw):
        wall, facility = match["stored"] or match["printed"], match["facility"] or match["of"]
        return Line(raw[match.end() :], wall=iso(wall), kernel=facility == "kern")
    if match := _RFC5424.match(raw):
        ours = match["tag"] in _KERNEL_TAGS or (match["tag"] == "-" and int(match["prio"]) < 8)
        return Line(*_stamped(raw[match.end() :], iso(match["wall"])), kernel=ours)
    line = _prefixed(raw)
    # A line that says it is the kernel's ends there: what follows may be a name that a process chose.
    own = line.seconds is not None or _OWN_TAG in raw[: len(raw) - len(line.message)]
    may = line.kernel and not own and ("[" in line.message or _OWN_TAG in line.message)
    begins = _COPIED.search(line.message, 0, LONGEST_COPIED) if may else None
    if begins is None:
        return line
    copied = _prefixed(line.message[begins.end() :])
    return copied._replace(wall=copied.wall or line.wall, whole=True)


def _prefixed(raw: str) -> Line:
    """Syslog's, dmesg's and journalctl's prefixes, in any of the orders in which they stack."""
    seconds, wall, kernel, at = None, None, True, 0
    if raw[:1] == "<" and (end := raw.find(">", 1, 6)) > 0 and raw[1:end].isdigit():
        kernel, at = int(raw[1:end]) < 8, end + 1
    begins = at
    if match := _SYSLOG.match(raw, at):
        wall, kernel, at = iso(match["wall"]), kernel and match["tag"] in _KERNEL_TAGS, match.end()
        if match["tag"] == FABRIC_MANAGER_TAG:
            return Line(_UNSTAMPED.sub("", raw[at:]), wall=wall, kernel=False, fabric_manager=True)
    elif match := _DECODED.match(raw, at):
        kernel, at = match["facility"] == "kern", match.end()
    if match := _ISO.match(raw, at):
        wall, at = iso(match["wall"]), match.end()
    for _ in range(3):  # journalctl's own brackets, then "host kernel: ", then the kernel's brackets
        if match := _BRACKET.match(raw, at):
            told = _SECONDS.fullmatch(match["inside"])
            seconds = float(told[1]) if told else seconds
            wall, at = wall if told else wall or iso(match["inside"]), match.end()
        if tagged := _TAGGED.match(raw, at):
            ours = tagged["tag"] in _KERNEL_TAGS
            kernel = kernel and (ours or not tagged["pid"])
            at = tagged.end() if ours else at
        at += len(_OWN_TAG) if raw.startswith(_OWN_TAG, at) else 0
    return Line(raw[at:], seconds, wall, None, kernel, whole=at > begins)


def of_journal(entry: Values) -> Line:
    """An entry of journalctl's JSON or export format. ValueError: it has no message, or a time that is none."""
    if "MESSAGE" not in entry:
        raise ValueError("the entry has no message")
    # Without these fields it was asked for without them, as a log of the kernel's alone.
    writer = entry.get("_TRANSPORT") or entry.get("SYSLOG_IDENTIFIER") or "kernel"
    ours = writer == "kernel" and str(entry.get("SYSLOG_FACILITY", "0")) == "0"
    switches = not ours and entry.get("_SYSTEMD_UNIT") == "nvidia-fabricmanager.service"
    message = text_of(entry.get("MESSAGE", ""))
    stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
    wall = entry.get("__REALTIME_TIMESTAMP") or entry.get("_SOURCE_REALTIME_TIMESTAMP")
    boot = str(entry.get("_BOOT_ID") or "").replace("-", "").lower()
    return Line(
        _UNSTAMPED.sub("", message) if switches else message,
        seconds=int(str(stamp)) / 1e6 if stamp is not None else None,
        wall=_iso_of_us(int(str(wall))) if wall is not None else None,
        boot_id=boot or None,
        kernel=ours,
        fabric_manager=switches,
    )


def text_of(message: Any) -> str:
    """A journal's message: a list of bytes where it is no UTF-8."""
    if isinstance(message, list):
        if message and all(isinstance(part, (str, list)) for part in message):
            return text_of(message[0])  # a field that was given twice
        return bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode("utf-8", "replace")
    return "" if message is None else str(message)


def parse_line(line: str) -> Event | None:
    """The error in a kernel's line of a log file, with whatever prefix a tool put before it; None if there is none."""
    if line.lstrip().startswith("{"):
        try:
            entry = json.loads(line)
            return of_journal(entry).event() if isinstance(entry, dict) else None
        except ValueError:
            return None
    found = of_text(line.strip())
    return None if found.fabric_manager else found.event()


def _stamped(message: str, wall: str | None) -> tuple[str, float | None, str | None]:
    """A message with the kernel's own seconds before it."""
    match = _BRACKET.match(message)
    told = _SECONDS.fullmatch(match["inside"]) if match else None
    return (message[match.end() :], float(told[1]), wall) if match and told else (message, None, wall)


@lru_cache(maxsize=1024)
def iso(text: str) -> str | None:
    """A time as ISO 8601, or as it is printed where it has no year or zone that is known; None where it is none."""
    text = text.strip()
    if _NO_YEAR.fullmatch(text):
        return text
    if re.fullmatch(r"\d{9,11}\.\d+", text):
        return _iso_of_us(int(float(text) * 1e6))
    plain = text.replace(",", ".")
    for form in ("%a %b %d %H:%M:%S %Y", "%b %d %Y %H:%M:%S", "%b %d %H:%M:%S %Y"):
        try:
            return datetime.strptime(plain, form).isoformat()
        except ValueError:
            continue
    iso_text = re.sub(r"^\w{3} (?=\d{4})", "", plain)
    if match := re.match(r"(\d{4}-\d\d-\d\d)[T ](.+)", iso_text):
        rest = match[2].replace(" UTC", "+00:00").replace("Z", "+00:00")
        return f"{match[1]}T{rest.replace(' ', '')}"
    return None


def _iso_of_us(microseconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(microseconds / 1e6, tz=timezone.utc).isoformat()  # noqa: UP017 (Python 3.9)
    except (OverflowError, OSError, ValueError):
        return None
