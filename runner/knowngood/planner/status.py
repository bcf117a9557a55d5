"""The status machine: what a release may become, and how long evidence counts. Pure; the only place that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from knowngood.model.matrix import Cluster, Profile, Status

MAX_AGE_DAYS = 90
"""How long evidence counts where neither the cluster nor its profile says so."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.CANDIDATE: frozenset({Status.REHEARSED, Status.KNOWN_GOOD, Status.REVOKED, Status.DEPRECATED}),
    Status.REHEARSED: frozenset({Status.KNOWN_GOOD, Status.REVOKED, Status.DEPRECATED}),
    Status.KNOWN_GOOD: frozenset({Status.REVOKED, Status.DEPRECATED}),
    Status.DEPRECATED: frozenset({Status.REVOKED}),
    Status.REVOKED: frozenset(),
}
"""What each status may become. Nothing is lowered and no revocation is lifted: a mended release has a new name."""


def may_become(old: Status, new: Status) -> bool:
    """Whether a release may go from one status to another; staying is no change."""
    return old is new or new in TRANSITIONS[old]


def max_age_days(cluster: Cluster | None, profile: Profile | None) -> int:
    """How long evidence counts: the cluster's word, else the profile's, else the default."""
    found = [getattr(part, "evidence_max_age_days", 0) for part in (cluster, profile)]
    return next((int(days) for days in found if days), MAX_AGE_DAYS)


def expiry(taken: str, days: int) -> str:
    """RFC 3339: when evidence taken at that time stops to count; ValueError."""
    return (moment(taken) + timedelta(days=days)).isoformat(timespec="seconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """An RFC 3339 time, or a day, in UTC; ValueError says what one looks like."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it like 2026-08-22T03:00:00Z") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
