"""A bad link is told from a bad node by its partners; what nobody tells apart is said of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.gate.fabric_blame import Blame, Kind, Link, against, blame, unproven
from knowngood.planner.pairs import rounds, together

RAILS = 4


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(count)]


def fabric(
    pairs: Iterable[tuple[str, str]], bad: Callable[[str, str, int], bool], rails: int = RAILS
) -> list[Link]:
    return [Link(a, b, rail, not bad(a, b, rail)) for a, b in pairs for rail in range(rails)]


def said(found: list[Blame]) -> list[tuple[Kind, tuple[str, ...], int | None]]:
    return [(one.kind, one.nodes, one.rail) for one in found]


@given(st.integers(0, 40), st.integers(0, 12))
def test_rounds_are_disjoint_and_nobody_meets_another_twice(count: int, most: int) -> None:
    nodes = names(count)
    found = rounds(nodes, most)
    for one in found:
        assert len({n for pair in one for n in pair}) == 2 * len(one) == count - count % 2
    met = [frozenset(pair) for one in found for pair in one]
    assert len(met) == len({*met})
    if count > 1 and most >= count:
        assert {*met} == {frozenset(pair) for pair in combinations(nodes, 2)}


@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 5))
def test_partners_outside_are_taken_only_where_too_few_are_judged(own: int, spare: int, most: int) -> None:
    judged, outside = names(own), [f"out{n}" for n in range(spare)]
    found = together(judged, [*judged, *outside], most)
    assert found == () if own + spare < 2 else found[:own] == tuple(judged)
    assert len(found) <= max(own, most + 1)


everybody = st.integers(3, 9).map(names)


@given(everybody, st.data())
def test_one_bad_port_is_named_and_nobody_else(nodes: list[str], data: st.DataObject) -> None:
    culprit, rail = data.draw(st.sampled_from(nodes)), data.draw(st.integers(0, RAILS - 1))
    links = fabric(combinations(nodes, 2), lambda a, b, r: culprit in (a, b) and r == rail)
    assert said(blame(links)) == [(Kind.PORT, (culprit,), rail)]
    assert [n for n in nodes if unproven(n, links)] == [culprit]


@given(everybody, st.data())
def test_one_bad_node_is_named_once_for_all_its_ports(nodes: list[str], data: st.DataObject) -> None:
    culprit = data.draw(st.sampled_from(nodes))
    links = fabric(combinations(nodes, 2), lambda a, b, _r: culprit in (a, b))
    assert said(blame(links)) == [(Kind.NODE, (culprit,), None)]
    assert [n for n in nodes if unproven(n, links)] == [culprit]


@given(everybody, st.data())
def test_one_bad_link_is_between_two_good_ports(nodes: list[str], data: st.DataObject) -> None:
    pair = data.draw(st.sampled_from([*combinations(nodes, 2)]))
    rail = data.draw(st.integers(0, RAILS - 1))
    links = fabric(combinations(nodes, 2), lambda a, b, r: (a, b) == pair and r == rail)
    assert said(blame(links)) == [(Kind.WAY, pair, rail)]
    assert not any(unproven(n, links) for n in nodes)


@given(everybody, st.integers(0, RAILS - 1))
def test_a_bad_rail_is_its_switchs(nodes: list[str], rail: int) -> None:
    links = fabric(combinations(nodes, 2), lambda _a, _b, r: r == rail)
    assert said(blame(links)) == [(Kind.RAIL, tuple(sorted(nodes)), rail)]


@given(everybody)
def test_where_nothing_goes_it_is_the_fabric(nodes: list[str]) -> None:
    links = fabric(combinations(nodes, 2), lambda *_: True)
    assert said(blame(links)) == [(Kind.FABRIC, tuple(sorted(nodes)), None)]


@given(st.integers(1, 7).map(lambda half: names(2 * half + 2)), st.data())
def test_three_rounds_find_what_a_whole_tournament_finds(nodes: list[str], data: st.DataObject) -> None:
    """Two partners are enough: each node of a longer ring meets three others."""
    culprit, rail = data.draw(st.sampled_from(nodes)), data.draw(st.integers(0, RAILS - 1))
    pairs = [pair for one in rounds(nodes, 3) for pair in one]
    links = fabric(pairs, lambda a, b, r: culprit in (a, b) and r == rail)
    assert said(blame(links)) == [(Kind.PORT, (culprit,), rail)]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (lambda r: r == 2, [(Kind.EITHER, ("n0", "n1"), 2)]),
        (lambda _r: True, [(Kind.EITHER, ("n0", "n1"), None)]),
        (lambda _r: False, []),
    ],
)
def test_of_two_alone_nobody_tells_which(bad: Callable[[int], bool], expected: object) -> None:
    links = fabric([("n0", "n1")], lambda _a, _b, r: bad(r))
    assert said(blame(links)) == expected


def test_a_partner_that_goes_with_others_is_cleared() -> None:
    """n2 met n1 alone, and n1 is good with n0: it is n2's port, or the way to it; n1 is not named."""
    links = [Link("n0", "n1", 0, good=True), Link("n1", "n2", 0, good=False)]
    assert said(blame(links)) == [(Kind.PORT, ("n2",), 0)]


def test_who_met_only_a_bad_partner_is_neither_blamed_nor_proven() -> None:
    links = [Link("n0", "n1", 0, good=False), Link("n1", "n2", 0, good=False), Link("n2", "n3", 0, good=True)]
    assert said(blame(links)) == [(Kind.PORT, ("n1",), 0)]
    assert [n for n in names(4) if unproven(n, links)] == ["n0", "n1"]


def test_what_was_not_measured_speaks_against_nobody() -> None:
    links = [Link("n0", "n1", 0, good=None, why="it never came"), Link("n0", "n2", 0, good=True)]
    assert blame(links) == []
    assert [*unproven("n1", links)] == [0]
    assert not unproven("n0", links)


anything = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)).filter(lambda k: k[0] < k[1]),
    st.sampled_from([True, False, None]),
    max_size=45,
)


@given(anything)
def test_every_bad_link_is_somebodys_and_nothing_that_goes_is_blamed(
    there: dict[tuple[int, int, int], bool],
) -> None:
    links = [Link(f"n{a}", f"n{b}", rail, good) for (a, b, rail), good in there.items()]
    found = blame(links)
    for link in links:
        if link.good is False:
            assert any(link in one.links and {*one.nodes} & {*link.ends} for one in found)
    for one in found:
        assert all(link.good is False for link in one.links)
        for node in one.nodes if one.kind in (Kind.PORT, Kind.NODE, Kind.EITHER, Kind.RAIL) else ():
            rails = {link.rail for link in links} if one.rail is None else {one.rail}
            assert not any(k.good and node in k.ends and k.rail in rails for k in links)
        assert all(one in against(node, found) for node in one.nodes)
    passing = [n for n in names(6) if not against(n, found) and not unproven(n, links)]
    for node in passing:
        assert all(
            any(k.good and node in k.ends and k.rail == r for k in links) for r in {k.rail for k in links}
        )


def test_two_links_of_four_nodes_that_are_all_bad_are_the_rails() -> None:
    links = [Link("n0", "n1", 2, good=False), Link("n2", "n3", 2, good=False)]
    assert said(blame(links)) == [(Kind.RAIL, ("n0", "n1", "n2", "n3"), 2)]
    links += [Link("n0", "n1", 1, good=True), Link("n2", "n3", 1, good=True)]
    assert said(blame(links)) == [(Kind.RAIL, ("n0", "n1", "n2", "n3"), 2)]


@pytest.mark.parametrize("rails", [2, 3])
def test_two_rails_are_enough_to_tell_a_node_and_the_fabric(rails: int) -> None:
    three, four = [*combinations(names(3), 2)], [*combinations(names(4), 2)]
    assert said(blame(fabric(three, lambda a, b, _: "n0" in (a, b), rails))) == [(Kind.NODE, ("n0",), None)]
    assert said(blame(fabric(four, lambda *_: True, rails))) == [
        (Kind.FABRIC, ("n0", "n1", "n2", "n3"), None)
    ]
    assert said(blame(fabric(three, lambda a, b, _: "n0" in (a, b), 1))) == [(Kind.PORT, ("n0",), 0)]


def test_two_that_met_on_one_rail_alone_are_told_with_that_rail() -> None:
    links = [Link("n0", "n1", 0, good=False), Link("n2", "n3", 0, good=True), Link("n2", "n3", 1, good=True)]
    assert said(blame(links)) == [(Kind.EITHER, ("n0", "n1"), 0)]
