"""The cheapest plan: A* over the states, then the order in which what can't be undone comes last.

Why the answer is the cheapest one. The estimate never says more than the rest of a plan really costs (see `estimate`),
and no hop makes cost so far + estimate smaller. So when the goal leaves the queue, whatever is still in it, and
whatever follows from that, costs at least as much.

Why forward-only hops come as late as they can. Many orders of the same hops cost the same. All cheapest plans have the
same number of hops, and of forward-only ones; written as a row of bits, 1 for a forward-only hop, the smallest number
is the plan whose first forward-only hop is the latest, then its second one, and so on. Each hop adds its own bit to
that number, so a second A*, which walks only where a cheapest plan can still pass, finds it. Equal choices are taken in
the order of tracks, the highest version first: the same question has the same answer every time.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from knowngood.planner.search.cost import FORWARD_ONLY, unpacked
from knowngood.planner.search.lower_bound import Estimate
from knowngood.planner.search.problem import Indexes, Problem

MOST = 1_000_000
"""States looked at before a search gives up: some minutes, and far beyond any real matrix."""


class TooLarge(Exception):
    """The search gave up; nothing is known of whether there is a plan."""


@dataclass(frozen=True, slots=True)
class Found:
    """The cheapest way: every state from start to goal, its cost, and how many states were looked at."""

    states: tuple[Indexes, ...]
    cost: int
    looked_at: int


def cheapest(problem: Problem, estimate: Estimate | None = None, most: int = MOST) -> Found | None:
    """The cheapest way from start to goal; None where there is none. TooLarge after `most` states."""
    if problem.start == problem.goal:
        return Found((problem.start,), 0, 0)
    estimate = estimate or Estimate.of(problem)
    lowest, total = _lowest(problem, estimate, most)
    if total is None:
        return None
    states, more = _latest(problem, estimate, lowest, total, most)
    return Found(states, total, len(lowest) + more)


def _lowest(problem: Problem, estimate: Estimate, most: int) -> tuple[dict[Indexes, int], int | None]:
    """The lowest cost of every state that was looked at, and the goal's, None where it can't be reached.

    Among equal estimates the deepest state comes first, so the search dives where the estimate is exact.
    """
    board, goal, start = problem.board, problem.goal, problem.start
    lowest: dict[Indexes, int] = {start: 0}
    first = estimate(board.mask(start))
    queue = [] if first is None else [(first, 0, 0, start, board.mask(start))]
    number = 0
    done: set[Indexes] = set()
    while queue:
        _, depth, _, state, mask = heapq.heappop(queue)
        if state == goal:
            return lowest, lowest[goal]
        if state in done:
            continue
        done.add(state)
        if len(done) > most:
            raise TooLarge
        so_far = lowest[state]
        for step in board.steps(state, mask):
            cost = so_far + step.cost
            if step.state in done or cost >= lowest.get(step.state, cost + 1):
                continue
            rest = estimate(step.mask)
            if rest is None:
                continue
            lowest[step.state] = cost
            number += 1
            heapq.heappush(queue, (cost + rest, depth - 1, number, step.state, step.mask))
    return lowest, None


def _latest(
    problem: Problem, estimate: Estimate, lowest: dict[Indexes, int], total: int, most: int
) -> tuple[tuple[Indexes, ...], int]:
    """Of the plans that cost `total`, the one whose forward-only hops come last; and the states looked at."""
    board, goal, start = problem.board, problem.goal, problem.start
    hops, closing = unpacked(total).hops, unpacked(total).forward_only
    number = 0
    queue = [(0, 0, 0, start, board.mask(start), 0, closing)]
    late: dict[Indexes, int] = {start: 0}
    came: dict[Indexes, Indexes] = {}
    done: set[Indexes] = set()
    while queue:
        _, depth, _, state, mask, so_far, left = heapq.heappop(queue)
        if state == goal:
            return _way(came, goal), len(done)
        if state in done or -depth >= hops:
            continue
        done.add(state)
        if len(done) > most:
            raise TooLarge
        place = 1 << (hops + depth - 1)
        for step in board.steps(state, mask):
            cost = so_far + step.cost
            rest = estimate(step.mask)
            if rest is None or cost + rest > total or cost > lowest.get(step.state, cost):
                continue
            closes = step.cost >> FORWARD_ONLY
            value = late[state] + (place if closes else 0)
            if value >= late.get(step.state, value + 1):
                continue
            late[step.state], came[step.state] = value, state
            number += 1
            open_left = left - closes  # at best these come last: all ones
            item = (value + (1 << open_left) - 1, depth - 1, number, step.state, step.mask, cost, open_left)
            heapq.heappush(queue, item)
    raise AssertionError("a plan of that cost was found before")


def _way(came: dict[Indexes, Indexes], goal: Indexes) -> tuple[Indexes, ...]:
    way = [goal]
    while way[-1] in came:
        way.append(came[way[-1]])
    return tuple(reversed(way))
