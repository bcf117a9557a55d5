"""What a run holds of others' work is told by status and on the handover page, and so is what it could not let go."""

from __future__ import annotations

import pytest
from tests.unit.engine.fakes import POOL
from tests.unit.engine.scene import a_cluster, a_plan, a_world
from tests.unit.engine.test_holds import an_engine, holding
from tests.unit.engine.world import World
from tests.unit.report.played import Played

from knowngood.model.text import page
from knowngood.report.handover import handover
from knowngood.report.plan_text import plan_text
from knowngood.report.text import summary_text


def told(world: World, until: str = "") -> tuple[dict[str, str], str, str]:
    """The summary's holds, `status` and the handover page, of the run or of it until a step."""
    run = Played(tuple(world.records), world.files)
    summary = (run.until(until) if until else run).summary
    return dict(summary.holds), page([summary_text(summary)]), handover(summary, a_plan(), a_cluster())


@pytest.fixture(scope="module")
def lifted() -> World:
    world = a_world()
    world.lifts = 1
    an_engine(world).run()
    return world


def test_while_it_goes_on_what_is_held_is_told_with_its_term(lifted: World) -> None:
    holds, status, by_hand = told(lifted, "hop-1/ring-0/baseline")
    assert list(holds) == [POOL]
    assert holds[POOL].startswith("needed until 2026-08-22T")
    assert POOL in status
    assert f"{POOL}: held by this run, needed until" in by_hand.replace("\\", "")
    assert "knowngood clear --holds" in by_hand


def test_what_somebody_lifted_is_told(lifted: World) -> None:
    assert told(lifted, "hop-1/ring-0/batch-1/drain")[0] == {POOL: "somebody had it go on: held again"}


def test_a_step_without_an_answer_leaves_it_open(lifted: World) -> None:
    assert told(lifted, "hold")[0] == {
        "whatever works on its nodes": "may be held: a step that takes holds has no answer"
    }
    assert told(lifted, "let-go")[0] == {POOL: "may still be held: a step that lets go has no answer"}


def test_an_ended_run_tells_only_what_it_could_not_let_go(lifted: World) -> None:
    holds, _, by_hand = told(lifted)
    assert holds == {}
    assert "clear --holds" not in by_hand
    world = a_world()
    world.broken.add("pool-stays")
    an_engine(world).run()
    assert told(world)[0] == {POOL: "403: you may not patch it"}


def test_a_plan_tells_beforehand_whom_it_holds() -> None:
    told = "held while nodes are out, where it is there: machine-config-pool"
    assert told in plan_text(holding(a_plan()))
    assert "held while" not in plan_text(a_plan())
