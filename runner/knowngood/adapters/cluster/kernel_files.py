"""Kernel lines of a node whose kubelet has no journal endpoint: all but OpenShift's. They come from files in /var/log.

A kubelet's file handler (on by default: enableSystemLogHandler) serves the file whole and with its length, so an answer
that was cut off shows. The NodeLogQuery feature reads the journal, but by unit, and the kernel's entries have none; of
a file it gives the same bytes, without a length and for 30 s at most (kubernetes/kubernetes
pkg/kubelet/kubelet_server_journal.go and _linux.go). Files: rsyslog's and syslog-ng's kern.log; Talos' kernel.log
(siderolabs/talos internal/app/machined/pkg/controllers/runtime/kmsg_log_storage.go).

A file holds several boots: each begins with the kernel's first line, and the last is the present one if it began when
the node says that it did. Without the node's word it may be one before a reboot, whose loads would pass for new ones.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from knowngood.adapters.kubernetes import streamed
from knowngood.adapters.kubernetes.client import ApiError, Kube, path
from knowngood.model.errors import Unreachable
from knowngood.probe.kernel_log.lines import Line, of_text

FILES = ("kern.log", "kernel.log")
NUMBERED = "0" * 24
"""How an earlier boot of a file is called: no line tells its id, so it has its number for one."""
FIRST_LINE = "Linux version "
"""How the kernel's first line of a boot begins."""
NEAR = 600.0
"""Seconds by which a boot's first line and the node's uptime may differ: clocks, and a syslog that starts late."""
ANY_ZONE = 14 * 3600.0
"""The same where a line has no time zone, and no year: the farthest zone from Greenwich."""
UNPROVEN = "whether its newest boot is the present one can't be told: the node's uptime is not known"
NO_FILE = "the kubelet has no journal endpoint, as OpenShift's has, and serves none of /var/log/" + ", ".join(
    FILES
)
Entry = dict[str, Any]
Uptime = float | Callable[[], float | None] | None
"""Seconds since a node booted, or what asks it for them; None: not known."""


class NoUptimeError(Unreachable):
    """A file is served, and nobody knows whether its newest boot is the one that the node is up in."""


@dataclass(slots=True)
class _Boot:
    """One boot of a file. `begun`: when its first line was written, None where the file does not have that line."""

    lines: int = 0
    begun: datetime | None = None
    newest: float = 0.0


def entries(
    kube: Kube, node: str, query: Mapping[str, str], *, up: Uptime, timeout: float, busy: float | None
) -> Iterator[str]:
    """The lines that a journal's query asks for, as journald's JSON lines.

    `up`: the node's uptime, by which the last boot of the file is known to be the present one: NoUptimeError where
    that is asked for without. Unreachable where no file is served, or it does not tell when lines were written, or its
    last boot is another one.
    """
    with _file(kube, node, timeout, busy) as (name, file):
        boots = _boots(file)
        back = -int(query.get("boot", "0"))
        if not 0 <= back < len(boots):
            return
        index = len(boots) - 1 - back
        uptime = up() if callable(up) else up
        if uptime is None and back == 0:
            raise NoUptimeError(f"{node}: /var/log/{name}: {UNPROVEN}")
        if uptime is not None and (why := _another(boots[-1], uptime)):
            raise Unreachable(f"{node}: /var/log/{name}: {why}")
        wanted = _Wanted(query, boots[index].newest)
        file.seek(0)
        boot_id = _boot_id(kube, node) if back == 0 else f"{NUMBERED}{back:08x}"
        found = (entry for entry in _entries(file, index, boots[index], boot_id) if wanted(entry))
        tail = int(query.get("tail", "0"))
        yield from (json.dumps(entry) for entry in (deque(found, tail) if tail else found))


@contextmanager
def _file(kube: Kube, node: str, timeout: float, busy: float | None) -> Iterator[tuple[str, IO[bytes]]]:
    """The first of the files that is served, and its name."""
    for name in FILES:
        where = path("v1", "nodes", node, sub=f"proxy/logs/{name}")
        try:
            file = streamed.whole(kube, where, {}, timeout=timeout, busy=busy)
        except ApiError as error:
            if error.code == 404 and f'nodes "{node}"' not in str(error):
                continue
            raise
        with file:
            yield name, file
            return
    raise Unreachable(f"{node}: {NO_FILE}")


def _boot_id(kube: Kube, node: str) -> str:
    info = (kube.get(path("v1", "nodes", node)).get("status") or {}).get("nodeInfo") or {}
    return str(info.get("bootID") or "").replace("-", "")


def _lines(file: IO[bytes]) -> Iterator[Line]:
    """The kernel's lines of a file; what goes on with the line before it, and what others wrote, is left out."""
    for raw in file:
        if not raw.endswith(b"\n"):
            return  # it is being written
        line = of_text(raw.decode("utf-8", "replace").rstrip("\r\n"))
        if line.kernel and line.whole and not line.fabric_manager:
            yield line


def _boots(file: IO[bytes]) -> list[_Boot]:
    boots: list[_Boot] = []
    for line in _lines(file):
        first = line.message.startswith(FIRST_LINE)
        if first or not boots:
            boots.append(_Boot(begun=_wall(line) if first else None))
        boot = boots[-1]
        boot.lines += 1
        boot.newest = max(boot.newest, _seconds(line, boot))
    return boots


def _seconds(line: Line, boot: _Boot) -> float:
    """Since boot. Where the line does not tell, by its time and that of the boot's first line."""
    if line.seconds is not None:
        return line.seconds
    wall = _wall(line)
    if wall is None or boot.begun is None:
        raise Unreachable(
            "its kernel log has lines that tell no time since boot (rsyslog: keep the kernel's stamps)"
        )
    return max(0.0, (wall - boot.begun).total_seconds())


def _wall(line: Line) -> datetime | None:
    try:
        return datetime.fromisoformat(line.wall or "")
    except ValueError:
        pass
    try:  # a syslog's, without a year: of this one or the last
        told = datetime.strptime(f"{time.gmtime().tm_year} {line.wall}", "%Y %b %d %H:%M:%S")
    except ValueError:
        return None
    return told if told.timestamp() <= time.time() + 2 * ANY_ZONE else told.replace(year=told.year - 1)


def _another(boot: _Boot, up: float) -> str:
    """Why the boot is not the one that the node is up in; "" where it is, as far as can be told."""
    if boot.newest > up + NEAR:
        return "its newest boot is older than the node's"
    if boot.begun is None:
        return ""
    zone = boot.begun.tzinfo
    begun = boot.begun.timestamp() if zone else (boot.begun - datetime(1970, 1, 1)).total_seconds()
    apart = abs(time.time() - up - begun)
    return (
        "" if apart <= NEAR + (0 if zone else ANY_ZONE) else "its newest boot is not the node's present one"
    )


def _entries(file: IO[bytes], index: int, boot: _Boot, boot_id: str) -> Iterator[Entry]:
    """The lines of a boot as entries of a journal."""
    at = -1
    for line in _lines(file):
        at += at < 0 or line.message.startswith(FIRST_LINE)
        if at > index:
            return
        if at < index:
            continue
        entry = {
            "_TRANSPORT": "kernel",
            "_BOOT_ID": boot_id,
            "SYSLOG_FACILITY": "0",
            "__MONOTONIC_TIMESTAMP": str(round(_seconds(line, boot) * 1e6)),
            "MESSAGE": line.message,
        }
        if (wall := _wall(line)) is not None and wall.tzinfo:
            entry["__REALTIME_TIMESTAMP"] = str(round(wall.timestamp() * 1e6))
        yield entry


class _Wanted:
    """What a query lets through. Times back from now are counted from the boot's newest line: a little more is kept."""

    def __init__(self, query: Mapping[str, str], newest: float) -> None:
        grep = query.get("grep", "")
        self._grep = re.compile(grep, re.IGNORECASE if grep == grep.lower() else 0)
        self._since, self._until = (self._moment(query.get(name), newest) for name in ("since", "until"))

    @staticmethod
    def _moment(ago: str | None, newest: float) -> float | None:
        return None if ago is None else newest - float(ago.strip("-s"))

    def __call__(self, entry: Entry) -> bool:
        at = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        return (
            (self._since is None or at >= self._since)
            and (self._until is None or at <= self._until)
            and bool(self._grep.search(entry["MESSAGE"]))
        )
