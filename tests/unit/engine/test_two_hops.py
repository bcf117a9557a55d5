"""A run of two hops: between them the cluster rests on proven versions, and an undo stops there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.engine.fakes import ports, snapshot
from tests.unit.engine.scene import RINGS, a_cluster, a_hardware, a_plan, a_standard, a_world
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.plan import Hop, Move, Plan
from knowngood.model.state import End
from knowngood.planner.status import Standard

LAST = "610.57.04"


def two_hops() -> Plan:
    plan = a_plan()
    (first,) = plan.hops
    rings = tuple(
        replace(ring, changes=tuple(replace(c, before=NEW, after=LAST) for c in ring.changes))
        for ring in first.rings
    )
    second: Hop = replace(first, name="hop-2", moves=(Move("nvidia-driver", NEW, LAST),), rings=rings)
    return replace(plan, to_release="r610", to_versions={"nvidia-driver": LAST}, hops=(first, second))


def standard(world: World, now: str) -> Standard:
    """As the scene's, for the release that this plan ends on."""
    found = a_standard(world, now)
    assert found.release is not None
    release = replace(found.release, name="r610", components={"nvidia-driver": LAST})
    return replace(found, release=release)


def played(world: World) -> End:
    world.standard = standard
    end = Engine(ports(world), two_hops(), a_cluster(), a_hardware(), "run-1").run().end
    assert end is not None
    return end


def test_each_hop_is_judged_by_the_versions_it_ends_on() -> None:
    world = a_world()
    assert played(world).name == "done"
    assert {n.version for n in world.nodes.values()} == {LAST}
    loaded = [(node, version) for node, event, version in world.history if event == "loaded"]
    assert len(loaded) == 2 * len(world.nodes)
    assert {version for _, version in loaded[: len(world.nodes)]} == {NEW}, "the second hop began too early"


def test_rights_are_asked_for_what_every_hop_moves_before_the_first() -> None:
    world = a_world()
    played(world)
    moved = [c for hop in two_hops().hops for ring in hop.rings for c in ring.changes]
    assert list(world.rights_asked_for) == moved


def test_an_undo_of_the_second_hop_stops_at_the_resting_state_between() -> None:
    world = a_world()

    def find(request: JudgeRequest, node: str, w: World) -> str:
        return "Xid 31" if node == "gpu-1" and w.nodes[node].version == LAST else ""

    world.bad = find
    end = played(world)
    assert end.name == "restored", end
    assert {n.version for n in world.nodes.values()} == {NEW}
    assert set(world.head().fields.values()) == {NEW}
    assert not any(n.claim or n.cordoned for n in world.nodes.values())


def test_the_versions_after_each_hop_are_the_resting_states() -> None:
    plan = two_hops()
    assert [plan.versions_after(n)["nvidia-driver"] for n in range(3)] == [OLD, NEW, LAST]
    assert plan.nodes == tuple(n for nodes in RINGS.values() for n in nodes)


def _rolled_back(world: World) -> End:
    engine = Engine(ports(world), two_hops(), a_cluster(), a_hardware(), "run-1")
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    return end


def _at_the_second_hop(what: Callable[[World], str]) -> Callable[[JudgeRequest, str, World], str]:
    def find(request: JudgeRequest, node: str, w: World) -> str:
        return what(w) if request.name == "hop-2/ring-0/baseline" and node == "gpu-1" else ""

    return find


def _declares(version: str) -> Callable[[World], str]:
    def push(world: World) -> str:
        world.head().fields[("nvidiadriver-ring-0.yaml", "spec.version")] = version
        return ""

    return push


@pytest.mark.parametrize("why", [lambda w: "Xid 48", _declares("610.1")], ids=["a baseline", "a commit"])
def test_a_rollback_from_the_rest_between_hops_is_proven_by_what_was_before_the_hop_it_undoes(
    why: Callable[[World], str],
) -> None:
    """It was compared with the rest between the hops, so that no rollback of such a run could ever end restored."""
    world = a_world()
    before = snapshot(world)
    world.bad = _at_the_second_hop(why)
    assert played(world).name == "held"
    world.bad = lambda *_: ""
    _declares(NEW)(world)  # the colleague takes it back
    end = _rolled_back(world)
    assert end.name == "restored", end
    assert dict(end.moved) == {}
    assert snapshot(world) == before


@pytest.mark.parametrize(("runs", "status"), [(NEW, "inconclusive"), (LAST, "failed")])
def test_a_fail_on_the_way_to_a_release_is_no_evidence_against_it(runs: str, status: str) -> None:
    """What failed was a resting state: the release itself never ran."""
    world = a_world()
    world.bad = sick("gpu-1", version=runs)
    assert played(world).name == "restored"
    assert (world.failures["run-1"]["release"], world.failures["run-1"]["status"]) == ("r610", status)
