"""Why there is no plan: the smallest sets of rules and risks that would have to give.

Every way to the goal that is closed now is closed somewhere by rules or risks. Look at all states that can be reached:
whoever wants to leave them must give up something that closes a step out of them. That is a **cut**: at least one of
its names is in every set that opens a way. So: take a smallest set that has a name of each cut known so far; if it
opens a way, no smaller one can, because each must have a name of every cut; if not, it yields another cut.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from knowngood.planner.search.cost import Charge
from knowngood.planner.search.lower_bound import LIMIT, grouped, project
from knowngood.planner.search.problem import Indexes, Problem
from knowngood.planner.search.reduce import reduced

MOST = 4
"""No set of more names is looked for: nobody gives up five rules for an upgrade."""
STATES = 60_000
"""States looked at for one question; beyond that the answer is that it could not be told."""


class Unknown(Exception):
    """There are too many states to tell what would have to give."""


def smallest(problem: Problem, most: int = MOST) -> frozenset[str] | None:
    """A smallest set of rules and risks without which there is a plan; None where no set of `most` names helps.

    Empty where there is a plan anyway. Unknown where there are too many states to tell.
    """
    small = _essential(problem)
    cuts: list[frozenset[str]] = []
    while True:
        given = _hitting(cuts, most)
        if given is None:
            return None
        cut = _cut(small, given)
        if cut is None:
            return given
        if not cut:
            return None
        cuts.append(_tightened(small, given, cut))


def _essential(problem: Problem) -> Problem:
    """The problem without costs, and without the versions that others stand in for whatever is given up."""
    free = tuple(Charge(needs=c.needs) for c in problem.charges)
    small = reduced(replace(problem, charges=free).without(_all_names(problem)), by_name=True)
    return small.problem.without(frozenset())


def _hitting(cuts: list[frozenset[str]], most: int) -> frozenset[str] | None:
    """A smallest set with a name of every cut, the first one by name; None where it takes more than `most`."""
    names = sorted(frozenset().union(*cuts))
    for size in range(most + 1):
        for chosen in combinations(names, size):
            if all(not cut.isdisjoint(chosen) for cut in cuts):
                return frozenset(chosen)
    return None


def _tightened(problem: Problem, given: frozenset[str], cut: frozenset[str]) -> frozenset[str]:
    """A smaller cut: as much as possible is given up that does not open a way."""
    for name in sorted(cut):
        wider = _cut(problem, given | {name})
        if wider is not None and wider:
            given, cut = given | {name}, wider
    return cut


def _cut(problem: Problem, given: frozenset[str]) -> frozenset[str] | None:
    """The names that close steps out of what can be reached when `given` is not heeded; None where the goal can be.

    A few tracks alone may have no way already: then theirs is the cut, found among far fewer states.
    """
    relaxed = problem.without(given)
    for group in grouped(problem, LIMIT):
        found = _leaving(project(relaxed, group))
        if found is not None:
            return found
    return _leaving(relaxed)


def _leaving(problem: Problem) -> frozenset[str] | None:
    """As `_cut`, for the problem as it is."""
    board, every = problem.board, problem.without(_all_names(problem)).board
    seen: set[Indexes] = {problem.start}
    todo = [problem.start]
    names: set[str] = set()
    while todo:
        state = todo.pop()
        if state == problem.goal:
            return None
        if len(seen) > STATES:
            raise Unknown
        mask = board.mask(state)
        for step in board.steps(state, mask):
            if step.state not in seen:
                seen.add(step.state)
                todo.append(step.state)
        for step in every.steps(state, mask):
            closed = set(board.broken(step.state)).union(*(problem.charges[n].needs for n in step.charges))
            names |= closed - problem.relaxed
    return frozenset(names)


def _all_names(problem: Problem) -> frozenset[str]:
    return frozenset(b.name for b in problem.boxes) | frozenset(n for c in problem.charges for n in c.needs)
