"""Work and waiting are told apart by what a loop asks: its first look is work, each later one is waiting."""

from __future__ import annotations

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.kubeconfig import Access
from knowngood.adapters.waiting import is_waiting, waiting, with_hands, working
from knowngood.ports.cancel import Cancel


class Unasked(Kube):
    """A client that is asked for its headers only."""

    def __init__(self) -> None:
        self.agent = "knowngood-claim"
        self.access = Access(server="https://fake", where="fake", ca="")


def test_what_a_wait_asks_first_is_work_and_waiting_from_then_on() -> None:
    looks: list[bool] = []

    def third() -> bool:
        looks.append(is_waiting())
        return len(looks) == 3

    SystemClock().wait_for(third, deadline=10.0, what="the third look", cancel=Cancel(), every=0.01)
    assert looks == [False, True, True]
    assert not is_waiting()


def test_what_is_done_once_what_was_waited_for_has_happened_is_work() -> None:
    with waiting(), working():
        assert not is_waiting()


def test_hands_wait_where_their_caller_waits() -> None:
    with waiting():
        assert with_hands(lambda _: is_waiting(), [1, 2, 3], 2) == [True, True, True]
    assert with_hands(lambda _: is_waiting(), [1, 2, 3], 2) == [False, False, False]


def test_a_request_says_who_asks_and_whether_it_is_waiting() -> None:
    kube = Unasked()
    assert kube.headers()["User-Agent"] == "knowngood-claim"
    with waiting():
        assert kube.headers()["User-Agent"] == "knowngood-claim (waiting)"
