"""A node's journal: journald JSON lines in a file, and the kubelet's query over them.

The query is that of `oc adm node-logs`: boot (0 this boot, -1 the one before), output (json, cat, short), since
and until (RFC 3339, seconds since the epoch, or -30m), grep or pattern (a regular expression), tail or tailLines,
unit. Kernel lines have no unit: they are left out when one is asked for.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from knowngood.twin.values import Values

Entry = dict[str, str]

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Journal:
    """One node's journal file; boot ids as journald writes them (32 hex digits, no dashes)."""

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._sequence = 0
        path.parent.mkdir(parents=True, exist_ok=True)

    def kernel(self, message: str, *, boot_id: str, booted_at: float, priority: int = 6) -> None:
        """Append a kernel line, stamped now. booted_at: seconds since the epoch; priority: syslog's 0 to 7."""
        at = time.time()
        monotonic = max(0.0, at - booted_at)
        self._sequence += 1
        entry = {
            "__CURSOR": f"s={boot_id};i={self._sequence:x};b={boot_id};m={int(monotonic * 1e6):x}",
            "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
            "__MONOTONIC_TIMESTAMP": str(int(monotonic * 1e6)),
            "_BOOT_ID": boot_id.replace("-", ""),
            "_TRANSPORT": "kernel",
            "_HOSTNAME": self._host,
            "_SOURCE_MONOTONIC_TIMESTAMP": str(int(monotonic * 1e6)),
            "PRIORITY": str(priority),
            "SYSLOG_FACILITY": "0",
            "SYSLOG_IDENTIFIER": "kernel",
            "MESSAGE": message,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def vacuum(self) -> int:
        """Drop all entries, as journald does with its oldest files where it may keep no more; how many there were."""
        dropped = len(self.entries())
        self._path.write_text("", encoding="utf-8")
        return dropped

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]


def answer(entries: list[Entry], query: Mapping[str, str]) -> bytes:
    """What the kubelet's journal endpoint answers; ValueError for a query that journalctl would refuse."""
    found = _of_boot(entries, query["boot"]) if "boot" in query else entries
    if "unit" in query or "query" in query:
        found = []
    if "since" in query:
        found = [e for e in found if _at(e) >= instant(query["since"])]
    if "until" in query:
        found = [e for e in found if _at(e) <= instant(query["until"])]
    if text := query.get("grep") or query.get("pattern"):
        # journalctl: a pattern that is all lower case ignores case.
        flags = re.IGNORECASE if text == text.lower() else 0
        try:
            pattern = re.compile(text, flags)
        except re.error as error:
            raise ValueError(f"grep: {error}") from error
        found = [e for e in found if pattern.search(e["MESSAGE"])]
    if tail := query.get("tail") or query.get("tailLines"):
        found = found[-int(tail) :] if int(tail) else []
    lines = [_render(e, query.get("output", "short")) for e in found]
    return "".join(line + "\n" for line in lines).encode()


def kern_log(entries: list[Entry]) -> bytes:
    """What rsyslog keeps of the kernel's lines, with the kernel's own time: of all boots, oldest first."""
    lines = []
    for entry in entries:
        at, since = _at(entry), int(entry["_SOURCE_MONOTONIC_TIMESTAMP"]) / 1e6
        stamp = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="microseconds")
        lines.append(f"{stamp} {entry['_HOSTNAME']} kernel: [{since:12.6f}] {entry['MESSAGE']}\n")
    return "".join(lines).encode()


def instant(text: str) -> float:
    """Seconds since the epoch of a time in a query. A leading minus counts back from now: -30m, -1h."""
    if match := re.fullmatch(r"-(\d+(?:\.\d+)?)([smhd]?)", text):
        return time.time() - float(match[1]) * UNITS_S[match[2] or "s"]
    if re.fullmatch(r"@?\d+(\.\d+)?", text):
        return float(text.lstrip("@"))
    moment = datetime.fromisoformat(text)
    return moment.timestamp()


def _of_boot(entries: list[Entry], boot: str) -> list[Entry]:
    """Boot 0 is the last, -1 the one before, 1 the first."""
    boots = list(dict.fromkeys(e["_BOOT_ID"] for e in entries))
    offset = int(boot)
    index = offset - 1 if offset > 0 else len(boots) - 1 + offset
    if not 0 <= index < len(boots):
        return []
    return [e for e in entries if e["_BOOT_ID"] == boots[index]]


def _at(entry: Values) -> float:
    return int(entry["__REALTIME_TIMESTAMP"]) / 1e6


def _render(entry: Entry, output: str) -> str:
    if output == "json":
        return json.dumps(entry)
    if output == "cat":
        return entry["MESSAGE"]
    if output == "short-unix":
        return f"{_at(entry):.6f} {entry['_HOSTNAME']} kernel: {entry['MESSAGE']}"
    moment = time.strftime("%b %d %H:%M:%S", time.gmtime(_at(entry)))
    return f"{moment}.{int(_at(entry) % 1 * 1e6):06d} {entry['_HOSTNAME']} kernel: {entry['MESSAGE']}"
