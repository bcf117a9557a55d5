"""How long a hop is expected to take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.test_status import PROFILE as XE

from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Disruption
from knowngood.model.plan import PlannedRing
from knowngood.planner.duration import expected

PROFILE = replace(XE, minutes_out={Disruption.REBOOT: 20})
HARDWARE = Hardware((PROFILE,))
RINGS = (PlannedRing("ring-0", (("a",),), ()), PlannedRing("ring-1", (("b", "c"), ("d",)), ()))


def test_batches_go_one_after_the_other_and_each_ring_soaks() -> None:
    found = expected(Disruption.REBOOT, 4, RINGS, HARDWARE, 600)
    assert (found.seconds, found.turns, found.soaks) == (3 * 20 * 60 + 2 * 600, 3, 2)
    assert found.whole


def test_without_rings_one_node_after_the_other() -> None:
    found = expected(Disruption.REBOOT, 8, (), HARDWARE, 600)
    assert (found.seconds, found.turns, found.soaks) == (8 * 20 * 60, 8, 0)


def test_what_the_profile_does_not_say_is_unknown_not_nothing() -> None:
    found = expected(Disruption.DRAIN, 4, RINGS, HARDWARE, 600)
    assert (found.seconds, found.turns) == (2 * 600, 3)
    assert not found.whole


@pytest.mark.parametrize(
    ("disruption", "nodes"), [(Disruption.PODS, 8), (Disruption.NONE, 8), (Disruption.REBOOT, 0)]
)
def test_nobody_is_out_where_no_node_is_disturbed(disruption: Disruption, nodes: int) -> None:
    """Zero nodes: the workers stay paused on their minor while the control plane moves."""
    found = expected(disruption, nodes, (), HARDWARE, 600)
    assert (found.seconds, found.turns, found.whole) == (0, 0, True)


def test_a_batch_takes_as_long_as_its_slowest_kind_of_machine() -> None:
    other = replace(PROFILE, name="hgx", minutes_out={Disruption.REBOOT: 30})
    pools = Hardware((PROFILE, other), {"a": "xe", "b": "xe", "c": "hgx", "d": "hgx"})
    found = expected(Disruption.REBOOT, 4, RINGS, pools, 600)
    assert (found.seconds, found.turns, found.minutes) == ((20 + 30 + 30) * 60 + 2 * 600, 3, 30)


def test_one_kind_of_machine_that_says_nothing_leaves_the_whole_unknown() -> None:
    other = replace(PROFILE, name="hgx", minutes_out={})
    pools = Hardware((PROFILE, other), {"a": "xe", "b": "xe", "c": "hgx", "d": "hgx"})
    assert not expected(Disruption.REBOOT, 4, RINGS, pools, 600).whole
