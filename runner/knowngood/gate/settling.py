"""Waiting for nodes to settle: all of a session's nodes together, so that it costs what one node's wait costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from knowngood.adapters.waiting import waiting
from knowngood.model.node import NodeState

LOOK_AGAIN = 1.0  # seconds
Seen = TypeVar("Seen")
Waits = Callable[[NodeState], bool]
Settle = Callable[[Waits, float], Mapping[str, NodeState]]


def settled(
    seen: Mapping[str, Seen],
    look: Callable[[Sequence[str]], Mapping[str, Seen]],
    waits: Callable[[Seen], bool],
    seconds: float,
    every: float = LOOK_AGAIN,
) -> dict[str, Seen]:
    """The nodes once none of them `waits` any more, or `seconds` are over. Only those that wait are looked at again."""
    found, ends = dict(seen), time.monotonic() + seconds
    while (late := [name for name, state in found.items() if waits(state)]) and time.monotonic() < ends:
        time.sleep(every)
        with waiting():
            found |= look(late)
    return found
