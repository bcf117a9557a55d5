"""Rings whose commit itself starts the change: all of their nodes are out before it, and before its way back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.movers import DRIVER, EVERY
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.kills import killed, resumed_at_each
from tests.unit.engine.scene import RINGS, a_plan, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.model.errors import ExitCode
from knowngood.model.matrix import Disruption
from knowngood.model.mover import MoverSpec, Starts
from knowngood.model.plan import Plan
from knowngood.model.state import End

FLASHED: MoverSpec = replace(DRIVER, kind="nic-firmware", starts=Starts.DECLARE)
BY_BOOT: MoverSpec = replace(FLASHED, users=("all",))
PARTED: MoverSpec = replace(EVERY["sriov-vfs"], holds=())
"""As it ships: its commit has the operator drain, and maybe boot."""


def at_once(spec: MoverSpec = FLASHED) -> Plan:
    plan = a_plan()
    (hop,) = plan.hops
    rings = tuple(replace(ring, at_once=True) for ring in hop.rings)
    booting = Disruption.REBOOT if spec in (BY_BOOT, PARTED) else hop.disruption
    return replace(
        plan, hops=(replace(hop, rings=rings, disruption=booting),), movers={"nvidia-driver": spec}
    )


def a_world_that_starts() -> World:
    world = a_world()
    world.at_once = True
    return world


def play(world: World, *, on_wave_failure: str = "hold", spec: MoverSpec = FLASHED) -> End:
    end = an_engine(world, plan=at_once(spec), on_wave_failure=on_wave_failure).run().end
    assert end is not None
    return end


def verbs(world: World, part: str) -> list[str]:
    """The verbs that ended within a part of the run, in order."""
    ended = [r for r in world.records if r.type.value == "outcome" and part in str(r.step)]
    return [str(r.step).rpartition("/")[2] for r in ended]


def fails_once_moved(world: World, node: str) -> None:
    world.bad = lambda request, name, there: (
        "Xid 79" if name == node and there.nodes[name].version == NEW and request.claimed else ""
    )


def test_a_ring_is_out_and_measured_before_its_commit_and_comes_with_it() -> None:
    world = a_world_that_starts()
    assert play(world).name == "done"
    assert {n.version for n in world.nodes.values()} == {NEW}
    assert verbs(world, "hop-1/ring-0")[2:9] == [
        "claim",
        "drain",
        "baseline",
        "declare",
        "deliver",
        "apply",
        "judge",
    ]


def test_a_canary_that_fails_is_brought_back_by_a_revert_while_it_is_still_out() -> None:
    world = a_world_that_starts()
    before = snapshot(world)
    fails_once_moved(world, "gpu-1")
    assert play(world).name == "restored"
    assert snapshot(world) == before
    assert verbs(world, "ring-0/undo")[:6] == ["look", "claim", "drain", "declare", "deliver", "apply"]


def test_what_came_with_a_boot_comes_back_with_one_of_its_own() -> None:
    world = a_world_that_starts()
    world.broken.add("boots")
    own: dict[str, int] = {}

    def bad(request: object, name: str, there: World) -> str:
        own[f"{'undo' if 'undo' in str(request.name) else 'forth'} {name}"] = request.own_boots.get(name, 0)  # type: ignore[attr-defined]
        return "Xid 79" if there.nodes[name].version == NEW and request.claimed else ""  # type: ignore[attr-defined]

    world.bad = bad
    assert play(world, spec=BY_BOOT).name == "restored"
    assert own["forth gpu-1"] == own["undo gpu-1"] == 1, "each way has one boot that is ours"


def test_a_node_that_its_tenants_keep_keeps_the_whole_ring_from_being_declared() -> None:
    world = a_world_that_starts()
    before = snapshot(world)
    world.blocked["gpu-2"] = 2
    end = play(world)
    assert (end.name, end.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE), "nothing was changed"
    assert "so nothing was declared" in end.why
    assert len(world.commits) == 1
    assert snapshot(world) == before
    assert verbs(world, "ring-0/undo")[0] == "look", "what was taken out is proven back all the same"


def test_killed_anywhere_on_its_way_a_run_that_a_budget_kept_ends_with_nothing_changed() -> None:
    def kept() -> World:
        world = a_world_that_starts()
        world.blocked["gpu-2"] = 2
        return world

    whole = kept()
    play(whole)
    for at, world, resumed in resumed_at_each(whole, kept, play):
        assert (resumed.name, len(world.commits)) == ("inconclusive", 1), at
        assert snapshot(world) == snapshot(whole), at


def test_an_abort_before_the_first_commit_changes_nothing_and_gives_the_nodes_back() -> None:
    calm = a_world_that_starts()
    play(calm)
    taken = next(i for i, r in enumerate(calm.records) if str(r.step).endswith("batch-1/drain"))
    world = killed(a_world_that_starts(), taken + 1, play)
    world.abort = "stop"
    end = play(world)
    assert (end.name, end.exit_code, end.why) == ("inconclusive", ExitCode.INCONCLUSIVE, "asked to stop")
    assert [world.nodes[n].claim for n in RINGS["ring-0"]] == ["", ""]


def test_a_ring_whose_node_was_kept_is_tried_once_more_as_a_whole() -> None:
    world = a_world_that_starts()
    world.blocked["gpu-2"] = 1
    assert play(world).name == "done"
    assert {n.version for n in world.nodes.values()} == {NEW}


def test_a_node_that_can_not_be_emptied_on_the_way_back_keeps_its_ring_from_the_revert() -> None:
    """A revert would start at once, under the tenants of the one that could not be emptied."""
    world = a_world_that_starts()
    world.bad = lambda request, name, there: (
        "Xid 79" if there.nodes[name].version == NEW and not request.claimed else ""
    )

    def meanwhile() -> None:
        for node in RINGS["ring-0"]:
            world.nodes[node].drained = False
        world.blocked["gpu-2"] = 99

    released = f"release {RINGS['ring-0'][-1]}"
    calm = a_world_that_starts()
    calm.bad = world.bad
    play(calm)
    world.strike_at, world.meanwhile = calm.moments.index(released), meanwhile
    end = play(world)
    assert (end.name, set(end.nodes)) == ("held", set(RINGS["ring-0"])), end
    assert "starts on all of the ring at once" in end.nodes["gpu-1"]
    assert world.live[("nvidiadriver-ring-0.yaml", "spec.version")] == NEW


def test_a_later_ring_whose_push_is_refused_is_given_back_untouched() -> None:
    world = a_world_that_starts()

    def meanwhile() -> None:
        world.head().fields[("nvidiadriver-ring-1.yaml", "spec.version")] = "somebody's"

    calm = a_world_that_starts()
    play(calm)
    world.strike_at, world.meanwhile = calm.moments.index("drain gpu-3"), meanwhile
    end = play(world)
    assert end.name == "held"
    assert [world.nodes[n].claim for n in RINGS["ring-1"]] == ["", ""]
    assert {world.nodes[n].version for n in RINGS["ring-1"]} == {OLD}


@pytest.mark.parametrize(
    ("spec", "fails"),
    [
        (FLASHED, ""),
        (BY_BOOT, "gpu-1"),
        (FLASHED, "gpu-3"),
        (PARTED, ""),
        (PARTED, "gpu-1"),
        (PARTED, "gpu-3"),
    ],
)
def test_killed_at_any_record_it_ends_as_an_undisturbed_run(spec: MoverSpec, fails: str) -> None:
    def make() -> World:
        world = a_world_that_starts()
        if spec is BY_BOOT:
            world.broken.add("boots")
        if fails:
            fails_once_moved(world, fails)
        return world

    def goes(world: World) -> End:
        return play(world, on_wave_failure="undo", spec=spec)

    calm = make()
    end = goes(calm)
    for at, world, resumed in resumed_at_each(calm, make, goes):
        assert (resumed.name, resumed.exit_code) == (end.name, end.exit_code), f"{at}: {resumed.why}"
        assert {n: o.version for n, o in world.nodes.items()} == {
            n: o.version for n, o in calm.nodes.items()
        }, at
        assert [c.trailers for c in world.commits] == [c.trailers for c in calm.commits], at


def test_killed_right_after_its_push_the_whole_ring_counts_as_moved() -> None:
    """Nobody has applied anything yet, and every node of the ring has begun."""
    calm = a_world_that_starts()
    play(calm)
    pushed = next(i for i, r in enumerate(calm.records) if str(r.step).endswith("ring-0/declare"))
    world = killed(a_world_that_starts(), pushed + 1, play, before_write=True)
    world.abort = "stop"
    assert play(world).name == "restored"
    assert {world.nodes[n].version for n in RINGS["ring-0"]} == {OLD}
