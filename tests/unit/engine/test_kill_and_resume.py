"""SIGKILL at every record boundary, then resume: the run ends as an undisturbed one does."""

from __future__ import annotations

import pytest
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.kills import killed
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_runs import ROWS, Row, says_true
from tests.unit.engine.world import Killed, World

from knowngood.model.record import RecordType
from knowngood.model.state import End

LONG = 100
"""Records from which on each boundary is tried at one of its two sides: those beside it do the same to other nodes."""
KILLED_ROWS = [row for row in ROWS if row.end not in ("refused", "inconclusive")]


def prepared(row: Row) -> World:
    world = a_world()
    row.prepare(world)
    return world


def play(row: Row, world: World) -> End:
    state = an_engine(world, batch=row.batch, on_wave_failure=row.on_wave_failure).run()
    assert state.end is not None
    return state.end


def killed_at(row: Row, boundary: int, *, before_write: bool) -> World:
    return killed(prepared(row), boundary, lambda world: play(row, world), before_write=before_write)


@pytest.mark.parametrize("before_write", [False, True], ids=["record written", "effect done, record lost"])
@pytest.mark.parametrize("row", KILLED_ROWS, ids=lambda row: row.name)
def test_resume_ends_as_an_undisturbed_run(row: Row, before_write: bool) -> None:
    """At every boundary: same end, same nodes, same promotions, and no commit made twice."""
    calm = prepared(row)
    before = snapshot(calm)
    end = play(row, calm)
    records = len(calm.records)
    for boundary in range(records) if records < LONG else range(int(before_write), records, 2):
        world = killed_at(row, boundary, before_write=before_write)
        resumed = play(row, world)
        at = f"killed at record {boundary}"
        assert (resumed.name, resumed.exit_code) == (end.name, end.exit_code), f"{at}: {resumed.why}"
        assert resumed.nodes.keys() == end.nodes.keys(), at
        assert snapshot(world) == snapshot(calm), at
        assert world.promoted == calm.promoted, at
        assert world.failures.keys() == calm.failures.keys(), at
        assert [c.trailers for c in world.commits] == [c.trailers for c in calm.commits], at
        says_true(world, resumed.name, before)


def test_a_second_kill_while_resuming_changes_nothing_either() -> None:
    row = next(r for r in ROWS if r.name == "the canary fails a gate")
    calm = prepared(row)
    end = play(row, calm)
    for boundary in range(0, len(calm.records), 3):
        for second in range(8):
            world = killed_at(row, boundary, before_write=bool(second % 2))
            world.kill_after = second
            try:
                play(row, world)
            except Killed:
                world.dead, world.kill_after = False, -1
                assert play(row, world).name == end.name
            assert snapshot(world) == snapshot(calm)


@pytest.mark.parametrize("name", ["all is well", "the canary fails a gate", "a later node fails alone"])
def test_another_machine_takes_over_from_the_checkpoint(name: str) -> None:
    """The journal stays on the laptop that died; the folded state and the files are in the cluster."""
    row = next(r for r in ROWS if r.name == name)
    calm = prepared(row)
    before = snapshot(calm)
    end = play(row, calm)
    for boundary in range(3, len(calm.records)):
        world = killed_at(row, boundary, before_write=bool(boundary % 2))
        world.records, world.files = [], {}
        elsewhere = an_engine(world)
        taken = elsewhere.run().end
        assert world.records[1].type is RecordType.TAKEN_OVER
        for kept in ("cluster_file", "profile_file"):
            assert world.records[0].detail[kept] in world.files
        assert taken is not None
        assert taken.name == end.name, f"killed at record {boundary}: {taken.why}"
        assert snapshot(world) == snapshot(calm), boundary
        says_true(world, taken.name, before)


def test_an_abort_asked_while_no_runner_lives_is_heeded_by_resume() -> None:
    row = ROWS[0]
    before = snapshot(prepared(row))
    for boundary in range(14, 32):  # from the first commit on
        world = killed_at(row, boundary, before_write=False)
        world.abort = "stop"
        assert play(row, world).name == "restored"
        assert snapshot(world) == before
