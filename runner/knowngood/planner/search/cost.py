"""What a plan costs, in the order in which it matters. A cost is one integer, so adding and comparing are one step.

The fields stand side by side in the integer, the most important one highest: comparing two integers compares the
fields one after the other, and no field can reach into the next (see WIDTH).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

WIDTH = 40
"""Bits of one field: a million nodes disturbed ten thousand times over, by a wide margin."""


class Cost(NamedTuple):
    """The fields, the most important one first."""

    forward_only: int = 0  # hops that can't be undone
    no_canary: int = 0  # hops that reach all nodes at once
    reboots: int = 0  # worker reboots x nodes
    drains: int = 0  # drains x nodes
    hops: int = 0
    risk: int = 0  # conditional risks on the edges, weighed


FORWARD_ONLY = WIDTH * (len(Cost._fields) - 1)
"""Shifted right by this, a cost is its forward-only hops."""


def packed(cost: Cost) -> int:
    """The cost as one integer."""
    value = 0
    for field in cost:
        value = value << WIDTH | field
    return value


def unpacked(value: int) -> Cost:
    """The fields of an integer made by `packed`."""
    mask = (1 << WIDTH) - 1
    last = len(Cost._fields) - 1
    return Cost(*(value >> WIDTH * (last - place) & mask for place in range(last + 1)))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one component's move costs by itself. `needs` are risks that hold for everybody: accepted, or no move."""

    forward_only: bool = False
    cluster: bool = False  # it reaches all nodes at once
    reboots: int = 0
    drains: int = 0
    risk: int = 0
    needs: frozenset[str] = frozenset()

    def at_most(self, other: Charge) -> bool:
        """Whether it is no worse than the other one in any field, and asks for no other risk."""
        return (
            self.forward_only <= other.forward_only
            and self.cluster <= other.cluster
            and self.reboots <= other.reboots
            and self.drains <= other.drains
            and self.risk <= other.risk
            and self.needs <= other.needs
        )


def hop_cost(charges: Iterable[Charge]) -> int:
    """What a hop costs in which these move together: one drain and one reboot serve them all, the risks add up."""
    moved = tuple(charges)
    return packed(
        Cost(
            forward_only=int(any(c.forward_only for c in moved)),
            no_canary=int(any(c.cluster for c in moved)),
            reboots=max(c.reboots for c in moved),
            drains=max(c.drains for c in moved),
            hops=1,
            risk=sum(c.risk for c in moved),
        )
    )
