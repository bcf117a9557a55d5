"""What a person must say yes to before a run: a move without a canary, and one without a way back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knowngood.model.errors import Refused, UsageError
from knowngood.model.evidence import Evidence, by_pool
from knowngood.model.matrix import ReleaseStatus
from knowngood.model.plan import Move, Plan
from knowngood.model.values import Object
from knowngood.planner.status import moment


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said yes to: components without a canary, hops that can't be undone, a release that failed before."""

    no_canary: frozenset[str] = frozenset()
    forward_only: bool = False
    try_again: bool = False


def without_canary(plan: Plan) -> tuple[Move, ...]:
    """The moves that reach all nodes at once, or that no node has."""
    return tuple(m for hop in plan.hops for m in hop.moves if m.component in hop.without_canary)


def untried(plan: Plan, evidence: Iterable[Evidence], now: str) -> tuple[Move, ...]:
    """Those of them whose new version is known-good on no other cluster of some hardware profile of this one.

    `now` (RFC 3339): evidence that has run out counts no more.
    """
    known = {
        (one.profile, *item)
        for one in (part for whole in evidence for part in by_pool(whole))
        if one.status == ReleaseStatus.KNOWN_GOOD
        and one.cluster != plan.cluster
        and not (one.expires and moment(one.expires) <= moment(now))
        for item in one.versions.items()
    }
    return tuple(
        m
        for m in without_canary(plan)
        if any((profile, m.component, m.to_version) not in known for profile in plan.profiles)
    )


def refuse_unasked(plan: Plan, evidence: Iterable[Evidence], consent: Consent, now: str) -> Object:
    """Refused where somebody must say yes first; returns what record 0 keeps of a yes that was needed.

    UsageError for a yes to what the plan does not do.
    """
    found = untried(plan, evidence, now)
    for refusal in _unasked(plan, found, consent):
        raise refusal
    kept: Object = {}
    if taken := sorted({m.component for m in found} & consent.no_canary):
        kept["accepted_no_canary"] = taken
    closed = _closed(plan)
    return {**kept, **({"accepted_forward_only": closed} if closed else {})}


def unasked(plan: Plan, evidence: Iterable[Evidence], consent: Consent, now: str) -> tuple[Refused, ...]:
    """Everything that somebody must say yes to first, and did not; raises as `refuse_unasked` does."""
    return tuple(_unasked(plan, untried(plan, evidence, now), consent))


def _closed(plan: Plan) -> list[str]:
    return [hop.name for hop in plan.hops if hop.closed]


def _unasked(plan: Plan, found: tuple[Move, ...], consent: Consent) -> Iterator[Refused]:
    strange = sorted(consent.no_canary - {m.component for m in without_canary(plan)})
    if strange:
        raise UsageError(
            f"--accept-no-canary {strange[0]}: this plan does not move it without a canary",
            hint=f"knowngood plan {plan.cluster} --to {plan.to_release} says what it does",
        )
    open_ = [m for m in found if m.component not in consent.no_canary]
    if open_:
        first = open_[0]
        moves = ", ".join(dict.fromkeys(f"{m.component} {m.to_version}" for m in open_))
        yield Refused(
            f"{moves}: no canary goes first, and no other cluster of {plan.profile} has proven it",
            hint=f"prove it on another cluster, or take it: --accept-no-canary {first.component}",
        )
    if (closed := _closed(plan)) and not consent.forward_only:
        yield Refused(
            f"no way back: {', '.join(closed)} of {plan.from_release} to {plan.to_release} can't be undone",
            hint="--accept-forward-only goes there all the same",
        )
