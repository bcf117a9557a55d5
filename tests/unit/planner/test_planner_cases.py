"""The planner's answers on the shipped OpenShift graph: published ones, and those of a plain search over raw sets."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.graph import Edges
from knowngood.planner.edges.following import edge
from knowngood.planner.edges.path import Path as Found
from knowngood.planner.edges.path import path

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
PATHS = CASES["published"] + CASES["more"]


def named(case: dict[str, Any]) -> Any:
    return pytest.param(case, id="-".join(str(case[k]) for k in list(case)[:3]))


@cache
def openshift() -> Edges:
    return load(matrix_dir()).edges["openshift"]


def found(case: dict[str, Any], *accepted: str) -> Found | None:
    return path(openshift(), "openshift", case["start"], case["goal"], case["channel"], accepted)


def hops(result: Found | None) -> int:
    return -1 if result is None else len(result.hops)


@pytest.mark.parametrize("case", [named(c) for c in PATHS])
def test_the_path_has_the_fewest_hops_and_no_risk_that_holds_for_all(case: dict[str, Any]) -> None:
    result = found(case)
    assert hops(result) == case["hops"]
    always = {name for name, risk in openshift().risks.items() if risk.always}
    assert not [hop for hop in (result.hops if result else ()) if always & set(hop.risks)]


@pytest.mark.parametrize("case", [named(c) for c in PATHS])
def test_accepting_every_risk_gives_the_fewest_hops_of_all(case: dict[str, Any]) -> None:
    assert hops(found(case, *openshift().risks)) == case["any"]


@pytest.mark.parametrize("case", [named(c) for c in CASES["published"]])
def test_the_published_path_is_the_one_with_the_highest_versions(case: dict[str, Any]) -> None:
    result = found(case)
    assert result
    assert [case["start"], *(hop.to for hop in result.hops)] == case["path"]
    assert [list(hop.risks) for hop in result.hops] == case["risks"]
    assert [hop.kind for hop in result.hops] == case["kinds"]


@pytest.mark.parametrize("case", [named(c) for c in CASES["edges"]])
def test_an_edge_is_what_was_published(case: dict[str, Any]) -> None:
    result = edge(openshift(), case["from"], case["to"])
    assert (result.exists, result.kind) == (case["exists"], case["kind"])
    assert (list(result.always), list(result.conditional)) == (case["always"], case["conditional"])


@pytest.mark.parametrize(
    ("start", "goal", "channel", "reboots"),
    [
        ("4.16.20", "4.18.52", "eus", 1),  # a pair
        ("4.16.20", "4.18.52", "stable", 2),  # the same hops, workers follow each
        ("4.20.14", "4.22.9", "eus", 2),  # a z-stream, then a pair
        ("4.14.34", "4.16.55", "stable", 2),
    ],
)
def test_a_pair_of_minors_in_eus_reboots_each_worker_once(
    start: str, goal: str, channel: str, reboots: int
) -> None:
    result = path(openshift(), "openshift", start, goal, channel)
    assert result
    assert result.worker_reboots == reboots


# A search of its own: the files read anew, spans written out by comparing numbers, a plain breadth-first search.


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in version.split("."))


@cache
def raw() -> tuple[dict[str, set[str]], dict[str, set[str]], list[tuple[str, str]]]:
    """Target -> its starts, channel -> its versions, (target, expression) of the risks for every cluster."""
    folder = matrix_dir() / "edges" / "openshift"

    def read(file: Path) -> Any:
        return yaml.load(file.read_text(), Loader=yaml.CSafeLoader)

    releases = [read(file) for file in folder.glob("releases-*.yaml")]
    finals = {v for r in releases for v in [*r["versions"], *r.get("named", "").split()] if "-" not in v}

    def written_out(text: str) -> set[str]:
        words: set[str] = set()
        for word in text.split():
            first, _, last = word.partition("..")
            low, high = (numbers(first), numbers(last)) if last else ((0,), (0,))
            words |= {v for v in finals if low <= numbers(v) <= high} if last else {word}
        return words

    starts = {v: written_out(x["previous"]) for r in releases for v, x in r["versions"].items()}
    channels = {n: written_out(t) for n, t in read(folder / "channels.yaml")["channels"].items()}
    risks = [read(file) for file in (folder / "risks").glob("*.yaml")]
    always = [
        (target, entry["from"])
        for risk in risks
        if risk["always"]
        for entry in risk["edges"]
        for target in written_out(entry["to"])
    ]
    return starts, channels, always


def plain_search(start: str, goal: str, channel: str, *, avoid: bool) -> int:
    starts, channels, always = raw()

    def may(a: str, b: str) -> bool:
        name = f"{channel}-{'.'.join((goal if channel == 'eus' else b).split('.')[:2])}"
        there = channels.get(name, set())
        risky = any(t == b and re.search(e, f"{a}+amd64") for t, e in always)
        return a in there and b in there and numbers(b) <= numbers(goal) and not (avoid and risky)

    layer, seen, count = {start}, {start}, 0
    while layer and goal not in layer:
        layer = {b for b, before in starts.items() for a in before & layer if b not in seen and may(a, b)}
        seen |= layer
        count += 1
    return count if layer else -1


@pytest.mark.parametrize("case", [named(c) for c in CASES["more"]])
def test_a_plain_search_over_the_files_says_the_same(case: dict[str, Any]) -> None:
    ends = (case["start"], case["goal"], case["channel"])
    assert plain_search(*ends, avoid=True) == case["hops"]
    assert plain_search(*ends, avoid=False) == case["any"]


def test_the_shipped_graph_holds_what_was_published() -> None:
    """Counted in the upstream data: a lost span would show here."""
    edges = openshift()
    kinds = {"real": 0, "derived": 0}
    for version in edges.versions.values():
        kinds[version.provenance.value] += len(version.previous)
    assert kinds == {"real": 24742, "derived": 9179}
    assert len(edges.channels) == 33
    assert sum(len(versions) for versions in edges.channels.values()) == 4641
    assert (len(edges.risks), sum(len(risk.targets) for risk in edges.risks.values())) == (85, 1105)
    assert "promql" not in json.dumps([risk.gist for risk in edges.risks.values()]).lower()
