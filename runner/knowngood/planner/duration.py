"""How long a hop is expected to take, from what the matrix says of machines and the cluster of its soaks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.model.matrix import Disruption, Profile
from knowngood.model.plan import Expected, PlannedRing

OUT = (Disruption.DRAIN, Disruption.REBOOT, Disruption.POWER_CYCLE)
"""Disruptions that take a node out of service for a while."""


def expected(
    disruption: Disruption, nodes: int, rings: Sequence[PlannedRing], profile: Profile, soak: float
) -> Expected:
    """Batch after batch, then each ring's soak; without rings node after node, as the cluster's own operators go.

    `nodes` are those that are disturbed, `soak` is seconds a ring.
    """
    batches = sum(len(ring.batches) for ring in rings)
    turns = (batches or nodes) if nodes and disruption in OUT else 0
    minutes = profile.minutes_out.get(disruption, 0) if turns else 0
    return Expected(turns * minutes * 60 + len(rings) * soak, turns, minutes, len(rings), soak)
