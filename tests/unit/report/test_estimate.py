"""Times to go are measured in this run, and bounded from below until every kind of step was seen."""

from __future__ import annotations

import pytest
from tests.unit.engine.scene import a_plan, a_world, an_engine
from tests.unit.report.played import Played, calm, undone

from knowngood.model.state import fold
from knowngood.report.estimate import Estimate, estimate, steps_of, words


def at(run: Played, window_end: str = "") -> Estimate:
    return estimate(a_plan(), fold(run.records), soak=10, window_end=window_end, now=run.records[-1].time)


def test_the_steps_of_an_undisturbed_run_are_those_that_the_engine_takes() -> None:
    run = calm()
    assert list(steps_of(a_plan())) == list(fold(run.records).intended)


def test_before_the_first_ring_it_is_a_lower_bound() -> None:
    assert not at(calm().until("hop-1/ring-0/batch-1/claim")).exact


def test_after_the_first_ring_only_the_last_steps_are_unknown_and_time_runs_down() -> None:
    early, late = at(calm().until("hop-1/ring-1/declare")), at(calm().until("hop-1/ring-2/declare"))
    assert late.left < early.left
    assert late.elapsed > early.elapsed


def test_at_the_end_nothing_is_left() -> None:
    assert at(calm()).left == 0


def test_while_undoing_only_the_undo_is_left() -> None:
    forward, back = at(undone().until("hop-1/ring-0/confirm")), at(undone().until("hop-1/ring-0/undo/drain"))
    assert back.left < forward.left


def test_a_second_way_back_is_not_counted_as_done_by_the_first() -> None:
    world = a_world()
    world.bad = lambda request, n, w: "Xid 79" if n == "gpu-1" and w.nodes[n].loads > 1 else ""
    assert an_engine(world).run().end is not None
    world.bad = lambda *_: ""
    engine = an_engine(world)
    engine.roll_back()
    engine.run()
    run = Played(tuple(world.records), world.files)
    early, late = (at(run.until(f"hop-1/ring-0/undo-2/{verb}")) for verb in ("drain", "verify"))
    assert early.left > late.left > 0


def test_an_undo_must_start_so_early_that_it_ends_in_the_window() -> None:
    run = calm().until("hop-1/ring-1/declare")
    found = at(run, "2026-08-22T06:00:00+02:00")
    assert found.undo == 70  # seven of its verbs were measured by then, ten seconds each
    assert found.undo_by == "2026-08-22T05:58:50+02:00"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.84, "0.8 s"),
        (12.3, "12 s"),
        (200, "3 min 20 s"),
        (1200, "20 min"),
        (7500, "2 h 05 min"),
        (-3, "0 s"),
    ],
)
def test_seconds_for_people(seconds: float, text: str) -> None:
    assert words(seconds) == text
