"""A hop that can't be undone: whatever stops it, nothing of it is reverted, and the rest stays on what it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from tests.unit.engine.fake_cluster import DRIVER
from tests.unit.engine.fake_fleet import IS, POLICY, SUBSCRIPTION, WAS
from tests.unit.engine.fakes import POOL, FakeHolds, snapshot
from tests.unit.engine.fleet_scene import alone_plan, leaky_plan, operator_plan, two_leaky_hops
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import RINGS, a_plan, an_engine
from tests.unit.engine.test_fleet_part import (
    IN_RING_2,
    a_fleet_world,
    anew,
    broken,
    calm,
    ended,
    leaks,
    prepared,
)
from tests.unit.engine.world import NEW, OLD, World

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, Refused
from knowngood.model.finding import refused
from knowngood.model.matrix import UndoClass
from knowngood.model.node import Leftover
from knowngood.model.plan import Plan
from knowngood.model.state import End

Prepare = Callable[[World], None]
HOLDS = ("machine-config-pool",)


def ahead(plan: Plan) -> Plan:
    """The same, without a way back; what its fleet part moves holds the pools."""
    (hop,) = plan.hops
    movers = {
        name: replace(spec, holds=HOLDS if name in _fleet(plan) else ()) for name, spec in plan.movers.items()
    }
    return replace(plan, hops=(replace(hop, undo=UndoClass.FORWARD_ONLY),), movers=movers)


def _fleet(plan: Plan) -> set[str]:
    fleet = plan.hops[0].fleet
    return {m.component for m in fleet.moves} if fleet else set()


def onward() -> Plan:
    return ahead(operator_plan())


def asked(at: str, how: str) -> Prepare:
    """Somebody asks to abort while that step judges."""

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        w.abort = how if request.name == at else w.abort
        return ""

    return lambda world: setattr(world, "bad", find)


@dataclass(frozen=True)
class Row:
    name: str
    prepare: Prepare
    quarantined: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    on_wave_failure: str = "hold"
    plan: Callable[[], Plan] = onward


ROWS = [
    Row("the canary fails a gate", anew("gpu-1"), ("gpu-1",), ("gpu-1",)),
    Row("... where it undoes", anew("gpu-1"), ("gpu-1",), ("gpu-1",), "undo"),
    Row("a later node fails", anew("gpu-4"), ("gpu-4",), ("gpu-4",), "undo"),
    Row("what is declared once fails", broken("csv-fails")),
    Row("... and touches no node", broken("csv-fails"), plan=lambda: ahead(alone_plan())),
    Row("it stands still", broken("csv-stands-still")),
    Row("it does not sync", broken("argo-fails")),
    Row("a leak after the canary", leaks("gpu-5", IN_RING_2), (), ("gpu-5",)),
    Row(
        "a node does not come back",
        broken("dies-gpu-1"),
        ("gpu-1",),
        ("gpu-1",),
        plan=lambda: ahead(leaky_plan()),
    ),
    Row("a budget keeps the canary", lambda w: w.blocked.update({"gpu-1": 99}), (), ("gpu-1",)),
    Row("somebody aborts", asked("hop-1/ring-0/batch-1/judge", "stop")),
    Row("... or freezes", asked("hop-1/ring-1/batch-1/judge", "hold")),
]


def says_true(world: World, row: Row, before: Mapping[str, object]) -> None:
    moved = {SUBSCRIPTION: IS} if row.name != "a node does not come back" else {POLICY: NEW}
    assert moved.items() <= world.head().fields.items(), "its commit stays"
    assert not any("undo" in str(c.trailers) for c in world.commits)
    assert {n for n, one in world.nodes.items() if one.quarantined} == {*row.quarantined}
    later = [n for n in ("gpu-5", "gpu-6") if n not in row.named]
    assert {n: snapshot(world)[n] for n in later} == {n: before[n] for n in later}, "the rest is as it was"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_whatever_stops_it_nothing_is_taken_back(row: Row) -> None:
    world = a_fleet_world()
    row.prepare(world)
    before = dict(snapshot(world))
    end = ended(world, row.plan(), row.on_wave_failure)
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    assert set(row.named) <= set(end.nodes)
    says_true(world, row, before)
    assert world.paused == {POOL: "run-1"}, "else the pools would move every node on"
    assert f"{POOL} stays paused" in end.why


@pytest.mark.parametrize("row", ROWS[:5], ids=lambda row: row.name)
def test_killed_at_any_record_it_ends_as_an_undisturbed_one(row: Row) -> None:

    def play(world: World) -> End:
        return ended(world, row.plan(), row.on_wave_failure)

    whole = prepared(row.prepare)
    end = play(whole)
    for at, world, resumed in resumed_at_each(whole, lambda: prepared(row.prepare), play):
        assert (resumed.name, resumed.why) == (end.name, end.why), at
        assert snapshot(world) == snapshot(whole), at
        assert world.paused == whole.paused, at


def test_only_what_letting_go_would_start_is_said_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that was let go for its ring carries the run's mark still, and stays nothing."""
    rolling = [
        Leftover("hold", "pool ring-0", "", "run-1"),
        Leftover("hold", POOL, "", "run-1", "moves them"),
    ]
    world = a_fleet_world()
    monkeypatch.setattr(FakeHolds, "standing", lambda holds: rolling if holds.world.paused else [])
    anew("gpu-1")(world)
    end = ended(world, onward())
    assert f"{POOL} stays paused: let go, it moves its nodes on" in end.why
    assert "pool ring-0" not in end.why


def as_one(plan: Plan) -> Plan:
    """The same, where one object lets a whole ring go."""
    movers = dict(plan.movers)
    return replace(plan, movers={**movers, DRIVER: replace(movers[DRIVER], kind="machine-config")})


def test_a_ring_that_goes_as_one_is_given_back_and_tried_once_more_as_a_whole() -> None:
    """A budget keeps one node of it: the others wait for it unmoved, at their tenants' work."""
    world = a_fleet_world()
    world.blocked["gpu-4"] = 1
    end = ended(world, as_one(onward()))
    assert (end.name, world.operator) == ("done", IS), end.why
    told = [event for name, event, _ in world.history if name == "gpu-3"]
    assert told == ["released", "loaded", "released"]
    assert world.nodes["gpu-4"].loads == world.nodes["gpu-3"].loads, "both were loaded once, together"


def test_and_where_it_is_kept_again_the_run_holds_with_nobody_moved_or_out() -> None:
    world = a_fleet_world()
    world.blocked["gpu-4"] = 99
    end = ended(world, as_one(onward()))
    assert (end.name, [*end.nodes]) == ("held", ["gpu-4"]), end.why
    assert {n: world.nodes[n].loads for n in ("gpu-3", "gpu-4")} == {"gpu-3": 1, "gpu-4": 1}
    assert not any(world.nodes[n].claim for n in world.nodes), "and both are back at work"


def test_all_well_it_is_done_and_lets_go() -> None:
    world = a_fleet_world()
    calm(world)
    end = ended(world, onward())
    assert (end.name, world.operator, world.paused) == ("done", IS, {})


LAST = "600.10"


def two_releases() -> Plan:
    """Two hops without a way back, each braked by the pools that the one before lets go."""
    plan = two_leaky_hops(LAST)
    hops = tuple(replace(hop, undo=UndoClass.FORWARD_ONLY) for hop in plan.hops)
    return replace(plan, hops=hops, movers={DRIVER: replace(plan.movers[DRIVER], holds=HOLDS)})


def test_what_brakes_a_second_release_is_held_anew_before_its_commit() -> None:
    world = a_fleet_world()
    calm(world)
    end = ended(world, two_releases())
    assert (end.name, world.paused) == ("done", {}), end.why
    assert {node.version for node in world.nodes.values()} == {LAST}
    first, last = [n for n, what in enumerate(world.moments) if what == "held"]
    delivered = [n for n, what in enumerate(world.moments) if what == "deliver"]
    released = [n for n, what in enumerate(world.moments) if what == "release gpu-6"]
    assert first < delivered[-2] < released[0] < last < delivered[-1]


def test_and_where_it_can_not_be_the_second_one_does_not_begin() -> None:
    world = a_fleet_world()

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == "hop-1/ring-2/confirm":
            w.broken.add("pool-rolls")
        return ""

    world.bad = find
    end = ended(world, two_releases())
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    assert "it is updating its nodes" in end.why
    assert world.head().fields[POLICY] == NEW, "its commit never came"


@pytest.mark.exhaustive
def test_killed_at_any_record_two_releases_end_as_undisturbed_ones() -> None:
    def play(world: World) -> End:
        return ended(world, two_releases())

    whole = prepared(calm)
    play(whole)
    for at, world, resumed in resumed_at_each(whole, lambda: prepared(calm), play):
        assert resumed.name == "done", at
        assert snapshot(world) == snapshot(whole), at
        assert world.paused == {}, at


def test_before_its_commit_is_out_nothing_was_changed() -> None:
    """Somebody else changes the field between the first look and our commit."""
    world = a_fleet_world()

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == "check":
            w.head().fields[SUBSCRIPTION] = "26.3.0"
        return ""

    world.bad = find
    end = ended(world, onward())
    assert end.exit_code in (ExitCode.REFUSED, ExitCode.INCONCLUSIVE), end.why
    assert (world.operator, world.paused) == (WAS, {})


@pytest.mark.parametrize("why", ["its last backup is too old", f"{POOL} (somebody had it go on: held again)"])
def test_a_later_hop_asks_once_more_before_it_begins_and_the_run_rests_where_it_stands(why: str) -> None:
    """What it needs may have gone since the run's start, or an earlier hop was to bring it; so may a hold."""
    (closed,) = onward().hops
    first = replace(leaky_plan().hops[0], name="hop-0")
    plan = replace(onward(), hops=(first, closed), movers={**leaky_plan().movers, **onward().movers})
    world = a_fleet_world()
    calm(world)

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == "hop-0/ring-2/confirm" and POOL in why:
            w.lifts = 1
        elif request.name == "hop-0/fleet/confirm" and POOL not in why:
            w.found["fleet"] = [refused("etcd", why)]
        return ""

    world.bad = find
    end = ended(world, plan)
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    assert why in end.why
    assert (world.head().fields[SUBSCRIPTION], world.operator) == (WAS, WAS), "its commit never came"
    assert world.paused == {}, "nothing has begun that a pool would have to wait for"


@pytest.mark.parametrize(
    ("asked", "passes"),
    [("fleet", False), ("fleet", True), ("fleet-back", False)],
    ids=["what it needs", "what is likely to pass", "its way back"],
)
def test_a_later_hop_asks_what_its_fleet_part_and_its_way_back_need_before_its_commit(
    asked: str, passes: bool
) -> None:
    """Preflight asked the first hop alone; and that hop may have brought another catalog, without the older version."""
    (operator,) = alone_plan().hops
    first, plan = replace(leaky_plan().hops[0], name="hop-0"), alone_plan()
    plan = replace(plan, hops=(first, operator), movers={**leaky_plan().movers, **plan.movers})
    world = a_fleet_world()

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == "hop-0/fleet/confirm":
            w.found[asked] = [refused("catalog", "it lacks it", passes=passes)]
        return ""

    world.bad = find
    end = ended(world, plan)
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    assert "it lacks it" in end.why
    assert (world.head().fields[SUBSCRIPTION], world.operator) == (WAS, WAS), "its commit never came"


def test_what_today_s_catalog_says_of_a_hop_after_the_point_of_no_return_stops_no_run() -> None:
    """The older version of that hop is one that an earlier hop brings, from a catalog that is not there yet."""
    (closed,) = onward().hops
    later = replace(leaky_plan().hops[0], name="hop-2")
    plan = replace(onward(), hops=(closed, later), movers={**leaky_plan().movers, **onward().movers})
    world = a_fleet_world()
    calm(world)
    world.found["fleet-back"] = [refused("catalog", "it could not be brought back")]
    end = ended(world, plan)
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), "hop-2 itself asks"
    assert world.head().fields[SUBSCRIPTION] == IS, "the first hop was made"


def test_the_way_back_is_not_asked_for() -> None:
    """There is none: a finding of it would refuse every such hop."""
    world = a_fleet_world()
    world.found["fleet-back"] = ["the catalog lacks it"]  # type: ignore[list-item]
    assert ended(world, onward()).name == "done"


def test_no_rollback_passes_it() -> None:
    world = a_fleet_world()
    anew("gpu-1")(world)
    ended(world, onward())
    engine = an_engine(world, plan=onward())
    engine.roll_back()
    with pytest.raises(Refused, match="past its point of no return: hop-1") as raised:
        engine.run()
    assert "ring by ring" in raised.value.hint, "an upgrade is refused while the pools are held"
    assert world.head().fields[SUBSCRIPTION] == IS


def then_onward() -> Plan:
    """A driver over its rings, with a way back; then the operator, without one."""
    (first,), (second,) = a_plan().hops, ahead(alone_plan()).hops
    plan = onward()
    versions = {**plan.to_versions, "nvidia-driver": NEW}
    return replace(plan, to_versions=versions, hops=(first, replace(second, name="hop-2")))


def test_a_hop_whose_commit_never_reached_the_branch_bars_no_rollback() -> None:
    """Somebody else changed its field first: what the hop before it brought can still go back."""
    world = a_fleet_world()
    world.head().fields.update({(f"nvidiadriver-{ring}.yaml", "spec.version"): OLD for ring in RINGS})
    world.live.update(world.head().fields)
    before = dict(snapshot(world))

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name.startswith("hop-1/ring-2/confirm"):
            w.head().fields[SUBSCRIPTION] = "26.3.0"
        return ""

    world.bad = find
    held = ended(world, then_onward())
    assert (held.name, held.within) == ("held", ""), held.why
    world.head().fields[SUBSCRIPTION] = WAS
    engine = an_engine(world, plan=then_onward())
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    assert end.name == "restored", end.why
    assert snapshot(world) == before
