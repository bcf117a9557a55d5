"""One way to wait: it ends with the value, with a name for what did not come, or at once when cancelled."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import count

import pytest

from knowngood.adapters.clock import SystemClock, pause
from knowngood.model.errors import DeadlineExceeded, Interrupted
from knowngood.ports.cancel import Cancel


def test_the_first_true_value_is_returned() -> None:
    numbers = count()
    got = SystemClock().wait_for(
        lambda: next(numbers) == 2, deadline=10, what="x", cancel=Cancel(), every=0.01
    )
    assert got is True
    assert next(numbers) == 3


def test_a_deadline_names_what_did_not_come() -> None:
    with pytest.raises(DeadlineExceeded, match="the driver: not within 0 s"):
        SystemClock().wait_for(lambda: None, deadline=0.05, what="the driver", cancel=Cancel(), every=0.01)


def test_a_condition_is_asked_once_more_at_the_deadline() -> None:
    began = time.monotonic()

    def late() -> bool:
        return time.monotonic() - began >= 0.2

    assert SystemClock().wait_for(late, deadline=0.2, what="x", cancel=Cancel(), every=60)


def test_a_cancel_wins_over_a_long_pause() -> None:
    cancel = Cancel()
    calls = count()

    def condition() -> None:
        if next(calls) == 1:
            cancel.set("enough")

    with pytest.raises(Interrupted, match="enough"):
        SystemClock().wait_for(condition, deadline=60, what="x", cancel=cancel, every=30)


def test_a_part_stops_with_the_whole_and_the_whole_goes_on_without_it() -> None:
    whole = Cancel()
    one, other = whole.part(), whole.part()
    one.set("abort")
    assert (one.is_set(), other.is_set(), whole.is_set()) == (True, False, False)
    whole.set("SIGTERM")
    assert (one.reason, other.reason) == ("abort", "SIGTERM"), "the first reason stays"
    assert whole.part().is_set(), "a part of what has stopped never starts"


@pytest.mark.parametrize(("elapsed", "expected"), [(0.0, 0.1), (5.0, 0.5), (600.0, 3.0)])
def test_a_young_wait_looks_often_and_an_old_one_rarely(elapsed: float, expected: float) -> None:
    assert pause(elapsed, longest=3.0) == pytest.approx(expected)


def test_now_is_rfc_3339_in_utc_with_milliseconds() -> None:
    text = SystemClock().now()
    assert text.endswith("Z")
    assert len(text) == len("2026-08-22T03:15:00.000Z")
    assert datetime.fromisoformat(text).utcoffset() is not None
