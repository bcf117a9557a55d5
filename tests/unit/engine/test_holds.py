"""Others are held while nodes are out, and let go on every exit: by the rows of all runs, and by kills anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeNodes
from tests.unit.engine.fakes import POOL, ports, snapshot
from tests.unit.engine.kills import killed, resumed_at_each
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_standard, a_world
from tests.unit.engine.test_runs import ROWS, Row, sick
from tests.unit.engine.world import Killed, World

from knowngood.engine.engine import Engine
from knowngood.model.errors import ExitCode
from knowngood.model.holding import holds
from knowngood.model.mover import Hold, Specs
from knowngood.model.plan import Plan
from knowngood.model.record import RecordType
from knowngood.model.state import End, RunState
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome

BY_NAME = {row.name: row for row in ROWS}


def holding(plan: Plan) -> Plan:
    movers = {c: replace(spec, holds=("machine-config-pool",)) for c, spec in plan.movers.items()}
    return replace(plan, movers=movers)


class Careful(FakeNodes):
    """No node is taken out while others may act on it."""

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        assert self.world.paused == {POOL: fence.partition("/")[0]}
        return super().claim(nodes, fence, cancel, hold=hold, specs=specs)


def an_engine(world: World, *, batch: int = 2, on_wave_failure: str = "hold") -> Engine:
    world.standard = world.standard or a_standard
    there = replace(ports(world), nodes=Careful(world))
    return Engine(there, holding(a_plan(batch)), a_cluster(on_wave_failure), a_hardware(), "run-1")


def run(world: World, row: Row = ROWS[0]) -> RunState:
    return an_engine(world, batch=row.batch, on_wave_failure=row.on_wave_failure).run()


def ended(state: RunState) -> End:
    assert state.end is not None
    return state.end


def prepared(name: str) -> World:
    world = a_world()
    BY_NAME[name].prepare(world)
    return world


def steps(world: World, *verbs: str) -> list[str]:
    intents = [r.step for r in world.records if r.type is RecordType.INTENT]
    return [step for step in intents if step.rpartition("/")[2] in verbs]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_end_is_as_without_holds_and_lets_go(row: Row) -> None:
    world = prepared(row.name)
    end = ended(run(world, row))
    assert (end.name, end.exit_code) == (row.end, row.exit_code), end.why
    assert world.paused == {}
    if row.end in ("refused", "inconclusive"):
        assert steps(world, "hold") == []  # nothing was held that early


def test_holds_begin_with_the_first_hop_and_end_before_the_whole_is_judged() -> None:
    done, restored = a_world(), prepared("the canary fails a gate")
    run(done)
    assert steps(done, "hold", "window", "let-go", "prove")[:2] == ["hold", "hop-1/ring-0/window"]
    assert steps(done, "let-go", "prove") == ["let-go", "prove"]
    run(restored)
    assert steps(restored, "let-go", "verify")[-2:] == ["let-go", "undo/verify"]


@pytest.mark.parametrize("name", ["all is well", "the canary fails a gate", "a later node fails alone"])
def test_killed_anywhere_a_resume_ends_the_same_and_lets_go(name: str) -> None:
    row, calm = BY_NAME[name], prepared(name)
    end = ended(run(calm, row))
    for at, world, again in resumed_at_each(calm, lambda: prepared(name), lambda w: ended(run(w, row))):
        assert (again.name, again.exit_code) == (end.name, end.exit_code), f"{at}: {again.why}"
        assert world.paused == {}, at
        assert snapshot(world) == snapshot(calm), at


def test_killed_inside_taking_or_letting_go_a_resume_finds_it_and_goes_on() -> None:
    calm = a_world()
    run(calm)
    for moment in (calm.moments.index("held"), calm.moments.index("let go")):
        world = a_world()
        world.strike_at = moment
        with pytest.raises(Killed):
            run(world)
        assert ended(run(world.revived())).name == "done"
        assert world.paused == {}


def test_another_machine_lets_go_what_a_dead_one_held() -> None:
    world = a_world()
    world.kill_after = 20
    with pytest.raises(Killed):
        run(world)
    assert world.paused == {POOL: "run-1"}
    assert ended(run(world.at("another"))).name == "done"
    assert world.paused == {}


@pytest.mark.parametrize(
    ("fault", "end", "code"),
    [
        ("pool-rolls", "inconclusive", ExitCode.INCONCLUSIVE),
        ("certificates-end", "refused", ExitCode.REFUSED),
    ],
)
def test_what_can_not_be_held_ends_the_run_before_its_first_change(
    fault: str, end: str, code: ExitCode
) -> None:
    world = a_world()
    before = snapshot(world)
    world.broken.add(fault)
    found = ended(run(world))
    assert (found.name, found.exit_code) == (end, code), found.why
    assert (snapshot(world), [c.sha for c in world.commits], world.paused) == (before, ["c0"], {})


def test_another_runs_hold_is_not_ours_to_take() -> None:
    world = a_world()
    world.paused = {POOL: "run-0"}
    found = ended(run(world))
    assert (found.name, world.paused) == ("refused", {POOL: "run-0"})
    on, _, after = found.why.partition("ring by ring")
    assert "clear --holds" not in on, "that would move every node on: the way ring by ring comes first"
    assert "knowngood clear --holds; before that it moves its nodes on" in after


@pytest.mark.parametrize("name", ["all is well", "the canary fails a gate", "a later node fails alone"])
def test_what_can_not_be_let_go_is_named_and_a_human_is_asked(name: str) -> None:
    """A run is not silently done, nor restored, while something of others' work still stands still."""
    world = prepared(name)
    world.broken.add("pool-stays")
    state = run(world, BY_NAME[name])
    end = ended(state)
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN)
    assert f"{POOL} could not be let go (403: you may not patch it)" in end.why
    assert holds(state) == {POOL: "403: you may not patch it"}


def test_a_hold_that_is_lifted_once_is_taken_again_and_told() -> None:
    world = a_world()
    world.lifts = 1
    state = run(world)
    assert ended(state).name == "done"
    told = [path for path, result in state.results.items() if result.detail.lifted]
    assert told == ["hop-1/ring-0/batch-1/claim"]


def test_a_hold_that_is_lifted_twice_in_a_row_stops_the_line_before_the_next_claim() -> None:
    world = a_world()
    world.lifts = 2
    state = an_engine(world, batch=1).run()
    end = ended(state)
    assert end.name == "restored"
    assert f"{POOL} was lifted twice in a row" in end.why
    assert [n for n, event, _ in world.history if event == "loaded"] == ["gpu-1", "gpu-1"]
    assert world.paused == {}


def test_a_hold_that_is_always_lifted_does_not_keep_the_way_back() -> None:
    world = prepared("the canary fails a gate")
    world.lifts = 99
    assert ended(run(world)).name == "restored"


def test_an_abort_lets_go() -> None:
    calm = a_world()
    run(calm)
    for mode, boundary in (("stop", 12), ("stop", 24), ("hold", 24)):
        world = a_world()
        killed(world, boundary, run)
        world.abort = mode
        end = ended(run(world))
        assert end.name in ("inconclusive", "restored", "held")
        assert world.paused == {}


def test_a_rollback_of_an_ended_run_holds_anew_and_lets_go_again() -> None:
    world = prepared("a later node fails alone")
    assert ended(run(world)).name == "held"
    world.bad = lambda *_: ""
    engine = an_engine(world)
    engine.roll_back()
    state = engine.run()
    assert ended(state).name == "restored", ended(state).why
    assert steps(world, "hold", "let-go") == ["hold", "let-go", "undo/hold", "undo/let-go"]
    assert (world.paused, holds(state)) == ({}, {})


def test_a_rollback_is_not_kept_by_what_can_not_be_held() -> None:
    world = prepared("a later node fails alone")
    run(world)
    world.bad = sick()
    world.broken |= {"pool-rolls", "certificates-end"}
    engine = Engine(ports(world), holding(a_plan()), a_cluster(), a_hardware(), "run-1")
    engine.roll_back()
    state = engine.run()
    assert ended(state).name == "restored"
    (told,) = [r.detail.why for path, r in state.results.items() if path == "undo/hold"]
    assert "can't be held" in told
    assert "a certificate ends" in told


def test_what_is_left_alone_is_told_and_keeps_nobody() -> None:
    world = a_world()
    world.standard = a_standard
    world.broken |= {"alerts-go-on"}
    state = run(world)
    assert ended(state).name == "done"
    assert [r.detail.why for path, r in state.results.items() if path == "hold"] == ["alerts go on"]


def test_a_plan_that_holds_nobody_has_no_such_steps() -> None:
    world = a_world()
    world.standard = a_standard
    Engine(ports(world), a_plan(), a_cluster(), a_hardware(), "run-1").run()
    assert steps(world, "hold", "let-go") == []
    assert "held" not in world.moments


def test_a_run_that_died_holding_others_is_named_to_whoever_begins_another() -> None:
    """It has committed nothing yet; still `clear` would refuse, since it has not ended: it is to go on, or back."""
    calm = a_world()
    run(calm)
    held = next(n for n, record in enumerate(calm.records) if record.step == "hold" and record.status)
    world = killed(a_world(), held, run)
    world.lease, world.records, world.files = ("", world.lease[1]), [], {}
    another = an_engine(world)
    another.run_id = "run-2"
    end = ended(another.run())
    assert end.exit_code is ExitCode.REFUSED
    assert "knowngood resume run-1, or knowngood rollback run-1" in end.why
    assert world.paused == {POOL: "run-1"}
