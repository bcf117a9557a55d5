"""A question's answer: the cheapest sound way, as states of the whole problem."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.planner.search.a_star import cheapest
from knowngood.planner.search.polish import polished
from knowngood.planner.search.problem import Indexes
from knowngood.planner.search.question import Question
from knowngood.planner.search.reduce import reduced
from knowngood.planner.search.space import Space, space


@dataclass(frozen=True, slots=True)
class Solved:
    """The way, its cost, and how many states were looked at to find it."""

    space: Space
    states: tuple[Indexes, ...]
    cost: int
    looked_at: int


def solve(question: Question) -> Solved | None:
    """The cheapest way; None where there is none. TooLarge where that could not be told."""
    whole = space(question)
    small = reduced(whole.problem)
    found = cheapest(small.problem)
    if found is None:
        return None
    states = tuple(small.original(state) for state in found.states)
    return Solved(whole, polished(whole.problem, states), found.cost, found.looked_at)
