"""Waiting for nodes to settle: all of a session's nodes together, so that it costs what one node's wait costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from knowngood.adapters.waiting import waiting
from knowngood.model.hardware import Hardware
from knowngood.model.node import NodeState

LOOK_AGAIN = 1.0  # seconds
Seen = TypeVar("Seen")
Seconds = Callable[[str], float]
"""How long a node may take."""
Waits = Callable[[NodeState], bool]
Settle = Callable[[Waits, Seconds], Mapping[str, NodeState]]


def settle_seconds(hardware: Hardware, gate: str, default: float) -> Seconds:
    """A gate's `settleSeconds`, by each node's own profile."""
    return lambda node: float(hardware.of(node).gates.get(gate, {}).get("settleSeconds", default))


def settled(
    seen: Mapping[str, Seen],
    look: Callable[[Sequence[str]], Mapping[str, Seen]],
    waits: Callable[[str, Seen], bool],
    seconds: Seconds,
    every: float = LOOK_AGAIN,
) -> dict[str, Seen]:
    """The nodes once none of them `waits` any more, or its seconds are over. Only who waits is looked at again."""
    found, begun = dict(seen), time.monotonic()

    def late() -> list[str]:
        passed = time.monotonic() - begun
        return [name for name, state in found.items() if passed < seconds(name) and waits(name, state)]

    while names := late():
        time.sleep(every)
        with waiting():
            found |= look(names)
    return found
