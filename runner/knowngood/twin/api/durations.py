"""Ages as kubectl shows them."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human(seconds: float) -> str:
    """Return 90s, 5m, 3h20m, 4d: coarser the longer."""
    total = max(0, int(seconds))
    if total < 2 * _MINUTE:
        return f"{total}s"
    if total < 10 * _MINUTE:
        return _two(total, _MINUTE, "m", 1, "s")
    if total < 3 * _HOUR:
        return f"{total // _MINUTE}m"
    if total < 8 * _HOUR:
        return _two(total, _HOUR, "h", _MINUTE, "m")
    if total < 2 * _DAY:
        return f"{total // _HOUR}h"
    if total < 8 * _DAY:
        return _two(total, _DAY, "d", _HOUR, "h")
    return f"{total // _DAY}d"


def _two(total: int, big: int, big_name: str, small: int, small_name: str) -> str:
    rest = total % big // small
    return f"{total // big}{big_name}" + (f"{rest}{small_name}" if rest else "")


def since(stamp: str | None) -> str:
    """Return the age of an RFC 3339 time, `<unknown>` without one."""
    moment = parse(stamp)
    if moment is None:
        return "<unknown>"
    return human((datetime.now(UTC) - moment).total_seconds())


def between(start: str | None, end: str | None) -> str:
    """Return how long something took, or takes so far."""
    first, last = parse(start), parse(end) or datetime.now(UTC)
    return "" if first is None else human((last - first).total_seconds())


def parse(stamp: str | None) -> datetime | None:
    """Read an RFC 3339 time; None for none."""
    if not stamp:
        return None
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None
