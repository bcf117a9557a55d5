"""On random small graphs the path is as short as the best of all paths, and among those the highest."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner.matrices import HERE

from knowngood.model.graph import Edges, Risk, Version
from knowngood.planner.edges.path import CHANNELS, path, worker_reboots

VERSIONS = ("4.16.1", "4.16.2", "4.17.1", "4.17.2", "4.17.10", "4.18.0-rc.1", "4.18.1")
EXPRESSIONS = ("16[.]", "2[+]", "^4[.]17.*$", ".*")
PLACE = {v: n for n, v in enumerate(VERSIONS)}


def minor(version: str) -> str:
    return version[:4]


def most(draw: st.DrawFn, versions: tuple[str, ...], missing: int) -> frozenset[str]:
    """All but a few, so that most graphs have several ways."""
    away = st.sets(st.sampled_from(versions), max_size=missing) if versions else st.just(set())
    return frozenset(versions) - draw(away)


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    versions = {v: Version(v, previous=most(draw, VERSIONS[max(0, n - 4) : n], 2)) for v, n in PLACE.items()}
    channels = {
        f"{kind}-{m}": tuple(sorted(most(draw, VERSIONS, 2)))
        for kind in ("stable", "eus")
        for m in ("4.16", "4.17", "4.18")
    }
    risks = {
        name: Risk(
            name,
            draw(st.booleans()),
            "",
            "",
            "high",
            draw(
                st.dictionaries(st.sampled_from(VERSIONS), st.sampled_from(("4[.]16", "2[+]", "^4[.]17.*$")))
            ),
            (),
            HERE,
        )
        for name in ("A", "B")
    }
    return Edges("openshift", versions, graph=True, channels=channels, risks=risks)


def every_path(edges: Edges, a: str, b: str, channel: str, accepted: frozenset[str]) -> list[tuple[str, ...]]:
    """All ways without a version twice, by trying them all."""

    def may(x: str, y: str) -> bool:
        there = edges.channels.get(f"{channel}-{minor(b if channel == 'eus' else y)}", ())
        closed = [
            r.name
            for r in edges.risks.values()
            if r.always
            and r.name not in accepted
            and y in r.targets
            and re.search(r.targets[y], f"{x}+amd64")
        ]
        ahead = PLACE[x] < PLACE[y] <= PLACE[b]
        return ahead and x in edges.versions[y].previous and x in there and y in there and not closed

    if a == b:
        return [(a,)]
    return [(a, *rest) for y in VERSIONS if may(a, y) for rest in every_path(edges, y, b, channel, accepted)]


@settings(max_examples=150, deadline=None)
@given(
    graphs(),
    st.sampled_from(VERSIONS[:3]),
    st.sampled_from(VERSIONS[2:]),
    st.sampled_from(CHANNELS[:1] + CHANNELS[-1:]),
    st.frozensets(st.sampled_from(("A", "B"))),
)
def test_a_path_is_the_best_of_all_and_none_means_there_is_none(
    edges: Edges, a: str, b: str, channel: str, accepted: frozenset[str]
) -> None:
    ways = every_path(edges, a, b, channel, accepted)
    found = path(edges, "openshift", a, b, channel, accepted)
    if found is None:
        assert ways == []
        return
    way = (a, *(hop.to for hop in found.hops))
    fewest = min(len(w) for w in ways)
    assert way == max((w for w in ways if len(w) == fewest), key=lambda w: [PLACE[v] for v in w])
    assert [(h.start, h.to) for h in found.hops] == list(pairwise(way))
    assert found.worker_reboots <= len(found.hops)
    assert channel == "eus" or found.worker_reboots == len(found.hops)


def test_workers_wait_over_the_odd_minor_only_if_they_came_from_an_even_one() -> None:
    assert worker_reboots(("4.16.1", "4.17.1", "4.17.2", "4.18.1"), "eus") == 1
    assert worker_reboots(("4.17.1", "4.17.2", "4.18.1"), "eus") == 2
    assert worker_reboots(("4.16.1", "4.17.1", "4.18.1"), "stable") == 2
    assert worker_reboots(("4.16.1", "4.16.2", "4.17.1", "4.18.1", "4.18.2"), "eus") == 3


def test_a_risk_closes_a_hop_wherever_its_expression_is_found_in_the_start() -> None:
    edges = Edges(
        "openshift",
        {"4.16.1": Version("4.16.1"), "4.17.1": Version("4.17.1", previous=frozenset({"4.16.1"}))},
        graph=True,
        channels={"stable-4.17": ("4.16.1", "4.17.1")},
        risks={"A": Risk("A", True, "", "", "high", {"4.17.1": "16[.]"}, (), HERE)},
    )
    assert path(edges, "openshift", "4.16.1", "4.17.1", "stable") is None
    assert path(edges, "openshift", "4.16.1", "4.17.1", "stable", ("A",)) is not None
