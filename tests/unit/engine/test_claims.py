"""What is claimed is what the nodes say, together with what was meant: never outcomes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import pytest
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.kills import killed
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import FakeNode, Killed, World

from knowngood.model.claims import Hold, held
from knowngood.model.errors import Interrupted
from knowngood.model.marks import Marks
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import End, RunState, fold

CLAIM = "hop-1/ring-0/batch-1/claim"


def killed_in_claim() -> World:
    """SIGKILL when the first node carries our claim and the second does not yet; no outcome was written."""
    world = a_world()
    world.broken.add("dies-claiming")
    with pytest.raises(Killed):
        an_engine(world).run()
    world.dead = False
    assert [bool(world.nodes[n].claim) for n in ("gpu-1", "gpu-2")] == [True, False]
    return world


def go_on(world: World) -> End:
    end = an_engine(world).run().end
    assert end is not None
    return end


def go_on_or_back(world: World) -> End:
    """A resume; where somebody's cordon keeps a node from us, a rollback."""
    try:
        return go_on(world)
    except Interrupted:
        world.abort = "stop"
        return go_on(world)


def marks(world: World) -> dict[str, Marks]:
    return {n: Marks(o.claim, o.tainted, o.shut_by, o.cordoned) for n, o in world.nodes.items()}


def says(world: World, *, asked: bool = True) -> dict[str, Hold]:
    found = held(fold(world.records), tuple(world.nodes), marks(world) if asked else None)
    return {node: answer.hold for node, answer in found.items()}


def test_a_kill_in_the_middle_of_claim_then_a_rollback_gives_every_node_back() -> None:
    before = snapshot(a_world())
    world = killed_in_claim()
    world.abort = "stop"
    assert go_on(world).name == "restored"
    assert snapshot(world) == before


def test_a_kill_in_the_middle_of_claim_then_a_resume_ends_as_an_undisturbed_run() -> None:
    calm = a_world()
    an_engine(calm).run()
    world = killed_in_claim()
    assert go_on(world).name == "done"
    assert snapshot(world) == snapshot(calm)


def test_a_kill_in_the_middle_of_claim_is_told_as_the_nodes_say_it() -> None:
    world = killed_in_claim()
    assert says(world)["gpu-1"] is Hold.OUT
    assert says(world)["gpu-2"] is Hold.IN_SERVICE
    assert {says(world, asked=False)[n] for n in ("gpu-1", "gpu-2")} == {Hold.UNKNOWN}


def test_what_an_earlier_run_left_is_refused_with_the_command_that_clears_it() -> None:
    world = a_world()
    world.nodes["gpu-3"].claim = world.nodes["gpu-3"].tainted = "run-0/1"
    end = go_on(world)
    assert end.name == "refused"
    assert "knowngood clear gpu-3" in end.why


@cache
def killed_with_a_claim() -> tuple[tuple[int, bool], ...]:
    """All boundaries at which the canary's gpu-1 is claimed, of a run whose canary fails."""
    calm = sick_world()
    an_engine(calm).run()
    found = []
    for boundary in range(len(calm.records)):
        for before_write in (False, True):
            world = killed_at(boundary, before_write=before_write)
            if world.nodes["gpu-1"].claim:
                found.append((boundary, before_write))
    return tuple(found)


def sick_world() -> World:
    world = a_world()
    world.bad = sick("gpu-1")
    return world


def killed_at(boundary: int, *, before_write: bool) -> World:
    return killed(sick_world(), boundary, lambda world: an_engine(world).run(), before_write=before_write)


def _claim_only(node: FakeNode) -> None:
    node.claim = ""


def _not_the_cordon(node: FakeNode) -> None:
    node.claim = node.tainted = ""


def _another_runs(node: FakeNode) -> None:
    node.claim, node.tainted = "run-0/1", "run-0"


@pytest.mark.parametrize("strip", [_claim_only, _not_the_cordon, _another_runs])
def test_a_claim_removed_by_hand_names_the_node_and_releases_nothing_unproven(
    strip: Callable[[FakeNode], None],
) -> None:
    """Killed anywhere, then somebody touches gpu-1's marks: the run ends, and whatever is left out is named."""
    for boundary, before_write in killed_with_a_claim():
        world = killed_at(boundary, before_write=before_write)
        strip(world.nodes["gpu-1"])
        was_released = len([h for h in world.history if h[:2] == ("gpu-1", "released")])
        end = go_on_or_back(world)
        at = f"killed at record {boundary}: {end}"
        left = {n for n, o in world.nodes.items() if o.claim or o.tainted or o.quarantined or o.cordoned}
        assert left == {"gpu-1"}, at
        assert end.name in ("quarantined", "held"), at
        assert "gpu-1" in end.nodes, at
        assert len([h for h in world.history if h[:2] == ("gpu-1", "released")]) == was_released, at
        told = held(fold(world.records), (), marks(world))["gpu-1"]
        assert told.hold in (Hold.QUARANTINED, Hold.TAKEN, Hold.MARKED) or "cordoned" in told.why, at


def test_a_node_given_back_by_hand_is_brought_back_or_shut_and_named() -> None:
    """Nothing of ours is on it any more, but it may run what has not passed."""
    ends = set()
    for boundary, before_write in killed_with_a_claim():
        world = killed_at(boundary, before_write=before_write)
        node = world.nodes["gpu-1"]
        node.claim, node.tainted, node.cordoned, node.drained = "", "", False, False
        end = go_on(world)
        if end.name == "restored":
            assert snapshot(world) == snapshot(a_world())
        else:
            assert "gpu-1" in end.nodes, f"killed at record {boundary}: {end}"
            assert node.quarantined
        ends.add(end.name)
    assert "restored" in ends


ONE = "gpu-1"


def a_state(*steps: tuple[str, Status | None, Mapping[str, object]]) -> RunState:
    """A run's state after these steps on gpu-1; without a status the step's outcome is missing."""
    records = [Record(0, RecordType.PLAN, "t", "", None, {"run": "run-1"}, {"plan": "d"})]
    for path, status, detail in steps:
        records.append(Record(len(records), RecordType.INTENT, "t", path, None, {"nodes": [ONE]}, {}))
        if status is not None:
            records.append(Record(len(records), RecordType.OUTCOME, "t", path, status, detail, {}))
    return fold(records)


DONE = {"done": [ONE]}
CLAIMED = (CLAIM, Status.OK, DONE)
WHOLE = Marks("run-1/1", "run-1", "", True, snapshot=True)


@pytest.mark.parametrize(
    ("state", "now", "by_journal", "by_node"),
    [
        (a_state(), Marks(), Hold.IN_SERVICE, Hold.IN_SERVICE),
        (a_state(CLAIMED), WHOLE, Hold.OUT, Hold.OUT),
        (a_state(CLAIMED), Marks(), Hold.OUT, Hold.IN_SERVICE),
        (a_state(CLAIMED), Marks("", "run-1", "", True), Hold.OUT, Hold.MARKED),
        (a_state(CLAIMED), Marks("", "", "", True), Hold.OUT, Hold.MARKED),
        (a_state(CLAIMED), Marks("", "", "", False, snapshot=True), Hold.OUT, Hold.MARKED),
        (a_state(CLAIMED), Marks("run-2/2", "run-2", "", True), Hold.OUT, Hold.TAKEN),
        (a_state(), Marks("", "", "run-0", True), Hold.IN_SERVICE, Hold.TAKEN),
        (a_state(), Marks("", "run-0", "", True), Hold.IN_SERVICE, Hold.TAKEN),
        (a_state((CLAIM, None, {})), WHOLE, Hold.UNKNOWN, Hold.OUT),
        (a_state((CLAIM, None, {})), Marks(), Hold.UNKNOWN, Hold.IN_SERVICE),
        (a_state((CLAIM, None, {})), Marks(cordoned=True), Hold.UNKNOWN, Hold.IN_SERVICE),
        (a_state((CLAIM, Status.FAIL, {"failed": {ONE: "no answer"}})), WHOLE, Hold.UNKNOWN, Hold.OUT),
        (a_state(CLAIMED, ("h/r/b/release", None, {})), WHOLE, Hold.OUT, Hold.OUT),
        (a_state(CLAIMED, ("h/r/b/release", None, {})), Marks(), Hold.OUT, Hold.IN_SERVICE),
        (a_state(CLAIMED, ("h/r/b/release", Status.OK, DONE)), WHOLE, Hold.IN_SERVICE, Hold.OUT),
        (a_state(CLAIMED, ("h/r/b/drain", None, {})), Marks(), Hold.OUT, Hold.IN_SERVICE),
        (
            a_state(CLAIMED, ("h/r/b/quarantine", Status.OK, DONE)),
            Marks("", "", "run-1", True),
            Hold.QUARANTINED,
            Hold.QUARANTINED,
        ),
        (
            a_state(CLAIMED, ("h/r/b/quarantine", Status.OK, DONE)),
            Marks("", "", "run-1", False),
            Hold.QUARANTINED,
            Hold.MARKED,
        ),
        (
            a_state(CLAIMED, ("h/r/b/quarantine", Status.OK, DONE)),
            Marks(),
            Hold.QUARANTINED,
            Hold.IN_SERVICE,
        ),
    ],
)
def test_the_node_has_the_last_word(state: RunState, now: Marks, by_journal: Hold, by_node: Hold) -> None:
    assert held(state, (ONE,))[ONE].hold is by_journal
    assert held(state, (ONE,), {ONE: now})[ONE].hold is by_node


def test_what_does_not_agree_is_said_with_what_to_do() -> None:
    stripped = held(a_state(CLAIMED), (), {ONE: Marks("", "run-1", "", True)})[ONE]
    assert "removed its claim" in stripped.why
    assert f"knowngood clear {ONE}" in stripped.why


def test_old_runs_are_forgotten_at_a_runs_end() -> None:
    """The last ones are kept, as the cluster file says; this run is one of them."""
    world = a_world()
    for number in range(4):
        world.records = []
        engine = an_engine(world, run=f"run-{number}")
        engine.cluster = replace(engine.cluster, runs_kept=1)
        world.bad = sick("gpu-1")
        engine.run()
    left = {key.partition("/")[0] for key in world.saved}
    assert left == {"run-3"}
