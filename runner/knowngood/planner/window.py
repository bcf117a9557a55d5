"""Change windows: does a ring fit, and when must an undo begin at the latest."""

from __future__ import annotations

from datetime import datetime, timedelta

from knowngood.model.errors import UsageError


def undo_must_start_by(window_end: str, undo_seconds: float) -> str:
    """The last moment (RFC 3339, the window's own offset) at which an undo still ends inside the window.

    `undo_seconds` is measured, not guessed. "" where there is no window.
    """
    if not window_end:
        return ""
    return (_moment(window_end) - timedelta(seconds=undo_seconds)).isoformat(timespec="seconds")


def fits(now: str, forward_seconds: float, undo_seconds: float, window_end: str) -> bool:
    """Whether a ring that starts `now` and its undo both end before the window does; no window: yes."""
    if not window_end:
        return True
    return _moment(now) + timedelta(seconds=forward_seconds + undo_seconds) <= _moment(window_end)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", hint="write it like 2026-08-22T06:00:00+02:00") from None
    if moment.tzinfo is None:
        raise UsageError(f"{text!r} names no time zone", hint="write it like 2026-08-22T06:00:00+02:00")
    return moment
