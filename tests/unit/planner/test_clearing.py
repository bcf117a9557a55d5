"""What giving a node back takes off is ours; which open run forbids it is named."""

from __future__ import annotations

import pytest

from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary
from knowngood.planner.clearing import clearing, holder

WHOLE = Marks("r1/4", "r1", "", True, snapshot=True, cordoned_before=False)


@pytest.mark.parametrize(
    ("marks", "uncordon", "left"),
    [
        (WHOLE, True, ""),
        (Marks("", "", "r1", True, reason=True), True, ""),
        (Marks("r1/4", "r1", "", True, snapshot=True, cordoned_before=True), False, "before we claimed"),
        (Marks("", "", "r1", True, snapshot=True, cordoned_before=True), False, "before we claimed"),
        (Marks("", "r1", "", True), False, "can't be told"),
        (Marks("", "", "", True), False, "can't be told"),
        (Marks("r1/4", "r1", "", False, snapshot=True, cordoned_before=False), False, ""),
    ],
)
def test_a_cordon_is_ours_only_where_snapshot_or_quarantine_says_so(
    marks: Marks, uncordon: bool, left: str
) -> None:
    found = clearing(marks)
    assert found.uncordon is uncordon
    assert left in "".join(found.leave)
    assert bool(found.leave) is bool(left)


def test_everything_of_ours_is_shown_before_it_goes() -> None:
    assert len(clearing(WHOLE).take) == 4
    assert clearing(Marks()).take == ()


@pytest.mark.parametrize(
    ("marks", "known", "at_work", "held_by"),
    [
        (WHOLE, (RunSummary("r1"),), "", "r1"),
        (WHOLE, (RunSummary("r1", end="held"),), "", ""),
        (WHOLE, (RunSummary("r1", end="held"),), "r1", ""),
        (WHOLE, (), "r1", "r1"),
        (WHOLE, (), "r2", ""),
        (WHOLE, (RunSummary("r2"),), "r2", ""),
        (Marks("", "r1", "", True), (RunSummary("r1"),), "", "r1"),
        (Marks("", "", "r1", True), (RunSummary("r1"),), "", "r1"),
        (Marks(), (RunSummary("r1"),), "r1", ""),
    ],
)
def test_an_open_run_that_a_mark_names_holds_the_node(
    marks: Marks, known: tuple[RunSummary, ...], at_work: str, held_by: str
) -> None:
    assert holder(marks, known, at_work) == held_by
