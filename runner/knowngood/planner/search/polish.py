"""Among plans of the same hops at the same cost, the one whose versions in between are the highest.

The search leaves out versions that others stand in for, and does not ask which of two equal ones a person would take.
Newer z-streams carry more fixes, so each version that a plan passes is raised as far as every hop stays as it is: the
same components, the same charge, every state sound.
"""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.planner.search.problem import Indexes, Problem, bits

States = tuple[Indexes, ...]


def polished(problem: Problem, states: States) -> States:
    """The plan with higher versions in between, track by track, the first stop first, until nothing can be raised."""
    raised = True
    while raised:
        raised = False
        for track in range(len(problem.tracks)):
            for first, last in _stops(states, track):
                better = _raised(problem, states, track, first, last)
                if better is not None:
                    states, raised = better, True
    return states


def _stops(states: States, track: int) -> Iterator[tuple[int, int]]:
    """The first and the last state of each version that the track passes, its two ends left out."""
    first = 0
    for place in range(1, len(states)):
        if states[place][track] != states[first][track]:
            if first > 0:
                yield first, place - 1
            first = place


def _raised(problem: Problem, states: States, track: int, first: int, last: int) -> States | None:
    """The same plan with the highest version that can take this stop's place; None where there is no higher one."""
    now = states[first][track]
    for version in _reached(problem, states[first - 1], track):
        if version <= now:
            return None
        changed = tuple(
            (*s[:track], version, *s[track + 1 :]) if first <= place <= last else s
            for place, s in enumerate(states)
        )
        if _same_hops(problem, states, changed, first, last):
            return changed
    return None


def _reached(problem: Problem, state: Indexes, track: int) -> list[int]:
    """Where one hop from a state can bring a track, the highest first."""
    moves = problem.tracks[track].moves.get(problem.context(state), ())
    targets = 0
    for mask in (moves[state[track]] if moves else {}).values():
        targets |= mask
    return list(bits(targets))[::-1]


def _same_hops(problem: Problem, old: States, new: States, first: int, last: int) -> bool:
    """Whether the hops that the change touches exist, move and cost what they did, and lead to sound states."""
    board = problem.board
    return all(
        _moved(new[place], new[place + 1]) == _moved(old[place], old[place + 1])
        and (cost := board.cost_between(new[place], new[place + 1])) is not None
        and cost == board.cost_between(old[place], old[place + 1])
        for place in range(first - 1, last + 1)
    ) and all(board.allowed(new[place]) for place in range(first, last + 1))


def _moved(state: Indexes, after: Indexes) -> list[bool]:
    """Which tracks a hop moves: a version raised to the next stop's would leave that hop without one."""
    return [a != b for a, b in zip(state, after, strict=True)]
