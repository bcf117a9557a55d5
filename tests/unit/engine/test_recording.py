"""A run's record and how the run ends: what is proven stays proven, wherever it can be written down."""

from __future__ import annotations

import json

import pytest
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import World

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode
from knowngood.model.record import Record
from knowngood.model.state import End

LOST = ["matrix-refuses", "matrix-away", "matrix-unreadable", "disk-full"]


def played(world: World) -> End:
    end = an_engine(world).run().end
    assert end is not None
    return end


def outcome(world: World, step: str) -> Record:
    return next(r for r in world.records if r.step == step and r.status)


def breaks(world: World, fault: str) -> None:
    """The matrix can be written when the run begins, and not when it ends."""

    def judged(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == "prove":
            w.broken.add(fault)
        return ""

    world.bad = judged


@pytest.mark.parametrize("fault", LOST)
def test_a_proven_run_whose_record_can_not_be_delivered_is_done_and_keeps_its_evidence(fault: str) -> None:
    world = a_world()
    breaks(world, fault)
    end = played(world)
    assert (end.name, end.exit_code) == ("done", ExitCode.DONE)
    assert world.promoted == []
    told = outcome(world, "promote")
    assert told.detail["undelivered"]
    assert "commit" not in told.detail
    kept = json.loads(world.files[told.files["evidence"]])
    assert (kept["run"], kept["release"]) == ("run-1", "r595")
    assert f"run-1/{told.files['evidence']}" in world.saved, "another machine must be able to deliver it"


def test_what_the_evidence_counts_as_is_kept_with_it_where_it_was_appraised() -> None:
    world = a_world()
    breaks(world, "matrix-refuses")
    played(world)
    assert outcome(world, "promote").detail["status"] == "rehearsed"


def test_a_remote_that_is_away_for_a_moment_is_waited_for() -> None:
    world = a_world()
    breaks(world, "matrix-away")
    engine = an_engine(world)
    wait = engine.ports.clock.wait_for

    def back_again(*args, **more):  # type: ignore[no-untyped-def]
        if more["what"] == "the matrix's remote":
            world.clock += 1
            condition = args[0]

            def later() -> object:
                found = condition()
                world.broken.discard("matrix-away")
                return found

            return wait(later, **more)
        return wait(*args, **more)

    engine.ports.clock.wait_for = back_again  # type: ignore[method-assign]
    end = engine.run().end
    assert end is not None
    assert end.name == "done"
    assert world.promoted == [("r595", "rehearsed")]


@pytest.mark.parametrize("fault", LOST[:2])
def test_restored_stays_restored_where_what_speaks_against_the_release_can_not_be_delivered(
    fault: str,
) -> None:
    world = a_world()
    gpu_1 = sick("gpu-1")

    def judged(request: JudgeRequest, node: str, w: World) -> str:
        if said := gpu_1(request, node, w):
            w.broken.add(fault)
        return said

    world.bad = judged
    assert played(world).name == "restored"
    told = outcome(world, "undo/record")
    assert "not recorded in the matrix" in told.detail["why"]
    assert json.loads(world.files[told.files["evidence"]])["status"] == "failed"


@pytest.mark.parametrize(
    ("fault", "code"), [("matrix-refuses", ExitCode.USAGE), ("matrix-away", ExitCode.INCONCLUSIVE)]
)
def test_a_run_does_not_start_where_its_record_would_not_be_taken(fault: str, code: ExitCode) -> None:
    world = a_world()
    world.broken.add(fault)
    end = played(world)
    assert end.exit_code is code
    assert [c.sha for c in world.commits] == ["c0"], "no commit, not even the no-op one of the way back"
    assert not any(node.claim or node.loads > 1 for node in world.nodes.values())
