"""Which nodes meet which: rounds of disjoint pairs, so that a bad link can be told from a bad node. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Pair = tuple[str, str]
Round = tuple[Pair, ...]


def rounds(nodes: Sequence[str], most: int) -> tuple[Round, ...]:
    """At most so many rounds of a round-robin tournament (the circle method: one stays, the others turn).

    The pairs of a round are disjoint and may run side by side; nobody meets another twice; of an odd number each
    sits out one round at most. No rounds for fewer than two nodes.
    """
    seats: list[str | None] = [*dict.fromkeys(nodes)]
    if len(seats) < 2:
        return ()
    if len(seats) % 2:
        seats.append(None)
    half = len(seats) // 2
    found: list[Round] = []
    for _ in range(min(most, len(seats) - 1)):
        facing = zip(seats[:half], reversed(seats[half:]), strict=True)
        found.append(tuple((a, b) for a, b in facing if a is not None and b is not None))
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return tuple(found)


def together(judged: Sequence[str], partners: Sequence[str], most: int) -> tuple[str, ...]:
    """The nodes that meet: those that are judged, and as many of the partners outside as give each judged one `most`
    others to meet; none where a judged node would be alone."""
    spare = [node for node in dict.fromkeys(partners) if node not in judged]
    wanted = max(0, most + 1 - len(judged))
    found = (*dict.fromkeys(judged), *spare[:wanted])
    return found if len(found) > 1 else ()
