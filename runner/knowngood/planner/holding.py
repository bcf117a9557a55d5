"""Holds of other actors: whom they concern, until when they may last, and when the line stops. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from knowngood.model.matrix import Limits
from knowngood.model.values import Values


def matches(selector: Values | None, labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes label selector selects these labels; an empty one selects everything, None nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _meets(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _meets(expression: Values, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def pool_of(pools: Mapping[str, Values], labels: Mapping[str, str]) -> str:
    """The machine-config pool of a node with these labels, "" for none: the control plane's, a custom one, worker.

    `pools` maps a pool's name to its nodeSelector. An empty selector selects no node here.
    """
    found = {name for name, selector in pools.items() if selector and matches(selector, labels)}
    custom = sorted(found - {"master", "worker"})
    return next((name for name in ("master", *custom, "worker") if name in found), "")


def certificates_end(certificates: Iterable[Values], now: str) -> str:
    """When the first of the certificates ends that the machine-config operator renews, "" where none is known.

    Of those of one subject in one bundle the newest counts: an older one is only kept until it has ended. What has
    ended already bounds nothing.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for certificate in certificates:
        end = str(certificate.get("notAfter") or "")
        if end:
            subject = str(certificate.get("subject") or "").partition("@")[0]
            key = str(certificate.get("bundleFile") or ""), subject
            newest[key] = max(newest.get(key, _time(end)), _time(end))
    ahead = [end for end in newest.values() if end > _time(now)]
    return min(ahead).isoformat() if ahead else ""


def until(now: str, limits: Limits, expected: float = 0.0) -> str:
    """Until when a hold taken or renewed `now` is needed: for one batch and its undo, or `expected` seconds if longer.

    It is renewed with each batch.
    """
    batch = limits.claim + limits.drain + limits.apply + limits.judge + limits.release + limits.soak
    seconds = max(batch + limits.undo, expected)
    return (_time(now) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def worn(stands: str, now: str, wanted: str) -> bool:
    """Whether a term that `stands` must be renewed to `wanted`: where less than half of that time is left."""
    try:
        left = _time(stands) - _time(now)
    except ValueError:
        return True
    return left < (_time(wanted) - _time(now)) / 2


def ends_before(bound: str, needed: str) -> bool:
    """Whether what bounds a hold comes before the time that it is needed until."""
    return bool(bound) and _time(bound) < _time(needed)


def lifted_twice(looks: Sequence[tuple[str, Collection[str]]]) -> tuple[str, ...]:
    """What was found lifted at two looks in a row within one ring. A look: its ring, and what it found lifted."""
    pairs = pairwise(looks)
    found = [name for (ring, a), (other, b) in pairs if ring == other for name in a if name in b]
    return tuple(dict.fromkeys(found))


RING_BY_RING = "ring by ring, as docs/runbooks/openshift.md says under Going on"
"""How people go on where a run ended inside a hop that can't be undone, and others' work stays paused."""


def way_on(starts: str) -> str:
    """What to do about what a run that has ended still holds; `starts`: what begins on nodes when it is let go."""
    if not starts:
        return "once its run has ended: knowngood clear --holds"
    return (
        f"once its run has ended: knowngood resume of it goes on, or by hand {RING_BY_RING}, and then"
        f" knowngood clear --holds; before that it {starts}"
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
