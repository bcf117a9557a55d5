"""A node's kernel lines through the kubelet's journal endpoint: asked for once, kept small, their end proven.

The endpoint answers 200 also where it ended journalctl after 30 s, with what came until then
(openshift/kubernetes pkg/kubelet/kubelet_server_journal.go). So the newest entry that matches is asked for first: an
answer that does not hold it was cut off. What is kept of an answer are the kernel's own lines with the fields that
anybody reads; floods of one message are counted.
"""

from __future__ import annotations

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from knowngood.adapters.cluster import kernel_source
from knowngood.adapters.kubernetes.client import Kube
from knowngood.probe.kernel_log.events import parse
from knowngood.probe.kernel_log.messages import JOURNAL_PATTERN, LONGEST, shape

FIELDS = (
    "_TRANSPORT",
    "_BOOT_ID",
    "__MONOTONIC_TIMESTAMP",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "SYSLOG_FACILITY",
    "SYSLOG_IDENTIFIER",
)
COUNT, LAST, CUT = "COUNT", "LAST", "CUT"
"""Fields of ours: how often a flood's message came, the last time in microseconds since boot, and why an answer is
not all of it."""
PATIENCE, TIMEOUT = 5.0, 45.0
"""Seconds for one node's kubelet that does not answer, as the others must not wait for it; and for its answer, which it
ends after 30."""
SETTLED = 30
"""Seconds before a moment from which on it is asked: the node's clock is not read at once."""
FLOOD_US = 10_000_000
OPEN = 2048
MOST = 5_000
"""Entries that are kept of one answer. Of more, only errors; of more errors than that, one of each kind."""
LOST = re.compile(r"Missed \d+ kernel messages")
JOURNALD = "systemd-journald"
NO_ENTRIES = "-- "  # journalctl's "-- No entries --"
NO_NEWEST = "the journal did not say what its newest entry is"
NO_END = "the journal's answer was cut off: its newest entry is missing"
Entry = dict[str, Any]


def read(
    kube: Kube,
    node: str,
    *,
    boot: int = 0,
    since: float | None = None,
    up: float | None = None,
    words: str = "",
) -> str:
    """A boot's kernel lines that may matter, thinned, as JSON lines; `words`: others that are wanted, too, `a|b`.

    `since`: only from that moment on, in seconds since the present boot, which is `up` seconds ago: all of it where
    that is not known. What is not all of it ends with an entry CUT.
    """
    query = {"boot": str(boot), "grep": pattern(words)}

    def ask(**more: str) -> Iterator[str]:
        return kernel_source.ask(kube, node, query | more, busy=PATIENCE, timeout=TIMEOUT, up=up)

    newest = ""
    if not kernel_source.proves_its_end(kube, node):
        newest = next((raw for raw in reversed(list(ask(tail="1"))) if raw), "")
    if kernel_source.proves_its_end(kube, node):  # all of it comes anyway
        return "".join(thinned(ask(), words=words))
    ago = {} if since is None or up is None else {"since": f"-{max(1, math.ceil(up - since) + SETTLED)}s"}
    told = "".join(thinned(ask(**ago), _entry(newest), since, words))
    if (
        told and _entry(newest) is None and not newest.startswith(NO_ENTRIES)
    ):  # that query is ended after 30 s, too
        told += json.dumps({CUT: NO_NEWEST}) + "\n"
    return told


def pattern(words: str = "") -> str:
    """What the journal is asked for: every line that the parser knows anything of, and those with other words."""
    more = [word for word in words.split("|") if word and not re.search(JOURNAL_PATTERN, word)]
    return "|".join((JOURNAL_PATTERN, *more))


def thinned(
    raws: Iterable[str], newest: Entry | None = None, since: float | None = None, words: str = ""
) -> Iterator[str]:
    """What is kept of an answer, as JSON lines.

    `newest`: the entry that must be in it; one from before `since`, where nothing came later, is put before it: it
    shows that the kernel's log was alive. `words`: see `read`; a line that has them is never folded into another, since
    two loads of one driver say the same.
    """
    kept, last = _Kept(words), -1
    for raw in raws:
        if not raw or raw.startswith(NO_ENTRIES):
            continue
        entry = _entry(raw)
        if entry is None:
            yield from kept.lines()
            yield raw + "\n"  # whoever reads it says that it can't be understood
            return
        last = max(last, _moment(entry))
        kept.add(entry)
    wanted = _moment(newest) if newest else -1
    if newest and last < 0 and since is not None and wanted < since * 1e6:
        kept.add(newest)
        last = wanted
    yield from kept.lines()
    if last < wanted:
        yield json.dumps({CUT: NO_END}) + "\n"


LOADING = "^NVRM: loading"
"""The GPU driver's banner: each one is a load of its own, however alike two are."""


class _Kept:
    """Entries, floods folded, never more than MOST of them and one of each kind of error."""

    def __init__(self, words: str) -> None:
        self._wanted = re.compile("|".join(filter(None, (LOADING, words))))
        self._entries: list[Entry] = []
        self._recent: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._kinds: dict[tuple[str, str], Entry] = {}

    def add(self, entry: Entry) -> None:
        """Keep it, if it is the kernel's own or says that lines were lost."""
        message = entry.get("MESSAGE")
        if entry.get("_TRANSPORT") != "kernel" and entry.get("SYSLOG_IDENTIFIER") != JOURNALD:
            return
        at = _moment(entry)
        key = (str(entry.get("_BOOT_ID")), str(message))
        wanted = bool(self._wanted.search(str(message)))
        known = None if wanted else self._recent.get(key)
        if known is not None and at - int(known.get(LAST, _moment(known))) <= FLOOD_US:
            _again(known, at)
            return
        small = {name: entry[name] for name in FIELDS if name in entry}
        small["MESSAGE"] = message[:LONGEST] if isinstance(message, (str, list)) else message
        if not wanted and len(self._entries) >= MOST and (known := self._folded(small, at)) is not None:
            return
        self._entries.append(small)
        self._recent[key] = small
        if len(self._recent) > OPEN:
            self._recent.popitem(last=False)

    def _folded(self, entry: Entry, at: int) -> Entry | None:
        """What stands for an entry where there are too many; None: it must be kept itself."""
        message = str(entry["MESSAGE"])
        event = parse(message)
        if event is None and entry.get("_TRANSPORT") == "kernel":
            return entry
        key = (str(entry.get("_BOOT_ID")), f"{event.key} {event.bdf}" if event else shape(message))
        if known := self._kinds.get(key):
            _again(known, at)
            return known
        self._kinds[key] = entry
        return None

    def lines(self) -> Iterator[str]:
        """All that was kept, in its order."""
        return (json.dumps(entry) + "\n" for entry in self._entries)


def _again(entry: Entry, at: int) -> None:
    entry[COUNT] = int(entry.get(COUNT, 1)) + 1
    entry[LAST] = max(at, int(entry.get(LAST, 0)))


def _entry(raw: str) -> Entry | None:
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _moment(entry: Entry) -> int:
    """Microseconds since boot at which the kernel wrote it; 0 where it does not say."""
    stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or entry.get("__MONOTONIC_TIMESTAMP")
    return (
        int(stamp) if isinstance(stamp, (str, int)) and str(stamp).isdecimal() and len(str(stamp)) < 20 else 0
    )
