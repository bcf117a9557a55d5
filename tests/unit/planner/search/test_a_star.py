"""The search against trying everything, on small random problems."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from tests.unit.planner.search.problems import exhaustive, hops, problems, sound

from knowngood.planner.search.a_star import Found, cheapest
from knowngood.planner.search.cost import Cost, packed, unpacked
from knowngood.planner.search.lower_bound import Estimate
from knowngood.planner.search.polish import polished
from knowngood.planner.search.problem import Box, Problem, Track
from knowngood.planner.search.reduce import reduced
from knowngood.planner.search.relax import smallest


def total(problem: Problem, found: Found) -> Cost:
    """What the plan costs by the definition; fails where a step is none or a state in between is unsound."""
    cost = Cost()
    for before, after in pairwise(found.states):
        assert sound(problem, after)
        more = min(c for state, c in hops(problem, before) if state == after)
        cost = Cost(*(a + b for a, b in zip(cost, more, strict=True)))
    return cost


@settings(max_examples=200, deadline=None)
@given(problems())
def test_the_plan_is_sound_and_as_cheap_as_trying_everything(problem: Problem) -> None:
    answer, found = exhaustive(problem), cheapest(problem)
    if answer is None:
        assert found is None
    else:
        assert found is not None
        assert (found.states[0], found.states[-1]) == (problem.start, problem.goal)
        assert unpacked(found.cost) == answer[0] == total(problem, found)


@settings(max_examples=200, deadline=None)
@given(problems())
def test_forward_only_hops_come_as_late_as_in_any_plan_of_that_cost(problem: Problem) -> None:
    answer, found = exhaustive(problem), cheapest(problem)
    if answer is not None and found is not None:
        flags = tuple(
            min(c for state, c in hops(problem, before) if state == after).forward_only
            for before, after in pairwise(found.states)
        )
        assert flags == answer[1]


@settings(max_examples=200, deadline=None)
@given(problems())
def test_leaving_versions_out_changes_neither_cost_nor_order(problem: Problem) -> None:
    small = reduced(problem)
    assert exhaustive(small.problem) == exhaustive(problem)
    found = cheapest(small.problem)
    if found is not None:
        original = Found(tuple(small.original(s) for s in found.states), found.cost, 0)
        assert total(problem, original) == unpacked(found.cost)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_the_estimate_never_says_more_than_the_rest_costs(problem: Problem) -> None:
    for limit in (1, 16, 10_000):
        estimate = Estimate.of(problem, limit)
        found = cheapest(problem, estimate)
        if found is not None:
            first = estimate(problem.board.mask(problem.start))
            assert first is not None
            assert first <= found.cost


def test_a_more_important_field_outweighs_every_lesser_one() -> None:
    assert packed(Cost(0, 1)) > packed(Cost(0, 0, 10**6, 10**6, 10**6, 10**6))
    assert unpacked(packed(Cost(1, 2, 3, 4, 5, 6))) == Cost(1, 2, 3, 4, 5, 6)


def smallest_by_trying(problem: Problem) -> int | None:
    """The size of the smallest set of names without which exhaustive search finds a plan; None for none."""
    names = sorted({b.name for b in problem.boxes} | {n for c in problem.charges for n in c.needs})
    for size in range(len(names) + 1):
        for chosen in combinations(names, size):
            if exhaustive(problem.without(frozenset(chosen))) is not None:
                return size
    return None


@settings(max_examples=150, deadline=None)
@given(problems(max_tracks=3, max_versions=3))
def test_what_would_have_to_give_is_the_smallest_set_that_opens_a_way(problem: Problem) -> None:
    size, found = smallest_by_trying(problem), smallest(problem, most=10)
    if size is None:
        assert found is None
    else:
        assert found is not None
        assert len(found) == size
        assert exhaustive(problem.without(found)) is not None


def test_raising_a_version_in_between_takes_no_hop_away() -> None:
    """The stop at 1 could be raised to 2, the goal: then the last hop would move nothing."""
    free: tuple[dict[int, int], ...] = ({0: 0b110}, {0: 0b100}, {})
    first = Track("a", ("1", "2", "3"), 0, 2, {"": free})
    second = Track("b", ("1", "2"), 0, 1, {"": ({0: 0b10}, {})})
    boxes = (Box("not-yet", {0: 0b001, 1: 0b10}), Box("too-early", {0: 0b100, 1: 0b01}))
    problem = Problem((first, second), boxes)
    found = cheapest(problem)
    assert found is not None
    assert polished(problem, found.states) == ((0, 0), (1, 0), (1, 1), (2, 1))
