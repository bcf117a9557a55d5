"""Looking until something is there: what waiting on a node and waiting on a fleet part share."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    """One state lasted longer than its age, or time is over. `state`; seconds in it, and of the wait in all."""

    def __init__(self, state: str, stood: float, waited: float) -> None:
        super().__init__(f"{state} for {stood:.0f} s, {waited:.0f} s in all")
        self.state = state


def until_there(
    look: Callable[[], tuple[A | None, str]],
    *,
    age: Callable[[str], float],
    ends_at: float,
    tell: Callable[[str], None],
    later: bool = False,
) -> A:
    """Look until it is there: a look returns what it found, or None and the state. Stood where it does not come.

    `age`: seconds that a state may last. `ends_at`: on time.monotonic()'s clock. `tell` hears of each new state.
    `later`: it was asked for just now, so nobody looks before the first pause is over.
    """
    began = looked = time.monotonic()
    stood, paused = 0.0, 0.0
    state, again = "", later
    if later:
        time.sleep(pause(0.0, LONGEST_PAUSE))
    while True:
        with waiting(again):
            found, now_state = look()
        again = True
        if found is not None:
            return found
        now = time.monotonic()
        stood += min(now - looked, paused + UNSEEN)
        looked = now
        if now_state != state:
            state, stood = now_state, 0.0
            tell(state)
        if stood >= age(state) or now >= ends_at:
            raise Stood(state, stood, now - began)
        paused = pause(now - began, LONGEST_PAUSE)
        time.sleep(paused)
