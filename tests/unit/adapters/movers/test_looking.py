"""A state's age is the time in which it was looked at: what nobody saw is held against nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knowngood.adapters.movers import looking
from knowngood.adapters.movers.looking import UNSEEN, Stood, until_there


class Time:
    """A clock that goes on by pauses and by what looks take."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(looking, "time", found)
    return found


def seen(clock: Time, looks: Iterator[tuple[float, str]], ends_in: float = 10_000.0) -> str:
    """What is found by looks that take so many seconds each; a state that begins with "!" is there."""

    def look() -> tuple[str | None, str]:
        took, state = next(looks)
        clock.now += took
        return (state, "") if state.startswith("!") else (None, state)

    return until_there(look, age=lambda _state: 4.0, ends_at=clock.now + ends_in, tell=lambda _state: None)


def test_a_state_that_lasts_longer_than_its_age_has_stood(clock: Time) -> None:
    with pytest.raises(Stood, match="Pending for 4 s, 4 s in all"):
        seen(clock, iter([(0.01, "Pending")] * 1000))


def test_a_long_time_without_a_look_is_none_in_which_the_state_was_seen(clock: Time) -> None:
    """Pending before a machine stood still, and once more after it: it is looked at again."""
    assert seen(clock, iter([(0.0, "Pending"), (900.0, "Pending"), (0.0, "!Ready")])) == "!Ready"


def test_looks_that_take_long_age_a_state_all_the_same(clock: Time) -> None:
    with pytest.raises(Stood, match="Pending for"):
        seen(clock, iter([(UNSEEN * 5, "Pending")] * 4))


def test_time_that_is_over_is_over_whatever_was_seen(clock: Time) -> None:
    with pytest.raises(Stood, match="Pending for 2 s, 900 s in all"):
        seen(clock, iter([(0.0, "Pending"), (900.0, "Pending")]), ends_in=60.0)


def test_a_state_that_comes_back_was_no_progress(clock: Time) -> None:
    """A container that crashes is started again and again."""
    turns = [(1.0, "Pending"), (1.0, "CrashLoopBackOff")] * 10
    with pytest.raises(Stood, match=r"Pending for [45] s, by turns with CrashLoopBackOff, \d s in all"):
        seen(clock, iter(turns))


def test_a_state_that_was_left_for_good_is_none_that_comes_back(clock: Time) -> None:
    with pytest.raises(Stood, match=r"Running for 5 s, \d s in all"):
        seen(clock, iter([(0.5, "Pending"), *[(0.5, "Running")] * 20]))
