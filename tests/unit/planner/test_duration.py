"""How long a hop is expected to take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.test_status import PROFILE as XE

from knowngood.model.matrix import Disruption
from knowngood.model.plan import PlannedRing
from knowngood.planner.duration import expected

PROFILE = replace(XE, minutes_out={Disruption.REBOOT: 20})
RINGS = (PlannedRing("ring-0", (("a",),), ()), PlannedRing("ring-1", (("b", "c"), ("d",)), ()))


def test_batches_go_one_after_the_other_and_each_ring_soaks() -> None:
    found = expected(Disruption.REBOOT, 4, RINGS, PROFILE, 600)
    assert (found.seconds, found.turns, found.soaks) == (3 * 20 * 60 + 2 * 600, 3, 2)
    assert found.whole


def test_without_rings_one_node_after_the_other() -> None:
    found = expected(Disruption.REBOOT, 8, (), PROFILE, 600)
    assert (found.seconds, found.turns, found.soaks) == (8 * 20 * 60, 8, 0)


def test_what_the_profile_does_not_say_is_unknown_not_nothing() -> None:
    found = expected(Disruption.DRAIN, 4, RINGS, PROFILE, 600)
    assert (found.seconds, found.turns) == (2 * 600, 3)
    assert not found.whole


@pytest.mark.parametrize(
    ("disruption", "nodes"), [(Disruption.PODS, 8), (Disruption.NONE, 8), (Disruption.REBOOT, 0)]
)
def test_nobody_is_out_where_no_node_is_disturbed(disruption: Disruption, nodes: int) -> None:
    """Zero nodes: the workers stay paused on their minor while the control plane moves."""
    found = expected(disruption, nodes, (), PROFILE, 600)
    assert (found.seconds, found.turns, found.whole) == (0, 0, True)
