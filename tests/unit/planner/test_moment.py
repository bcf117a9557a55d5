"""Times at the ends of the calendar are refused in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.test_status import GOOD, STANDARD

from knowngood.planner.status import appraise, expiry, moment


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_outside_the_calendar_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment(text)
    assert "its times can't be read" in appraise(replace(GOOD, time=text), STANDARD).because


def test_what_expires_after_the_last_day_has_no_time() -> None:
    with pytest.raises(ValueError, match="is no time"):
        expiry("9999-12-31T00:00:00Z", 90)
