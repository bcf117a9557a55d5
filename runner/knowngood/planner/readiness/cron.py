"""Cron schedules as Argo CD reads them: five fields, by the rules of robfig/cron v3. Pure.

They differ from other crons where it decides whether a window is open: a step above one makes a day field a
restriction (`*/2` is no star), Sunday is 0 and never 7, there are no `@daily`, `L` or `#`, and a schedule that no day
fulfils within five years is told as None. Moments are naive: the caller says in which zone they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
GIVEN_UP_AFTER = 5  # years
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the values it allows, and whether it is a plain star."""

    values: frozenset[int]
    star: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule; `weekdays` count from Sunday, 0."""

    minutes: Field
    hours: Field
    days: Field
    months: Field
    weekdays: Field

    def next(self, after: datetime) -> datetime | None:
        """The first time it fires later than `after`; None where that is more than five years away."""
        moment = after.replace(second=0, microsecond=0) + MINUTE
        last = moment.year + GIVEN_UP_AFTER
        while moment.year <= last:
            if moment.month not in self.months.values:
                moment = (moment.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._day(moment):
                moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            elif moment.hour not in self.hours.values:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes.values:
                moment += MINUTE
            else:
                return moment
        return None

    def _day(self, moment: datetime) -> bool:
        """Day of month *or* day of week where both are restricted, else both."""
        day = moment.day in self.days.values
        weekday = moment.isoweekday() % 7 in self.weekdays.values
        return (day and weekday) if self.days.star or self.weekdays.star else (day or weekday)


def parse(text: str) -> Schedule:
    """A schedule of five fields; ValueError says what is wrong with it."""
    if text.startswith(("@", "TZ=", "CRON_TZ=")):
        raise ValueError(f"{text.split(maxsplit=1)[0]} is no schedule of five fields")
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"a schedule has five fields, not {len(fields)}")
    minute, hour, day, month, weekday = fields
    return Schedule(
        _field(minute, 0, 59),
        _field(hour, 0, 23),
        _field(day, 1, 31),
        _field(month, 1, 12, MONTHS),
        _field(weekday, 0, 6, WEEKDAYS),
    )


def _field(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> Field:
    ranges = [_range(part, low, high, names or {}) for part in text.split(",") if part]
    return Field(frozenset().union(*(r.values for r in ranges)), any(r.star for r in ranges))


def _range(text: str, low: int, high: int, names: Mapping[str, int]) -> Field:
    """`5`, `1-5`, `*`, each with an optional `/step`; `5/10` runs to the field's end."""
    span, slash, step_text = text.partition("/")
    first_text, dash, last_text = span.partition("-")
    step = _number(step_text, {}) if slash else 1
    star = first_text in {"*", "?"}
    if star:
        first, last = low, high
    else:
        first = _number(first_text, names)
        last = _number(last_text, names) if dash else (high if slash else first)
    if not low <= first <= last <= high:
        raise ValueError(f"{text} is not within {low}-{high}")
    if step == 0:
        raise ValueError(f"{text} has no step")
    return Field(frozenset(range(first, last + 1, step)), star and step == 1)


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text or 'nothing'} is no number")
    return int(text)
