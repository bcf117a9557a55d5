"""A run that ended held goes on by a human's word: what stopped it is judged anew, nothing claims to be restored."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import pytest
from tests.unit.engine.fakes import POOL, snapshot
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import RINGS, a_plan, an_engine
from tests.unit.engine.test_fleet_part import a_fleet_world, anew, broken
from tests.unit.engine.test_point_of_no_return import as_one, asked, onward, two_releases
from tests.unit.engine.world import NEW, OLD, Killed, World

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, Refused
from knowngood.model.finding import refused
from knowngood.model.plan import Plan
from knowngood.model.record import RecordType
from knowngood.model.state import End

Prepare = Callable[[World], None]


def by_rings() -> Plan:
    """A driver over its rings, with a way back."""
    return a_plan()


def together() -> Plan:
    """Where one object lets a whole ring go."""
    return as_one(onward())


def fails(node: str, at: str) -> Prepare:
    """A gate says no to a node in one judgement and its second look."""

    def find(request: JudgeRequest, name: str, _w: World) -> str:
        there = request.name.rpartition("/")[0] == at.rpartition("/")[0]
        return "Xid 79" if name == node and there and not request.taking_baseline else ""

    return lambda world: setattr(world, "bad", find)


def rolls_after(at: str) -> Prepare:
    """A pool moves its nodes on by itself once that was judged, so it can't be held."""

    def find(request: JudgeRequest, _name: str, w: World) -> str:
        w.broken |= {"pool-rolls"} if request.name == at else set()
        return ""

    return lambda world: setattr(world, "bad", find)


def mended(world: World) -> World:
    """A human has found the cause and mended it."""
    world.bad = lambda *_: ""
    world.broken.clear()
    world.blocked.clear()
    return world


def world_of(plan: Plan) -> World:
    world = a_fleet_world()
    fields = {c.place: c.before for hop in plan.hops[:1] for part in hop.parts for c in part.changes}
    world.head().fields |= {(place[0], place[1]): before for place, before in fields.items()}
    world.live.update(world.head().fields)
    return world


def engine_of(world: World, plan: Plan) -> Engine:
    return an_engine(world, plan=plan)


def held(plan: Plan, prepare: Prepare) -> World:
    """A world whose run has ended held."""
    world = world_of(plan)
    prepare(world)
    end = engine_of(world, plan).run().end
    assert end is not None
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    return world


def goes_on(world: World, plan: Plan) -> End:
    engine = engine_of(world, plan)
    engine.go_on()
    end = engine.run().end
    assert end is not None
    return end


@dataclass(frozen=True)
class Row:
    name: str
    plan: Callable[[], Plan]
    prepare: Prepare


ROWS = [
    Row("no way back, the canary fails", onward, anew("gpu-1")),
    Row("... a later node", onward, anew("gpu-4")),
    Row("... a budget keeps the canary", onward, lambda w: w.blocked.update({"gpu-1": 99})),
    Row("... and a whole ring waits for it", together, lambda w: w.blocked.update({"gpu-4": 99})),
    Row("... what is declared once fails", onward, broken("csv-fails")),
    Row("... it stands still", onward, broken("csv-stands-still")),
    Row("... somebody aborts", onward, asked("hop-1/ring-0/batch-1/judge", "stop")),
    Row("... or freezes", onward, asked("hop-1/ring-1/batch-1/judge", "hold")),
    Row("... the whole cluster does not pass", onward, fails("gpu-6", "prove")),
    Row("a later ring fails", by_rings, fails("gpu-3", "hop-1/ring-1/batch-1/judge")),
    Row("somebody freezes in it", by_rings, asked("hop-1/ring-1/batch-1/judge", "hold")),
    Row("the whole cluster does not pass", by_rings, fails("gpu-6", "prove")),
    Row("a later release", two_releases, fails("gpu-3", "hop-2/ring-1/batch-1/judge")),
    Row("before a later release", two_releases, rolls_after("hop-1/ring-2/confirm")),
]


def all_well(world: World) -> None:
    assert not any(n.claim or n.cordoned or n.quarantined or n.tainted for n in world.nodes.values())
    assert world.paused == {}
    assert not any("undo" in str(c.trailers).lower() for c in world.commits), "nothing was taken back"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_once_the_cause_is_mended_one_command_brings_it_to_its_end(row: Row) -> None:
    world = held(row.plan(), row.prepare)
    world.abort = world.abort and "hold"  # an abort that was heeded is not heeded twice
    end = goes_on(mended(world), row.plan())
    assert (end.name, end.exit_code) == ("done", ExitCode.DONE), end.why
    all_well(world)
    undisturbed = world_of(row.plan())
    engine_of(undisturbed, row.plan()).run()
    there = [{n: (o.version, o.made_by) for n, o in w.nodes.items()} for w in (world, undisturbed)]
    assert there[0] == there[1]
    assert len(world.commits) == len(undisturbed.commits), "what was committed is not committed again"


@pytest.mark.parametrize("row", ROWS[:5], ids=lambda row: row.name)
def test_while_it_is_not_mended_it_ends_held_again_and_its_brake_stays_on(row: Row) -> None:
    world = held(row.plan(), row.prepare)
    before, loads = dict(snapshot(world)), {n: o.loads for n, o in world.nodes.items()}
    world.blocked = dict.fromkeys(world.blocked, 99)
    end = goes_on(world, row.plan())
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN), end.why
    assert world.paused == {POOL: "run-1"}
    assert f"{POOL} stays paused" in end.why
    assert dict(snapshot(world)) == before
    assert {n: o.loads for n, o in world.nodes.items()} == loads, "nothing is loaded twice for it"
    assert goes_on(mended(world), row.plan()).name == "done", "and once more"
    all_well(world)


KILLED = [ROWS[0], ROWS[3], ROWS[8], ROWS[9], ROWS[12]]


@pytest.mark.parametrize("row", KILLED, ids=lambda row: row.name)
def test_killed_at_any_record_of_it_the_run_ends_as_an_undisturbed_one(row: Row) -> None:
    stands = mended(held(row.plan(), row.prepare)).revived()

    def play(world: World) -> End:
        asked = any(record.type is RecordType.WENT_ON for record in world.records)
        if not asked:
            return goes_on(world, row.plan())
        end = engine_of(world, row.plan()).run().end
        assert end is not None
        return end

    first = deepcopy(stands)
    play(first)
    first.records = first.records[len(stands.records) :]
    for at, world, resumed in resumed_at_each(first, lambda: deepcopy(stands), play):
        assert resumed.name == "done", f"{at}: {resumed.why}"
        all_well(world)


def test_who_passed_already_is_left_at_work_and_who_moved_is_not_loaded_again() -> None:
    world = held(onward(), fails("gpu-3", "hop-1/ring-1/batch-1/judge"))
    loads = {n: o.loads for n, o in world.nodes.items()}
    assert world.nodes["gpu-3"].quarantined
    at = len(world.history)
    assert goes_on(mended(world), onward()).name == "done"
    told = [event for name, event, _ in world.history[at:] if name == "gpu-4"]
    assert told == [], "it passed, and works for its tenants"
    assert world.nodes["gpu-3"].loads == loads["gpu-3"]
    again = [
        r for r in world.records if r.type is RecordType.OUTCOME and str(r.step).endswith("batch-1/judge")
    ]
    assert [list(r.detail.get("failed", {})) for r in again][-2:] != [["gpu-3"], ["gpu-3"]]


def test_a_node_that_was_given_back_by_hand_is_taken_out_and_judged_as_any() -> None:
    world = held(onward(), anew("gpu-1"))
    node = world.nodes["gpu-1"]
    node.quarantined, node.cordoned, node.shut_by = False, False, ""  # knowngood clear gpu-1
    assert goes_on(mended(world), onward()).name == "done"
    all_well(world)


def test_a_quarantined_node_that_an_operator_uncordoned_after_its_boot_is_taken_back() -> None:
    world = held(onward(), anew("gpu-1"))
    assert world.nodes["gpu-1"].quarantined
    world.nodes["gpu-1"].cordoned = False
    assert goes_on(mended(world), onward()).name == "done"
    all_well(world)


def test_a_node_that_it_would_not_come_to_again_is_to_be_given_back_first() -> None:
    """It failed after the soak: its ring is judged as it stands, so it must be in service."""
    world = held(onward(), fails("gpu-3", "hop-1/ring-1/confirm"))
    assert world.nodes["gpu-3"].quarantined
    commits = len(world.commits)
    with pytest.raises(Refused, match="gpu-3") as told:
        goes_on(mended(world), onward())
    assert "knowngood clear gpu-3, then knowngood resume run-1" in told.value.hint
    assert len(world.commits) == commits
    node = world.nodes["gpu-3"]
    node.quarantined, node.cordoned, node.shut_by = False, False, ""
    assert goes_on(world, onward()).name == "done"


def test_what_it_had_let_go_is_held_anew_before_a_node_goes_out_and_else_it_ends_as_it_stood() -> None:
    world = mended(held(onward(), anew("gpu-1")))
    world.broken.add("checks-busy")
    end = goes_on(world, onward())
    assert (end.name, "run other holds it" in end.why) == ("held", True)
    assert f"{POOL} stays paused" in end.why
    world.broken.clear()
    assert goes_on(world, onward()).name == "done"
    all_well(world)


def test_a_run_that_has_gone_back_or_ended_well_does_not_go_on() -> None:
    world = world_of(by_rings())
    fails("gpu-1", "hop-1/ring-0/batch-1/judge")(world)
    engine_of(world, by_rings()).run()
    with pytest.raises(Refused, match="is restored"):
        goes_on(mended(world), by_rings())
    aborted = world_of(by_rings())
    asked("hop-1/ring-1/batch-1/judge", "stop")(aborted)
    engine_of(aborted, by_rings()).run()
    with pytest.raises(Refused, match="has begun its way back") as told:
        goes_on(mended(aborted), by_rings())
    assert "knowngood rollback run-1" in told.value.hint


def test_another_machine_goes_on_and_the_first_one_hears_of_it() -> None:
    world = held(onward(), anew("gpu-1"))
    assert goes_on(mended(world).at("B"), onward()).name == "done"
    assert engine_of(world.at("the first"), onward()).run().end == world.saved["run-1"].end


def test_a_machine_that_was_killed_after_it_was_asked_goes_on_by_a_plain_resume() -> None:
    world = mended(held(onward(), anew("gpu-1")))
    world.kill_after = 0
    with pytest.raises(Killed):
        goes_on(world, onward())
    assert world.records[-1].type is RecordType.WENT_ON
    end = engine_of(world.revived(), onward()).run().end
    assert end is not None
    assert end.name == "done"


def test_a_held_run_that_went_on_can_still_be_rolled_back_where_it_has_a_way_back() -> None:
    world = held(by_rings(), fails("gpu-3", "hop-1/ring-1/batch-1/judge"))
    assert goes_on(world, by_rings()).name == "held"
    back = engine_of(mended(world), by_rings())
    back.roll_back()
    end = back.run().end
    assert end is not None
    assert end.name == "restored", end.why
    assert {o.version for o in world.nodes.values()} == {OLD}


def test_a_window_that_ended_is_asked_for_again() -> None:
    """It was held before its second ring; the next night it goes on there."""

    def shut(request: JudgeRequest, _name: str, w: World) -> str:
        if request.name == "hop-1/ring-0/confirm":
            w.found["windows"] = [refused("the window", "it ended")]
        return ""

    world = held(by_rings(), lambda w: setattr(w, "bad", shut))
    assert {world.nodes[n].version for n in RINGS["ring-1"]} == {OLD}
    assert goes_on(world, by_rings()).name == "held", "and it is still shut"
    world.found.clear()
    assert goes_on(mended(world), by_rings()).name == "done"
    assert {o.version for o in world.nodes.values()} == {NEW}
