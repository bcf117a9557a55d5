"""An abort from elsewhere: heeded after each step, and in the middle of one that waits for others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeNodes
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.kills import killed
from tests.unit.engine.scene import RINGS, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, Killed, World

from knowngood.engine.engine import Engine
from knowngood.engine.steps import LONG, Verb
from knowngood.model.errors import ExitCode, Interrupted
from knowngood.model.mover import Moving
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import End, fold
from knowngood.model.steppath import StepPath
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome

DRAIN = "hop-1/ring-0/batch-1/drain"


class LongWork(FakeNodes):
    """While the verb waits on a node, somebody asks for an abort and the Lease is renewed."""

    def __init__(self, world: World, mode: str, verb: str, node: str, *, reason: str = "") -> None:
        super().__init__(world)
        self.mode, self.verb, self.node, self.reason = mode, verb, node, reason
        self.cut = 0

    def _wait(self, verb: str, nodes: Sequence[str], cancel: Cancel) -> None:
        if verb == self.verb and self.node in nodes and not self.world.abort:
            self.world.abort = self.mode
            self.world.beat(1.0)
            self.cut += cancel.is_set()
            cancel.check()

    def drain(
        self, nodes: Sequence[str], fence: str, cancel: Cancel, *, users: Collection[str], keep: bool = False
    ) -> Outcome:
        self._wait("undo" if keep else "drain", nodes, cancel)
        return super().drain(nodes, fence, cancel, users=users, keep=keep)

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        self._wait("apply", nodes, cancel)
        return super().apply(nodes, fence, moves, cancel)


def engine_with(world: World, work: LongWork) -> Engine:
    engine = an_engine(world)
    engine.ports = replace(engine.ports, nodes=work)
    return engine


def ended(engine: Engine) -> End:
    end = engine.run().end
    assert end is not None
    return end


@pytest.mark.parametrize("verb", ["drain", "apply"])
def test_an_abort_cuts_a_long_step_and_the_canary_goes_back(verb: str) -> None:
    world = a_world()
    before = snapshot(world)
    work = LongWork(world, "stop", verb, "gpu-1")
    end = ended(engine_with(world, work))
    assert (work.cut, end.name, end.exit_code) == (1, "restored", ExitCode.RESTORED)
    assert "asked to stop" in end.why
    assert snapshot(world) == before


@pytest.mark.parametrize("verb", ["drain", "apply"])
def test_of_a_later_ring_only_the_open_one_goes_back_and_a_human_decides_on_the_proven(verb: str) -> None:
    """Not `restored`: the canary keeps the new version. A rollback then takes that back too."""
    world = a_world()
    before = snapshot(world)
    end = ended(engine_with(world, LongWork(world, "stop", verb, "gpu-3")))
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN)
    assert "ring-1 is as it was, ring-0 moved, proven, and stays" in end.why
    now = snapshot(world)
    assert [n for n in now if now[n] != before[n]] == list(RINGS["ring-0"])
    assert {world.nodes[n].version for n in RINGS["ring-0"]} == {NEW}
    world.abort = ""
    again = an_engine(world)
    again.roll_back()
    assert ended(again).name == "restored"
    assert snapshot(world) == before


def test_a_revert_that_argo_cd_does_not_take_interrupts_the_way_back_and_resume_ends_it() -> None:
    """It says nothing of any node: the open ring stays out of service until Argo CD is mended."""
    world = a_world()
    work = LongWork(world, "stop", "apply", "gpu-3")
    world.broken.add("argo-fails-revert")
    with pytest.raises(Interrupted, match="failed"):
        engine_with(world, work).run()
    assert all(world.nodes[n].claim and world.nodes[n].cordoned for n in RINGS["ring-1"])
    world.broken.clear()
    end = ended(an_engine(world))
    assert (end.name, world.nodes["gpu-3"].version) == ("held", OLD)
    assert "ring-1 is as it was, ring-0 moved, proven, and stays" in end.why


@pytest.mark.parametrize("node", ["gpu-1", "gpu-3"])
def test_an_abort_with_hold_cuts_it_too_and_freezes_what_there_is(node: str) -> None:
    world = a_world()
    end = ended(engine_with(world, LongWork(world, "hold", "drain", node)))
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN)
    assert world.nodes[node].claim, "the node stays ours until a human decides"
    assert world.nodes[node].version == OLD


def test_the_cut_step_has_an_outcome_of_its_own() -> None:
    world = a_world()
    engine_with(world, LongWork(world, "stop", "drain", "gpu-1")).run()
    outcome = next(r for r in world.records if r.step == DRAIN and r.type is RecordType.OUTCOME)
    assert outcome.status is Status.INCONCLUSIVE
    assert fold(world.records).results[StepPath(DRAIN)].abort == "stop"


def test_a_way_back_is_not_cut() -> None:
    """The abort comes while an undo drains: it goes on to its end."""
    world = a_world()
    world.bad = lambda request, node, w: "Xid 31" if node == "gpu-1" and w.nodes[node].version == NEW else ""
    before = snapshot(world)
    work = LongWork(world, "hold", "undo", "gpu-1")
    assert ended(engine_with(world, work)).name == "restored"
    assert work.cut == 0
    assert snapshot(world) == before


def test_a_signal_while_an_abort_is_heeded_interrupts_and_resume_heeds_it() -> None:
    world = a_world()
    before = snapshot(world)
    work = LongWork(world, "stop", "drain", "gpu-1")
    engine = engine_with(world, work)
    beat = engine._heartbeat

    def both(seconds: float) -> None:
        beat(seconds)
        engine.cancel.set("SIGTERM")

    engine._heartbeat = both  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="SIGTERM"):
        engine.run()
    assert ended(an_engine(world)).name == "restored"
    assert snapshot(world) == before


@pytest.mark.parametrize("before_write", [False, True])
@pytest.mark.parametrize(("mode", "end"), [("stop", "restored"), ("hold", "held")])
def test_killed_at_any_record_around_the_cut_resume_ends_the_same(
    mode: str, end: str, before_write: bool
) -> None:
    def play(world: World) -> End:
        return ended(engine_with(world, LongWork(world, mode, "drain", "gpu-1")))

    calm = a_world()
    play(calm)
    for boundary in range(next(r.seq for r in calm.records if r.step == DRAIN), len(calm.records)):
        world = killed(a_world(), boundary, play, before_write=before_write)
        resumed = play(world)
        assert resumed.name == end, f"killed at record {boundary}"
        assert snapshot(world) == snapshot(calm), boundary


def test_an_abort_asked_while_no_runner_lives_is_heeded_before_anything_else_is_done() -> None:
    world = a_world()
    drain = next(r.seq for r in _records_of_a_calm_run() if r.step == DRAIN and r.type is RecordType.INTENT)
    world.kill_after = drain
    with pytest.raises(Killed):
        an_engine(world).run()
    world.dead, world.kill_after, world.abort = False, -1, "hold"
    assert ended(an_engine(world)).name == "held"
    assert DRAIN not in fold(world.records).results


def _records_of_a_calm_run() -> tuple[Record, ...]:
    world = a_world()
    an_engine(world).run()
    return tuple(world.records)


def test_what_writes_to_git_or_gives_nodes_back_is_never_cut() -> None:
    assert not LONG & {Verb.DECLARE, Verb.WAY_BACK, Verb.CLAIM, Verb.RELEASE, Verb.QUARANTINE, Verb.PROMOTE}
