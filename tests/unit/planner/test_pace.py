"""A ring and its undo are timed by what this run measured."""

from __future__ import annotations

from knowngood.engine.steps import Verb
from knowngood.model.record import Status
from knowngood.model.state import RunState, StepResult
from knowngood.model.steppath import StepPath
from knowngood.planner.pace import PER_BATCH, PER_RING, UNDO, measured, ring_and_undo


def state(**seconds: int) -> RunState:
    """A run in which each verb, named with underscores, took so long."""
    results = {
        StepPath(f"hop-1/ring-0/{verb.replace('_', '-')}"): StepResult(
            Status.OK, started="2026-08-22T03:00:00Z", ended=f"2026-08-22T03:00:{took:02d}Z"
        )
        for verb, took in seconds.items()
    }
    return RunState(results=results)


def test_all_verbs_are_the_engines() -> None:
    assert {*PER_BATCH, *PER_RING, *UNDO} <= set(Verb)


def test_a_verb_takes_the_mean_of_its_steps() -> None:
    again = StepResult(Status.FAIL, started="2026-08-22T04:00:00Z", ended="2026-08-22T04:00:30Z")
    open_ = StepResult(Status.OK, started="2026-08-22T04:00:00Z")
    others = {StepPath("hop-1/ring-1/apply"): again, StepPath("hop-1/ring-2/apply"): open_}
    results = {**state(apply=10).results, **others}
    assert measured(RunState(results=results)) == {"apply": 20}


def test_a_ring_is_its_batches_its_soak_and_the_way_through_git() -> None:
    known = state(declare=1, deliver=2, claim=3, drain=4, apply=5, judge=6, verify=7)
    assert ring_and_undo(known, batches=2, soak=100) == (1 + 2 + 2 * (3 + 4 + 5 + 6) + 100, 28)


def test_before_the_first_delivery_the_proven_way_back_stands_for_it() -> None:
    assert ring_and_undo(state(way_back=9), batches=1, soak=0) == (9, 9)
    assert ring_and_undo(state(way_back=9, deliver=2), batches=1, soak=0) == (2, 2)
