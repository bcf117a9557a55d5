"""Sync windows of an Argo CD project: whether they let an Application sync by itself, and for how long. Pure.

As Argo CD decides it: a window counts for an Application that one of its lists matches (with `andOperator` all of
them); an open `deny` denies; else an open `allow` allows; else any `allow` that is shut denies. `manualSync` is about
syncs by hand, which a run never makes. A window that can't be read denies, as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from knowngood.model.values import Values
from knowngood.planner.readiness.cron import Schedule, parse

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}  # seconds
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
STEP = timedelta(minutes=1)
"""Schedules fire on whole minutes, so a look a minute sees every window that lasts a second."""


@dataclass(frozen=True, slots=True)
class Window:
    """One sync window, read."""

    allows: bool
    schedule: Schedule
    seconds: float
    zone: ZoneInfo
    text: str  # for people

    def open(self, moment: datetime) -> bool:
        """Whether it is open at a moment (with its zone).

        Argo CD computes on the zone's wall clock of that moment: a change of daylight saving inside a window is
        not accounted for. A schedule that never fires counts as open there.
        """
        wall = moment.astimezone(self.zone).replace(tzinfo=None)
        fires = self.schedule.next(wall - timedelta(seconds=self.seconds))
        return fires is None or fires < wall


@dataclass(frozen=True, slots=True)
class Denied:
    """When syncs are denied first, by what."""

    at: datetime
    by: str


def denied(windows: Sequence[Values], application: Values, now: datetime, seconds: float) -> Denied | None:
    """The first moment from `now` on, within `seconds`, at which the Application may not sync by itself; None: never.

    `windows` are a project's `spec.syncWindows`. ValueError where one that matches can't be read.
    """
    ours = [read(window) for window in windows if matches(window, application)]
    if not ours:
        return None
    for moment in _moments(now.astimezone(UTC), seconds):
        if why := _why_not(ours, moment):
            return Denied(moment, why)
    return None


def _moments(now: datetime, seconds: float) -> Iterator[datetime]:
    """Now, just after each full minute, and the end."""
    end = now + timedelta(seconds=max(0.0, seconds))
    yield now
    moment = now.replace(second=1, microsecond=0) + STEP
    while moment < end:
        yield moment
        moment += STEP
    yield end


def _why_not(windows: Iterable[Window], moment: datetime) -> str:
    """The window that denies at a moment, "" where syncs are allowed."""
    shut = ""
    allowed = False
    for window in windows:
        is_open = window.open(moment)
        if is_open and not window.allows:
            return f"{window.text} is open"
        allowed |= is_open
        if not is_open and window.allows:
            shut = shut or f"{window.text} is shut"
    return "" if allowed else shut


def read(window: Values) -> Window:
    """A window of a project; ValueError says what is wrong with it."""
    kind, schedule = str(window.get("kind") or ""), str(window.get("schedule") or "")
    duration, zone = str(window.get("duration") or ""), str(window.get("timeZone") or "UTC")
    text = f"the {kind} window {schedule!r} for {duration} ({zone})"
    if kind not in {"allow", "deny"}:
        raise ValueError(f"{text}: {kind!r} is neither allow nor deny")
    try:
        place = ZoneInfo(zone)
        return Window(kind == "allow", parse(schedule), _seconds(duration), place, text)
    except (ValueError, OSError, KeyError) as error:  # KeyError: a zone that is not known here
        raise ValueError(f"{text} can't be read: {error}") from error


def _seconds(text: str) -> float:
    """A duration as Go writes it: `1h30m`."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def matches(window: Values, application: Values) -> bool:
    """Whether a window is about an Application: by its name, its destination's namespace or its cluster."""
    destination = (application.get("spec") or {}).get("destination") or {}
    clusters = [str(destination[key]) for key in ("name", "server") if destination.get(key)]
    asked = (
        (window.get("applications"), [str(application["metadata"]["name"])]),
        (window.get("namespaces"), [str(destination.get("namespace") or "")]),
        (window.get("clusters"), clusters),
    )
    answers = [_any(patterns, values) for patterns, values in asked if patterns]
    return bool(answers) and (all(answers) if window.get("andOperator") else any(answers))


def _any(patterns: Iterable[str], values: Iterable[str]) -> bool:
    compiled = [_glob(str(pattern)) for pattern in patterns]
    return any(p is not None and p.fullmatch(value) for value in values for p in compiled)


def _glob(pattern: str) -> re.Pattern[str] | None:
    """A glob with `*`, `?`, `[a-z]`, `[!a]`, `{one,other}` and `\\`; None where it is none: it matches nothing."""
    found, depth, at = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            found += re.escape(pattern[at])
            at += 1
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                return None
            inside = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            found += f"[{'^' + inside[1:] if inside[0] == '!' else inside.replace('^', chr(92) + '^')}]"
            at = end + 1
        else:
            depth += {"{": 1, "}": -1}.get(char, 0)
            inner = {"{": "(?:", "}": ")", ",": "|"} if depth or char == "}" else {}
            found += {"*": ".*", "?": ".", **inner}.get(char) or re.escape(char)
    try:
        return re.compile(found, re.DOTALL)
    except re.error:
        return None
