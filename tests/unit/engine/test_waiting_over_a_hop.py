"""Nodes wait over a hop: the control plane goes twice, each node once, and what would move them is held meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from tests.unit.engine.fake_fleet import IS, OPERATOR, SUBSCRIPTION, WAS
from tests.unit.engine.fakes import POOL, ports, snapshot
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import RINGS, a_cluster, a_hardware
from tests.unit.engine.test_fleet_part import a_fleet_world, anew, broken, calm
from tests.unit.engine.test_going_on import mended
from tests.unit.engine.test_point_of_no_return import HOLDS, onward
from tests.unit.engine.world import OLD, World

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, Refused
from knowngood.model.finding import refused
from knowngood.model.plan import Move, Plan
from knowngood.model.state import End, RunState

BETWEEN = "26.3.3"
Prepare = Callable[[World], None]


def two_minors(together: bool = False) -> Plan:
    """What is declared once moves over a version on which no node ever is; then ring by ring, each node once."""
    plan = onward()
    (last,) = plan.hops
    assert last.fleet is not None
    ways = [(WAS, BETWEEN), (BETWEEN, IS)]
    fleets = [
        replace(
            last.fleet,
            changes=tuple(replace(c, before=a, after=b) for c in last.fleet.changes),
            own=(Move(OPERATOR, a, b),),
        )
        for a, b in ways
    ]
    first = replace(last, fleet=fleets[0], moves=fleets[0].own, rings=(), leaky="", paused=True)
    second = replace(last, name="hop-2", fleet=fleets[1], moves=fleets[1].own)
    movers = dict(plan.movers)
    if together:
        movers["nvidia-driver"] = replace(movers["nvidia-driver"], kind="machine-config", holds=HOLDS)
    return replace(plan, hops=(first, second), movers=movers)


def engine_of(world: World, plan: Plan) -> Engine:
    cluster = replace(a_cluster(), cpu=("cpu-1",))
    return Engine(ports(world), plan, cluster, a_hardware(), "run-1")


def played(world: World, plan: Plan, *, on: bool = False) -> RunState:
    engine = engine_of(world, plan)
    if on:
        engine.go_on()
    return engine.run()


def end_of(world: World, plan: Plan, *, on: bool = False) -> End:
    end = played(world, plan, on=on).end
    assert end is not None
    return end


def not_ready(world: World) -> None:
    """What the second minor needs is gone once the first is there."""

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == "hop-1/fleet/confirm":
            w.found["fleet"] = [refused("node gpu-1", "its kubelet is too far behind")]
        return ""

    world.bad = find


@dataclass(frozen=True)
class Row:
    name: str
    prepare: Prepare
    end: str
    operator: str
    moved: tuple[str, ...] = ()
    together: bool = False


ALL = tuple(n for nodes in RINGS.values() for n in nodes)
ROWS = [
    Row("all is well", calm, "done", IS, ALL),
    Row("all is well, ring by ring as a whole", calm, "done", IS, ALL, together=True),
    Row("the second minor stands still", broken("csv-stands-still"), "held", IS),
    Row("the second does not begin", not_ready, "held", BETWEEN),
    Row("the canary fails", anew("gpu-1"), "held", IS, ("gpu-1", "gpu-2")),
    Row("a later ring fails", anew("gpu-4"), "held", IS, ("gpu-1", "gpu-2", "gpu-3", "gpu-4")),
]


def prepared(row: Row) -> World:
    world = a_fleet_world()
    row.prepare(world)
    return world


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_node_comes_once_and_what_would_move_the_others_stays_held(row: Row) -> None:
    world = prepared(row)
    end = end_of(world, two_minors(row.together))
    assert (end.name, world.operator) == (row.end, row.operator), end.why
    assert {n: o.loads for n, o in world.nodes.items()} == {n: 2 if n in row.moved else 1 for n in ALL}
    assert {n for n, o in world.nodes.items() if o.made_by == BETWEEN} == set(), "nobody was in between"
    assert world.held_for >= {*ALL, "cpu-1"}, "also those that no ring comes to"
    if row.end == "held":
        assert end.exit_code is ExitCode.HUMAN
        assert world.paused == {POOL: "run-1"}, "let go, all of them would boot at once, undrained"
        assert f"{POOL} stays paused" in end.why
    else:
        assert world.paused == {}
    assert not any("undo" in str(c.trailers).lower() for c in world.commits)


KILLED = [ROWS[1], ROWS[3], ROWS[4]]


@pytest.mark.parametrize("row", KILLED, ids=lambda row: row.name)
def test_killed_at_any_record_it_ends_as_an_undisturbed_run(row: Row) -> None:
    def play(world: World) -> End:
        return end_of(world, two_minors(row.together))

    whole = prepared(row)
    end = play(whole)
    for at, world, resumed in resumed_at_each(whole, lambda: prepared(row), play):
        assert (resumed.name, resumed.why) == (end.name, end.why), at
        assert snapshot(world) == snapshot(whole), at
        assert world.paused == whole.paused, at
        assert [c.trailers for c in world.commits] == [c.trailers for c in whole.commits], at


@pytest.mark.parametrize("row", [row for row in ROWS if row.end == "held"], ids=lambda row: row.name)
def test_once_mended_it_goes_on_from_there_and_still_each_node_comes_once(row: Row) -> None:
    world = prepared(row)
    end_of(world, two_minors())
    world.found.clear()
    end = end_of(mended(world), two_minors(), on=True)
    assert (end.name, world.operator, world.paused) == ("done", IS, {}), end.why
    assert {o.loads for o in world.nodes.values()} == {2}
    assert len(world.commits) == 3, "the first look, and one commit a minor"


def test_no_rollback_passes_the_first_of_them() -> None:
    world = a_fleet_world()
    not_ready(world)
    end_of(world, two_minors())
    engine = engine_of(mended(world), two_minors())
    engine.roll_back()
    with pytest.raises(Refused, match="past its point of no return: hop-1"):
        engine.run()
    assert (world.head().fields[SUBSCRIPTION], world.paused) == (BETWEEN, {POOL: "run-1"})
    assert {o.version for o in world.nodes.values()} == {OLD}


def test_between_the_two_nodes_are_expected_to_be_as_they_were() -> None:
    """What follows the first minor comes to them with the second."""
    plan = two_minors()
    follows = (Move("kernel", "5.14.0-427", "5.14.0-570"),)
    first, second = plan.hops
    rings = tuple(replace(ring, own=(*ring.own, *follows)) for ring in second.rings)
    plan = replace(
        plan,
        from_versions={**plan.from_versions, "kernel": "5.14.0-427"},
        to_versions={**plan.to_versions, "kernel": "5.14.0-570"},
        hops=(replace(first, follows=(Move("kubernetes", "1.31", "1.32"),)), replace(second, rings=rings)),
    )
    between = plan.versions_after(1)
    assert (between[OPERATOR], between["kernel"], between.get("kubernetes")) == (BETWEEN, "5.14.0-427", None)
    assert plan.starts_with("gpu-1")["kernel"] == "5.14.0-427"
    assert plan.versions_after(2)["kernel"] == "5.14.0-570"
