"""A run has one truth, its checkpoint: a journal that is behind adopts it, one that differs is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.unit.engine.fakes import FakeCheckpoint, snapshot
from tests.unit.engine.scene import RINGS, a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, OLD, Killed, World

from knowngood.engine.engine import Engine
from knowngood.model.errors import LockHeld, Refused, UsageError
from knowngood.model.record import RecordType, Status
from knowngood.model.state import End, StepResult, fold
from knowngood.model.truth import Standing, standing

DRAIN = "hop-1/ring-1/batch-1/drain"


def killed_at_step(world: World, step: str) -> World:
    """A run on machine A that dies right after it wrote its intent of a step."""
    calm = copy.deepcopy(world)
    an_engine(calm).run()
    world.at("A").kill_after = next(r.seq for r in calm.records if r.step == step)
    with pytest.raises(Killed):
        an_engine(world).run()
    return world


def ended(engine: Engine) -> End:
    end = engine.run().end
    assert end is not None
    return end


def held_by_b(world: World) -> World:
    """Machine A died at a later ring's drain; B took the run over and ended it held, with a node quarantined."""
    world.bad = sick("gpu-4")
    killed_at_step(world, DRAIN)
    assert ended(an_engine(world.at("B"))).name == "held"
    assert world.nodes["gpu-4"].quarantined
    return world.at("A")


def test_a_run_that_ended_elsewhere_is_left_as_it_is() -> None:
    """A types the resume that its own journal still offers."""
    world = held_by_b(a_world())
    nodes, saved = snapshot(world), world.saved["run-1"]
    commits, history = len(world.commits), list(world.history)
    world.bad = lambda *_: ""
    end = ended(an_engine(world))
    assert end == saved.end
    assert (snapshot(world), world.saved["run-1"]) == (nodes, saved)
    assert (len(world.commits), world.history, world.promoted) == (commits, history, [])


def test_a_held_run_is_rolled_back_from_any_machine() -> None:
    for machine in ("A", "B", "C"):
        world = held_by_b(a_world())
        world.bad = lambda *_: ""
        back = an_engine(world.at(machine))
        back.roll_back()
        assert ended(back).name == "restored", machine
        assert {node.version for node in world.nodes.values()} == {OLD}
        assert world.saved["run-1"].end.name == "restored"
        assert ended(an_engine(world.at("A"))).name == "restored", "and A hears of it"


def test_a_rollback_that_was_killed_before_it_was_saved_is_asked_for_again() -> None:
    for machine in ("A", "B", "C"):
        world = held_by_b(a_world())
        world.bad = lambda *_: ""
        reopens = {"A": 1, "B": 0, "C": 2}[machine]  # records before it: what is adopted first
        world.at(machine).kill_after = reopens
        back = an_engine(world)
        back.roll_back()
        with pytest.raises(Killed):
            back.run()
        assert world.records[-1].type is RecordType.REOPENED
        world.at(machine)
        assert ended(an_engine(world)).name == "restored"


def test_a_journal_that_is_behind_adopts_what_another_machine_did() -> None:
    world = killed_at_step(a_world(), DRAIN)
    killed = an_engine(world.at("B"))
    world.kill_after = 12
    with pytest.raises(Killed):
        killed.run()
    done_by_b = set(fold(an_engine(world)._expand(r) for r in world.records).results)
    loads = {name: node.loads for name, node in world.nodes.items()}
    assert ended(an_engine(world.at("A"))).name == "done"
    assert RecordType.TAKEN_OVER in {r.type for r in world.records}
    assert done_by_b - set(world.saved["run-1"].results) == set()
    assert all(world.nodes[n].loads == loads[n] for n in (*RINGS["ring-0"], *RINGS["ring-1"]) if loads[n] > 1)


def test_two_machines_take_turns_at_every_record() -> None:
    """Each dies after a few records, the other goes on: the run ends as an undisturbed one does."""
    for turn in (6, 9):
        world = a_world()
        end = None
        for number in range(80):
            world.at("AB"[number % 2]).kill_after = turn
            with suppress(Killed):
                end = an_engine(world).run().end
                break
        assert end is not None
        assert end.name == "done", turn
        assert {node.version for node in world.nodes.values()} == {NEW}
        assert all(node.loads == 2 for node in world.nodes.values()), "no driver is loaded twice"
        assert len(world.commits) == 1 + len(RINGS)


def test_a_runner_that_was_overtaken_writes_no_more() -> None:
    world = killed_at_step(a_world(), DRAIN)
    sleeper = an_engine(world)
    checkpoint = sleeper.ports.checkpoint
    assert checkpoint.load("run-1") is not None
    world.at("B").kill_after = 9
    with pytest.raises(Killed):
        an_engine(world).run()
    with pytest.raises(LockHeld):
        checkpoint.save(replace(sleeper._state, seq=sleeper._state.seq + 50))


def test_a_journal_that_tells_another_story_is_refused_and_both_are_named() -> None:
    """The checkpoint was brought back from a backup: it lacks what was done since."""
    world = a_world()
    world.at("A")
    states = []

    class Watched(FakeCheckpoint):
        def save(self, state: object, *, heed: bool = False) -> str:
            mode = super().save(state, heed=heed)  # type: ignore[arg-type]
            states.append(self.world.saved["run-1"])
            return mode

    engine = an_engine(world)
    engine.ports = replace(engine.ports, checkpoint=Watched(world))
    world.kill_after = 40
    with pytest.raises(Killed):
        engine.run()
    world.at("A").saved["run-1"] = states[10]
    written, history = len(world.records), list(world.history)
    with pytest.raises(Refused, match="its checkpoint in the cluster at") as refused:
        an_engine(world).run()
    assert "this machine's journal of run run-1 is at" in str(refused.value)
    assert (len(world.records), world.history, world.saved["run-1"]) == (written, history, states[10])
    assert world.lease[0] == "", "and the Lease is given back"


def test_a_run_whose_checkpoint_is_gone_is_not_begun_anew() -> None:
    world = killed_at_step(a_world(), DRAIN)
    del world.saved["run-1"]
    history = list(world.history)
    with pytest.raises(Refused, match="no checkpoint of it"):
        an_engine(world.at("A")).run()
    nowhere = an_engine(world.at("C"))
    nowhere.known = True
    with pytest.raises(UsageError, match="no checkpoint in the cluster"):
        nowhere.run()
    assert (world.history, world.records) == (history, [])


def test_the_fence_counts_on_where_the_lease_was_deleted() -> None:
    world = killed_at_step(a_world(), DRAIN)
    before = world.lease[1]
    world.lease = ("", 0)
    fences: list[int] = []
    engine = an_engine(world.at("A"))
    real = engine.ports.lock.acquire

    def acquire(*args: object, **more: object) -> int:
        fences.append(real(*args, **more))  # type: ignore[arg-type]
        return fences[-1]

    engine.ports.lock.acquire = acquire  # type: ignore[method-assign]
    assert ended(engine).name == "done"
    assert fences == [before + 1]
    assert world.saved["run-1"].fence == before + 1


def test_a_runner_that_slept_after_it_took_the_lease_writes_nothing_over_a_newer_one() -> None:
    """Its Lease ran out meanwhile, another machine went on under the next fence and was stopped."""
    world = killed_at_step(a_world(), DRAIN).at("A")
    sleeper = an_engine(world)

    def meanwhile() -> None:
        world.at("B").strike_at = len(world.moments) + 9
        with pytest.raises(Killed):
            an_engine(world).run()
        world.at("A")

    world.strike_at, world.meanwhile = len(world.moments), meanwhile
    written = len(world.records)
    with pytest.raises(LockHeld, match="under a newer Lease than ours"):
        sleeper.run()
    assert len(world.records) == written
    assert world.saved["run-1"].fence == 3


def test_an_end_that_was_not_saved_is_saved_by_a_resume() -> None:
    calm = a_world()
    an_engine(calm).run()
    world = a_world().at("A")
    world.kill_after = len(calm.records) - 1
    with pytest.raises(Killed):
        an_engine(world).run()
    (listed,) = FakeCheckpoint(world).runs()
    assert listed.end == ""
    history = list(world.history)
    assert ended(an_engine(world.at("A"))).name == "done"
    (listed,) = FakeCheckpoint(world).runs()
    assert listed.end == "done"
    assert world.history == history


def test_records_and_checkpoint_say_who_and_with_which_version() -> None:
    world = a_world()
    engine = an_engine(world.at("A"))
    engine.runner = {"who": "ada@a", "version": "1.2"}
    world.kill_after = 20
    with pytest.raises(Killed):
        engine.run()
    assert world.records[0].detail["who"] == "ada@a"
    assert (world.saved["run-1"].who, world.saved["run-1"].version) == ("ada@a", "1.2")
    other = an_engine(world.at("B"))
    other.runner = {"who": "ben@b", "version": "1.3"}
    ended(other)
    resumed = next(r for r in world.records if r.type is RecordType.RESUMED)
    assert (resumed.detail["who"], resumed.detail["version"]) == ("ben@b", "1.3")
    (listed,) = FakeCheckpoint(world).runs()
    assert (listed.who, listed.version, listed.cluster, listed.end) == ("ben@b", "1.3", "ams-prod", "done")
    assert (listed.from_release, listed.to_release, listed.changed) == ("r580", "r595", True)


def test_only_a_run_that_a_human_holds_can_be_rolled_back() -> None:
    world = a_world()
    an_engine(world).run()
    again = an_engine(world)
    again.roll_back()
    with pytest.raises(UsageError, match="done"):
        again.run()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: s, Standing.SAME),
        (
            lambda s: replace(s, results={**s.results, s.open: StepResult(Status.OK, ended="t")}),
            Standing.SAME,
        ),
        (lambda s: replace(s, intended=s.intended[:-1], open="", seq=s.seq - 1), Standing.SAME),
        (lambda s: replace(s, fence=s.fence - 1, intended=s.intended[:-1]), Standing.BEHIND),
        (lambda s: replace(s, fence=s.fence + 1, intended=(*s.intended, "x/y")), Standing.DIVERGED),
        (lambda s: replace(s, results={"a": StepResult(Status.OK, ended="t")}), Standing.DIVERGED),
        (lambda s: replace(s, fence=0, results={**s.results, "a": StepResult(Status.OK)}), Standing.BEHIND),
        (lambda s: replace(s, fence=0, intended=(*s.intended, "x/y"), open="x/y"), Standing.BEHIND),
        (
            lambda s: replace(
                s,
                fence=0,
                intended=(*s.intended, "x/y"),
                open="x/y",
                results={**s.results, "a": StepResult(Status.OK)},
            ),
            Standing.DIVERGED,
        ),
        (
            lambda s: replace(
                s, fence=0, results={**s.results, **dict.fromkeys("ab", StepResult(Status.OK))}
            ),
            Standing.DIVERGED,
        ),
    ],
)
def test_how_a_journal_stands_to_the_checkpoint(change: Callable[[object], object], found: Standing) -> None:
    world = killed_at_step(a_world(), DRAIN)
    there = world.saved["run-1"]
    assert standing(change(there), there) is found  # type: ignore[arg-type]
    assert standing(fold(()), there) is Standing.BEHIND
    assert standing(fold(()), replace(there, end=End("held", 5))) is Standing.ENDED  # type: ignore[arg-type]
    assert standing(there, None) is Standing.GONE
    assert standing(fold(()), None) is Standing.NEW
