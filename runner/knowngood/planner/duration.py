"""How long a hop is expected to take, from what the matrix says of machines and the cluster of its soaks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Disruption, Profile
from knowngood.model.plan import Expected, PlannedRing, SecondLoad

OUT = (Disruption.DRAIN, Disruption.REBOOT, Disruption.POWER_CYCLE)
"""Disruptions that take a node out of service for a while."""


def expected(
    disruption: Disruption,
    nodes: int,
    rings: Sequence[PlannedRing],
    hardware: Hardware,
    soak: float,
    again: SecondLoad | None = None,
) -> Expected:
    """Batch after batch, then each ring's soak; without rings node after node, as the cluster's own operators go.

    `nodes` are those that are disturbed, `soak` is seconds a ring. A batch takes as long as its slowest kind of
    machine; without rings the slowest of all counts, since nobody says which nodes go. `again`: what the batches of the
    canaries load once more.
    """
    batches = [batch for ring in rings for batch in ring.batches]
    turns = (len(batches) or nodes) if nodes and disruption in OUT else 0
    kinds = [{hardware.of(node).name: hardware.of(node) for node in batch}.values() for batch in batches]
    every = [_minutes(disruption, kind) for kind in kinds] or [
        _minutes(disruption, hardware.profiles)
    ] * turns
    twice = [batch for ring in rings if again and ring.name in again.rings for batch in ring.batches]
    more = len(twice) * again.minutes * 60.0 if again else 0.0
    known = turns > 0 and all(every)
    return Expected(
        (sum(every) * 60 if known else 0) + len(rings) * soak + more,
        turns,
        max(every) if known else 0,
        len(rings),
        soak,
        more,
    )


def _minutes(disruption: Disruption, profiles: Iterable[Profile]) -> int:
    """Of the slowest; 0 where that of one of them is not known."""
    found = [profile.minutes_out.get(disruption, 0) for profile in profiles]
    return max(found) if all(found) else 0
