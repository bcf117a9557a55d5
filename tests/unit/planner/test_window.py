"""A ring starts only if it and its undo end before the window does."""

from __future__ import annotations

import pytest

from knowngood.model.errors import UsageError
from knowngood.planner.window import fits, undo_must_start_by

END = "2026-08-22T06:00:00+02:00"


def test_an_undo_begins_its_own_length_before_the_window_ends() -> None:
    assert undo_must_start_by(END, 1800) == "2026-08-22T05:30:00+02:00"
    assert undo_must_start_by(END, 1799.5) == "2026-08-22T05:30:00+02:00", "earlier, never later"


@pytest.mark.parametrize(
    ("now", "fit"),
    [("2026-08-22T03:00:00Z", True), ("2026-08-22T03:00:01Z", False), ("2026-08-22T05:00:00+02:00", True)],
)
def test_way_there_and_back_must_fit(now: str, fit: bool) -> None:
    assert fits(now, 2400, 1200, END) is fit


def test_without_a_window_everything_fits() -> None:
    assert fits("2026-08-22T03:00:00Z", 1e9, 1e9, "")
    assert undo_must_start_by("", 60) == ""


@pytest.mark.parametrize("text", ["tomorrow", "2026-08-22T06:00:00", "2026-02-31T06:00:00Z"])
def test_a_time_without_a_zone_is_no_time(text: str) -> None:
    with pytest.raises(UsageError):
        fits("2026-08-22T03:00:00Z", 1, 1, text)
