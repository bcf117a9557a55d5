"""How much the rest of a plan costs at least: exact costs of small groups of components, added up.

A group's rest is found by walking backwards from the goal through the states of these components alone, under the
rules that speak about them alone. Whatever a whole plan does, what it does to this group is such a walk, so the
group's exact cost is a lower bound; groups have no component in common, so their costs add up.

Components of different groups that may share a hop would be charged twice for it. So of the groups that such a hop
touches only the one with the longest way is charged: in the others, moves of such components are free.

Which components share a group: those that rules tie together most, as long as their states stay few (LIMIT).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from knowngood.planner.search.problem import Indexes, Problem, Track, cliques

LIMIT = 500
"""States of one group."""


@dataclass(frozen=True)
class Estimate:
    """Calling it gives the least cost from a state to the goal, None where the goal can't be reached.

    `groups`: the bits of a group's tracks, and by the bits of a state in them its rest.
    """

    groups: tuple[tuple[int, dict[int, int]], ...]

    @classmethod
    def of(cls, problem: Problem, limit: int = LIMIT) -> Estimate:
        """Group the problem's tracks and find every group's costs."""
        groups = grouped(problem, limit)
        free = _free(problem, groups)
        offsets = problem.board.offsets
        found = []
        for group in groups:
            rest = _rest(project(problem, group), {k for k, i in enumerate(group) if i in free})
            every = sum(((1 << len(problem.tracks[i].versions)) - 1) << offsets[i] for i in group)
            masks = {
                sum(1 << offsets[i] + v for i, v in zip(group, state, strict=True)): cost
                for state, cost in rest.items()
            }
            found.append((every, masks))
        return cls(tuple(found))

    def __call__(self, mask: int) -> int | None:
        """The sum over the groups, of a state as the board has it."""
        total = 0
        for every, rest in self.groups:
            part = rest.get(mask & every)
            if part is None:
                return None
            total += part
        return total


def grouped(problem: Problem, limit: int) -> tuple[Indexes, ...]:
    """Tracks in groups: the two groups that are tied most become one, as long as it stays small enough."""
    sizes = [len(t.versions) for t in problem.tracks]
    ties: dict[frozenset[int], int] = defaultdict(int)
    for box in problem.boxes:
        for a in box.masks:
            for b in box.masks:
                if a < b:
                    ties[frozenset((a, b))] += 1
    groups = [frozenset({i}) for i in range(len(sizes))]
    while True:
        pairs = [
            (sum(ties[frozenset((i, j))] for i in a for j in b), -prod(sizes[i] for i in a | b), a, b)
            for k, a in enumerate(groups)
            for b in groups[k + 1 :]
            if prod(sizes[i] for i in a | b) <= limit
        ]
        tied = [p for p in pairs if p[0]]
        if not tied:
            return tuple(tuple(sorted(g)) for g in groups)
        _, _, one, other = max(tied, key=lambda p: (p[0], p[1], -min(p[2] | p[3])))
        groups = [g for g in groups if g not in (one, other)] + [one | other]


def project(problem: Problem, group: Indexes) -> Problem:
    """The problem of these tracks alone: rules about others are left out, any catalog and any canary may be there."""
    place = {i: k for k, i in enumerate(group)}
    inside = problem.context_track in place or problem.context_track < 0
    boxes = tuple(
        type(box)(box.name, {place[i]: m for i, m in box.masks.items()})
        for box in problem.boxes
        if all(i in place for i in box.masks)
    )
    together = frozenset((place[a], place[b]) for a, b in problem.together if a in place and b in place)
    return Problem(
        tracks=tuple(_projected(problem.tracks[i], place, any_context=not inside) for i in group),
        boxes=boxes,
        charges=problem.charges,
        together=together,
        context_track=place[problem.context_track] if inside and problem.context_track >= 0 else -1,
        contexts=problem.contexts if inside else (),
        relaxed=problem.relaxed,
    )


def _projected(track: Track, place: dict[int, int], *, any_context: bool) -> Track:
    """The track as it looks when only the tracks of `place` are known."""
    moves = track.moves
    if any_context:
        joined: list[dict[int, int]] = [defaultdict(int) for _ in track.versions]
        for of_context in track.moves.values():
            for version, targets in enumerate(of_context):
                for number, mask in targets.items():
                    joined[version][number] |= mask
        moves = {"": tuple(joined)}
    canary = tuple({place[i]: m for i, m in c.items() if i in place} for c in track.canary)
    return Track(track.name, track.versions, track.start, track.goal, moves, canary)


def _free(problem: Problem, groups: tuple[Indexes, ...]) -> set[int]:
    """The tracks whose moves cost nothing in their own group, because a hop with them may be charged in another one."""
    of = {i: number for number, group in enumerate(groups) for i in group}
    shared = [c for c in cliques(len(problem.tracks), problem.together) if len({of[i] for i in c}) > 1]
    weight: dict[
        int, tuple[int, int]
    ] = {}  # by group: the longest way of a track that shares, then its number
    for i in {i for clique in shared for i in clique}:
        alone = _rest(project(problem, (i,)), set()).get((problem.tracks[i].start,), 0)
        weight[of[i]] = max(weight.get(of[i], (0, 0)), (alone, of[i]))
    return {i for clique in shared for i in clique if weight[of[i]] < max(weight[of[j]] for j in clique)}


def _rest(problem: Problem, free: set[int]) -> dict[Indexes, int]:
    """The cost to the goal of every state that can be reached from the start and reaches the goal."""
    into: dict[Indexes, list[tuple[Indexes, int]]] = defaultdict(list)
    for state, after, cost, moved in _walk(problem):
        into[after].append((state, 0 if free.intersection(moved) else cost))
    rest: dict[Indexes, int] = {}
    queue = [(0, problem.goal)]
    while queue:
        cost, state = heapq.heappop(queue)
        if state in rest:
            continue
        rest[state] = cost
        for before, more in into[state]:
            if before not in rest:
                heapq.heappush(queue, (cost + more, before))
    return rest


def _walk(problem: Problem) -> Iterator[tuple[Indexes, Indexes, int, Indexes]]:
    """Every hop between states that can be reached from the start."""
    board = problem.board
    seen, todo = {problem.start}, [problem.start]
    while todo:
        state = todo.pop()
        for step in board.steps(state, board.mask(state)):
            yield state, step.state, step.cost, step.moved
            if step.state not in seen:
                seen.add(step.state)
                todo.append(step.state)
