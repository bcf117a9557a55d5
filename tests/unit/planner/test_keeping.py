"""Old runs are forgotten; never one that somebody may still need."""

from __future__ import annotations

from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary
from knowngood.planner.keeping import forgettable


def runs(*ends: str, changed: bool = True) -> tuple[RunSummary, ...]:
    """Runs with these ends, the newest first; r1 is the oldest. `open` has not ended."""
    count = len(ends)
    return tuple(
        RunSummary(f"r{count - i}", changed=changed, end="" if end == "open" else end, fence=count - i)
        for i, end in enumerate(ends)
    )


def test_the_last_runs_are_kept_and_the_oldest_go_first() -> None:
    assert forgettable(runs(*["done"] * 5), 3, ()) == ("r1", "r2")
    assert forgettable(runs(*["done"] * 3), 3, ()) == ()
    assert forgettable((), 3, ()) == ()


def test_an_open_run_is_never_forgotten() -> None:
    assert "r1" not in forgettable(runs("done", "done", "done", "open"), 1, ())


def test_a_run_that_was_killed_before_its_first_change_is_forgotten_like_any_other() -> None:
    assert forgettable(runs("refused", "refused", "open", changed=False), 2, ()) == ("r1",)
    assert forgettable(runs("refused", "refused", "open", changed=False), 2, (), at_work="r1") == ()


def test_a_run_that_holds_a_node_is_never_forgotten() -> None:
    for marks in (Marks("r1/1"), Marks(maintenance="r1"), Marks(quarantine="r1")):
        assert forgettable(runs(*["done"] * 4), 1, (marks,)) == ("r2",)


def test_the_runs_that_a_rollback_goes_by_are_never_forgotten() -> None:
    """The newest that changed the cluster and was not undone has the say, and the one before once that is undone."""
    assert forgettable(runs("restored", "restored", "held", "done", "done"), 1, ()) == ("r1", "r4")


def test_refused_tries_do_not_drive_out_the_run_that_changed_the_cluster() -> None:
    tries = tuple(RunSummary(f"t{i}", end="refused", fence=20 - i) for i in range(5))
    assert forgettable((*tries, RunSummary("r1", changed=True, end="restored")), 2, ()) == ("t4", "t3", "t2")


def test_the_highest_fence_is_never_forgotten() -> None:
    """A Lease that was deleted counts on from it."""
    first, *rest = reversed(runs(*["restored"] * 4))
    known = (*reversed(rest), RunSummary(first.run, changed=True, end="restored", fence=99))
    assert "r1" not in forgettable(known, 1, ())
