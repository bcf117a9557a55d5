"""Looking until something is there: what waiting on a node and waiting on a fleet part share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from knowngood.adapters.clock import pause
from knowngood.adapters.waiting import waiting

A = TypeVar("A")
LONGEST_PAUSE = 5.0
"""Seconds between two looks."""
UNSEEN = 2.0
"""Seconds that a state can have lasted between two looks, beside the pause: what took longer (an API server, or a
machine, that hardly goes on) nobody saw it last."""


class Stood(Exception):
    """One state lasted longer than its age, or time is over. `state`; seconds in it, and of the wait in all.

    `turns`: the states that it came back from, such as those of a container that crashes and is started again.
    """

    def __init__(self, state: str, stood: float, waited: float, turns: Iterable[str] = ()) -> None:
        others = "".join(f", by turns with {other}" for other in turns)
        super().__init__(f"{state} for {stood:.0f} s{others}, {waited:.0f} s in all")
        self.state = state


class _Stays:
    """How long each state was seen in all, and which of them came back."""

    def __init__(self) -> None:
        self.state = ""
        self.turns: dict[str, None] = {}
        self._stood: dict[str, float] = {}

    @property
    def stood(self) -> float:
        """Seconds in the present state, all its times together."""
        return self._stood[self.state]

    def seen(self, state: str, seconds: float) -> bool:
        """What is seen now, so many seconds after the last look, and whether that is another state than then."""
        self._stood[self.state] = self._stood.get(self.state, 0.0) + seconds
        before, self.state = self.state, state
        if state != before and state in self._stood:
            self.turns |= dict.fromkeys((before, state))
        self._stood.setdefault(state, 0.0)
        return state != before

    def over(self, waited: float) -> Stood:
        """It stood too long, or time is over."""
        others = [one for one in self.turns if one != self.state] if self.state in self.turns else ()
        return Stood(self.state, self.stood, waited, others)


def until_there(
    look: Callable[[], tuple[A | None, str]],
    *,
    age: Callable[[str], float],
    ends_at: float,
    tell: Callable[[str], None],
    later: bool = False,
) -> A:
    """Look until it is there: a look returns what it found, or None and the state. Stood where it does not come.

    `age`: seconds that a state may last, all its times together: one that comes back was no progress. `ends_at`: on
    time.monotonic()'s clock. `tell` hears of each new state. `later`: it was asked for just now, so nobody looks before
    the first pause is over.
    """
    began = looked = time.monotonic()
    stays, paused, again = _Stays(), 0.0, later
    if later:
        time.sleep(pause(0.0, LONGEST_PAUSE))
    while True:
        with waiting(again):
            found, state = look()
        again = True
        if found is not None:
            return found
        now = time.monotonic()
        if stays.seen(state, min(now - looked, paused + UNSEEN)):
            tell(state)
        if stays.stood >= age(state) or now >= ends_at:
            raise stays.over(now - began)
        looked, paused = now, pause(now - began, LONGEST_PAUSE)
        time.sleep(paused)
