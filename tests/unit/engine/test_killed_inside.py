"""SIGKILL and SIGINT inside every step, not only at its borders; then resume, rollback, abort and what is told of it.

After the first of two nodes, after the push and before its answer, after half of a quarantine: whatever the moment,
what the state says is held agrees with the cluster, and the run can be brought to an end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from tests.unit.engine.fake_cluster import FakeCluster
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.scene import RINGS, a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import Killed, World

from knowngood.model.claims import Hold, held, may_hold
from knowngood.model.errors import Interrupted
from knowngood.model.state import End, RunState

KILL, SIGINT = "SIGKILL", "SIGINT"


def all_well() -> World:
    return a_world()


def canary_undone() -> World:
    world = a_world()
    world.bad = sick("gpu-1", claimed_only=True)
    return world


def later_held() -> World:
    world = a_world()
    world.bad = sick("gpu-4", claimed_only=True)
    return world


SCENES = {"all is well": all_well, "the canary is undone": canary_undone, "a later ring is held": later_held}


@pytest.fixture(autouse=True)
def _two_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are enough: the canary's and a later one."""
    monkeypatch.setattr("tests.unit.engine.scene.RINGS", {k: RINGS[k] for k in ("ring-0", "ring-1")})


def run_from(world: World, *, back: bool = False) -> End:
    engine = an_engine(world)
    if back:
        engine.roll_back()
    end = engine.run().end
    assert end is not None
    return end


def struck(scene: Callable[[], World], moment: int, how: str) -> World | None:
    """A run that is hit at a moment; None where the signal came too late to stop anything."""
    world = scene()
    world.strike_at = moment
    engine = an_engine(world)
    world.signal = engine.cancel if how == SIGINT else None
    try:
        engine.run()
    except (Killed, Interrupted):
        return world.revived()
    return None


def marked(world: World) -> set[str]:
    """Nodes with anything of ours on them."""
    return {n for n, marks in FakeCluster(world).marks().items() if marks.any}


def told(state: RunState, world: World) -> dict[str, Hold]:
    """What `status` and `handover` say of each node."""
    return {n: h.hold for n, h in held(state, world.nodes, FakeCluster(world).marks()).items()}


def agrees(world: World) -> None:
    """What a machine says of the nodes, by its journal or by the checkpoint alone, is what is on them."""
    states = [an_engine(world)._state]
    states += [world.saved["run-1"]] if "run-1" in world.saved else []
    for state in states:
        holds = told(state, world)
        assert {n for n, hold in holds.items() if hold is not Hold.IN_SERVICE} == marked(world)
        assert {n for n, o in world.nodes.items() if o.claim} <= set(may_hold(state)), "resume would miss it"


def nothing_left(world: World, end: End) -> None:
    """No claim outlives a run, and what is still out of service is named at its end."""
    assert not [n for n, node in world.nodes.items() if node.claim or node.tainted]
    assert marked(world) <= set(end.nodes)
    assert {n for n, node in world.nodes.items() if node.cordoned} <= marked(world)


def moments(scene: Callable[[], World]) -> tuple[World, End]:
    calm = scene()
    return calm, run_from(calm)


@pytest.mark.parametrize("how", [KILL, SIGINT])
@pytest.mark.parametrize("name", SCENES)
def test_hit_inside_any_step_a_run_goes_on_goes_back_and_says_what_is_so(name: str, how: str) -> None:
    scene = SCENES[name]
    before, (calm, end) = snapshot(scene()), moments(scene)
    for moment, what in enumerate(calm.moments):
        world = struck(scene, moment, how) if what != "save" or how == KILL else None
        if world is None:
            continue
        at = f"{how} at moment {moment}: {what}"
        agrees(world)

        resumed = copy.deepcopy(world)
        ended = run_from(resumed)
        assert (ended.name, set(ended.nodes)) == (end.name, set(end.nodes)), f"{at}, resume: {ended.why}"
        assert snapshot(resumed) == snapshot(calm), f"{at}, resume"
        assert [c.trailers for c in resumed.commits] == [c.trailers for c in calm.commits], at
        nothing_left(resumed, ended)

        back = copy.deepcopy(world).at("another machine")
        back.abort = "stop"  # what `rollback` asks of an open run, and `abort`
        ended = run_from(back)
        if ended.name == "held":
            nothing_left(back, ended)
            back.abort = ""
            back.bad = lambda *_: ""
            ended = run_from(back, back=True)
        if ended.name != "done":  # only where the proof had passed
            assert ended.name in ("restored", "inconclusive"), f"{at}, rollback: {ended}"
            assert snapshot(back) == before, f"{at}, rollback"
        nothing_left(back, ended)


@pytest.mark.parametrize("how", [KILL, SIGINT])
def test_hit_inside_any_step_an_abort_with_hold_freezes_and_names_what_is_out(how: str) -> None:
    calm, _ = moments(all_well)
    for moment, what in enumerate(calm.moments):
        world = struck(all_well, moment, how) if what != "save" else None
        if world is None:
            continue
        world.abort = "hold"
        ended = run_from(world)
        state = an_engine(world)._state
        holds = told(state, world)
        assert {n for n, hold in holds.items() if hold is not Hold.IN_SERVICE} == marked(world)
        if ended.name == "held":
            world.abort = ""
            assert run_from(world, back=True).name == "restored"
        assert marked(world) == set()
