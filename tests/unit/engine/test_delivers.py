"""What brings every commit moves: the way back is proven anew through it, and where it is deaf the run holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.fake_fleet import OPERATOR, SUBSCRIPTION, WAS
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.fleet_scene import alone_plan
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import an_engine
from tests.unit.engine.test_fleet_part import HUMAN, a_fleet_world, broken, ended, played, prepared
from tests.unit.engine.world import World

from knowngood.engine.steps import Verb
from knowngood.model.plan import Plan
from knowngood.model.state import End


def deliverer() -> Plan:
    """An operator that touches no node and brings every commit."""
    plan = alone_plan()
    return replace(plan, movers={**plan.movers, OPERATOR: replace(plan.movers[OPERATOR], delivers=True)})


def test_what_brings_every_commit_proves_the_way_back_anew_once_it_moved() -> None:
    world = a_fleet_world()
    state = played(world, deliverer())
    assert state.end is not None
    assert state.end.name == "done", state.end.why
    ways = [str(path) for path in state.intended if path.verb == Verb.WAY_BACK]
    assert ways == ["way-back", "hop-1/fleet/way-back"]
    sent = [state.results[path].detail.commit for path in state.intended if path.verb == Verb.WAY_BACK]
    assert sent == ["c-noop", "c-noop hop-1"], "what was delivered before proves nothing now"
    order = [path.verb for path in state.intended if path.parent]
    assert order.index(Verb.SETTLE) < order.index(Verb.WAY_BACK) < order.index(Verb.CONFIRM)
    assert all(str(path) != "hop-1/fleet/way-back" for path in played(a_fleet_world(), alone_plan()).intended)


def test_where_it_delivers_no_more_the_run_holds_and_says_what_to_do() -> None:
    """argo-deaf-after-upgrade: an undo would wait for what no longer comes."""
    world = prepared(broken("argo-deaf-after-upgrade"))
    end = ended(world, deliverer())
    assert (end.name, end.exit_code) == ("held", HUMAN)
    assert "since hop-1 nothing is delivered" in end.why
    assert "knowngood rollback run-1 takes hop-1 back" in end.why
    assert f"apply {SUBSCRIPTION[0]} as Git has it then by kubectl apply --server-side" in end.why
    assert not any("undo" in str(c.trailers) for c in world.commits), "no undo was tried through it"


def test_once_it_is_mended_a_rollback_takes_it_back() -> None:
    world = prepared(broken("argo-deaf-after-upgrade"))
    before = dict(snapshot(a_fleet_world()))
    ended(world, deliverer())
    world.broken.clear()
    engine = an_engine(world, plan=deliverer())
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    assert (end.name, world.operator) == ("restored", WAS), end.why
    assert snapshot(world) == before


@pytest.mark.parametrize("faults", [(), ("argo-deaf-after-upgrade",)], ids=["well", "deaf"])
def test_killed_at_any_record_of_it_the_run_ends_as_an_undisturbed_one(faults: tuple[str, ...]) -> None:
    def play(world: World) -> End:
        return ended(world, deliverer())

    whole = prepared(broken(*faults))
    end = play(whole)
    for at, world, resumed in resumed_at_each(whole, lambda: prepared(broken(*faults)), play):
        assert (resumed.name, resumed.why) == (end.name, end.why), at
        assert snapshot(world) == snapshot(whole), at
