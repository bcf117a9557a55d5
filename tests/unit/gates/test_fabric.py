"""The gate `fabric`: what pairs measured, against floor, baseline and median; whose it is, and what is not known."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import pytest

from knowngood.gate.fabric import NCCL, Judged, pairs_told
from knowngood.gate.meeting import Meeting
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.planner.pairs import rounds

from .conftest import gate, verdict

GATE = gate("fabric")
LIMITS = {"minGbPerSecond": 360, "minAllReduceGBps": 250, "minBaselineRatio": 0.95}
Told = dict[str, dict[str, Any]]
NODES = ("a", "b", "c")
PROFILE = Profile("p", "x", 8, "H200", "10de:2335", True, 8, "CX7", "dma-buf", {}, (), Location("test"))


def part(node: str, rail: int) -> str:
    return f"{node}:{rail}/1"


def link(one: str, other: str, rail: int) -> dict[str, Any]:
    return {
        "rail": rail,
        "ends": {n: part(n, rail) for n in (one, other)},
        "gbps": {one: 391.0, other: 390.0},
        "latencyUs": 3.8,
        "own": {},
        "dead": "",
        "why": "",
        "plain": [],
    }


def told(nodes: tuple[str, ...] = NODES, rails: int = 2) -> Told:
    """Healthy documents of a whole tournament; a pair's two ends share one result, as they do on the wire."""
    found: Told = {n: {"node": n, "rounds": [], "parts": [part(n, r) for r in range(rails)]} for n in nodes}
    for one, other in combinations(nodes, 2):
        own = {n: {"found": [], "via": {"NET/IB/GDRDMA": 8}} for n in (one, other)}
        nccl = {"busGBps": 380.0, "wrong": 0, "ranks": 16, "hosts": 2, "own": own}
        links = [link(one, other, rail) for rail in range(rails)]
        for here, there in ((one, other), (other, one)):
            found[here]["rounds"].append({"with": there, "links": links, "nccl": nccl, "why": ""})
    return found


def between(documents: Told, one: str, other: str) -> dict[str, Any]:
    """The result of a pair."""
    (found,) = [r for r in documents[one]["rounds"] if r["with"] == other]
    return dict(found)


def judged(
    node: str, documents: Told, missing: dict[str, str] | None = None, baselines: Any = None, **limits: Any
) -> tuple[str, str, Any]:
    meeting = Meeting(rounds(NODES, 3), documents, missing or {}, "it is alone", baselines or {})
    return verdict(
        GATE.test_fabric,
        node=node,
        meeting=meeting,
        profile=PROFILE,
        limits={**LIMITS, **limits},
        baseline=(baselines or {}).get(node),
    )


def verdicts(documents: Told, **more: Any) -> dict[str, str]:
    return {node: judged(node, documents, **more)[0] for node in NODES}


def test_a_rail_that_both_ends_have_lost_is_no_pass() -> None:
    """Neither tells a link of it, so there is none to be bad."""
    _, _, before = judged("a", told())
    found, reason, _ = judged("a", told(rails=1), baselines={"a": before.measured})
    assert (found, reason) == ("inconclusive", "measured before the change, and not now: a:1/1")


def test_a_link_that_takes_far_longer_than_the_others_is_bad_without_a_baseline() -> None:
    documents = told()
    assert judged("a", documents)[0] == "pass"
    for other in ("b", "c"):
        between(documents, "a", other)["links"][1]["latencyUs"] = 400.0
    found, reason, _ = judged("a", documents)
    assert (found, "takes 400 us, the median of all links is " in reason) == ("fail", True)


@pytest.mark.parametrize("wrong", [None, "", [], {}, False, "0"])
def test_values_that_were_not_counted_were_not_checked(wrong: Any) -> None:
    documents = told()
    for other in [n for n in NODES if n != "a"]:
        between(documents, "a", other)["nccl"]["wrong"] = wrong
    assert judged("a", documents)[0] in ("inconclusive", "fail")


def test_healthy_pairs_pass_and_ports_are_kept_by_their_address() -> None:
    found, reason, notes = judged("a", told())
    assert (found, reason) == ("pass", "")
    assert notes.measured["ports"] == {
        "a:0/1": {"rate": 390.0, "us": 3.8},
        "a:1/1": {"rate": 390.0, "us": 3.8},
        "nccl": {"rate": 380.0},
    }
    assert notes.measured["partners"] == ["b", "c"]
    assert sorted(map(sorted, notes.measured["pairs"])) == [["a", "b"], ["a", "c"]], (
        "of what was planned, its own"
    )
    assert notes.measured["parts"] == ["a:0/1", "a:1/1"]


@pytest.mark.parametrize(("rate", "expected"), [(360.0, "pass"), (359.9, "fail"), (0.0, "inconclusive")])
def test_the_slower_way_counts_and_the_floor_may_be_reached(rate: float, expected: str) -> None:
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["links"][0]["gbps"]["a"] = rate
    assert judged("a", documents)[0] == expected


@pytest.mark.parametrize(("before", "expected"), [(410.5, "pass"), (411.0, "fail")])
def test_a_rate_is_compared_with_the_worse_of_both_ports_own(before: float, expected: str) -> None:
    kept = {n: {"ports": {part(n, 0): {"rate": before, "us": 3.8}}} for n in ("a", "b")}
    assert judged("a", told(("a", "b"), 1), baselines=kept)[0] == expected
    kept["b"]["ports"][part("b", 0)]["rate"] = 380.0
    assert judged("a", told(("a", "b"), 1), baselines=kept)[0] == "pass"


def test_a_port_that_is_slow_with_both_is_its_nodes_alone() -> None:
    documents = told()
    for other in ("b", "c"):
        between(documents, "a", other)["links"][1]["gbps"]["a"] = 196.0
    assert verdicts(documents) == {"a": "fail", "b": "pass", "c": "pass"}
    assert "its port a:1/1 is bad with b, c" in judged("a", documents)[1]


def test_a_link_between_good_ports_fails_both_ends_and_says_so() -> None:
    documents = told()
    between(documents, "b", "c")["links"][0]["dead"] = "retry counter exceeded"
    assert verdicts(documents) == {"a": "pass", "b": "fail", "c": "fail"}
    for node in ("b", "c"):
        assert "both ends are good with others" in judged(node, documents)[1]


def test_below_the_median_of_all_links_is_slow_without_any_floor() -> None:
    documents = told()
    for other in ("b", "c"):
        between(documents, "a", other)["links"][0]["gbps"]["a"] = 349.0
    assert verdicts(documents, minGbPerSecond=0)["a"] == "fail"
    assert verdicts(documents, minGbPerSecond=0, minPoolRatio=0.85)["a"] == "pass"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"busGBps": 249.0}, "fail"),
        ({"busGBps": None, "why": "mpiexec is not in this image"}, "inconclusive"),
        ({"wrong": 3}, "fail"),
        ({"wrong": 3, "ranks": 8, "hosts": 1}, "fail"),
    ],
)
def test_nccl_is_judged_like_a_rail_of_its_own(said: dict[str, Any], expected: str) -> None:
    documents = told(("a", "b"))
    between(documents, "a", "b")["nccl"].update(said)
    found, reason, _ = judged("a", documents)
    assert found == expected
    assert said.get("why", "") in reason


UNNAMED = {"words": "NCCL's log names no transport", "ok": None, "rank": 0, "bus": "18000"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"wrong": None}, "values were not checked"),
        ({"ranks": 0, "hosts": 0}, "where the all-reduce's ranks ran is not told"),
        ({"ranks": None}, "where the all-reduce's ranks ran is not told"),
        ({"ranks": 8, "hosts": 1}, "ran as 8 ranks on 1 hosts, not as 16 on 2"),
        ({"ranks": 14, "hosts": 2}, "ran as 14 ranks on 2 hosts, not as 16 on 2"),
        ({"own": {"b": {"found": []}}}, "what NCCL's log says is not told"),
        ({"own": {"a": {"found": [UNNAMED]}, "b": {"found": []}}}, "names no transport"),
    ],
)
def test_what_nccl_did_not_tell_is_inconclusive_unless_another_meeting_told_it(
    said: dict[str, Any], words: str
) -> None:
    documents = told(("a", "b"))
    between(documents, "a", "b")["nccl"].update(said)
    found, reason, _ = judged("a", documents)
    assert (found, words in reason) == ("inconclusive", True), reason
    documents = told()
    between(documents, "a", "b")["nccl"].update(said)
    found, reason, _ = judged("a", documents)
    assert (found, words in reason) == ("pass", True), reason


def test_a_meeting_that_was_not_good_tells_nothing_for_another() -> None:
    """What c is blamed for told all of a's part; the only good all-reduce of a did not."""
    documents = told()
    for other in ("a", "b"):
        between(documents, "c", other)["nccl"]["busGBps"] = 249.0
    assert verdicts(documents) == {"a": "pass", "b": "pass", "c": "fail"}
    between(documents, "a", "b")["nccl"]["own"]["a"]["found"] = [UNNAMED]
    found, reason, _ = judged("a", documents)
    assert (found, "names no transport" in reason) == ("inconclusive", True), reason
    assert verdicts(documents) == {"a": "inconclusive", "b": "pass", "c": "fail"}


def test_what_a_log_does_not_tell_is_held_against_no_partner() -> None:
    documents = told(("a", "b"))
    between(documents, "a", "b")["nccl"]["own"]["b"]["found"] = [UNNAMED]
    assert [judged(node, documents)[0] for node in ("a", "b")] == ["pass", "inconclusive"]


def test_a_figure_of_one_hosts_ranks_is_in_no_median_and_no_baseline() -> None:
    """Ranks that reach each other by NVLink are faster than any fabric."""
    documents = told()
    between(documents, "a", "b")["nccl"].update(busGBps=900.0, ranks=8, hosts=1)
    assert verdicts(documents) == dict.fromkeys(NODES, "pass")
    assert judged("a", documents)[2].measured["ports"]["nccl"] == {"rate": 380.0}


def test_sockets_are_the_fail_of_the_node_whose_log_names_them() -> None:
    documents = told()
    words = {"words": "NCCL goes by sockets (NET/Socket)", "ok": False, "rank": 3, "bus": "5d000"}
    between(documents, "a", "b")["nccl"]["own"]["b"]["found"] = [words]
    assert verdicts(documents) == {"a": "pass", "b": "fail", "c": "pass"}
    assert "rank 3 (GPU 5d000): NCCL goes by sockets" in judged("b", documents)[1]


def test_memory_that_can_not_be_registered_is_that_nodes() -> None:
    documents = told()
    for other in ("a", "c"):
        one = between(documents, "b", other)["links"][0]
        one["own"], one["gbps"] = {"b": "GPU memory can't be registered with the NIC (errno 14)"}, {}
    assert verdicts(documents) == {"a": "pass", "b": "fail", "c": "pass"}


def test_perftest_without_dma_buf_is_a_fail_where_the_profile_promises_it() -> None:
    documents = told()
    between(documents, "a", "b")["links"][0]["plain"] = ["a"]
    assert verdicts(documents) == {"a": "fail", "b": "pass", "c": "pass"}
    asked = {"node": "a", "meeting": Meeting(rounds(NODES, 3), documents), "limits": LIMITS, "baseline": None}
    peermem = replace(PROFILE, rdma_mode="nvidia-peermem")
    assert verdict(GATE.test_fabric, profile=peermem, **asked)[0] == "pass"


def test_a_partner_that_never_came_is_its_own_trouble() -> None:
    documents = told(("a", "b"))
    for node in ("a", "b"):
        away = {"with": "c", "links": [], "nccl": {}, "why": "it did not come"}
        documents[node]["rounds"].append(away)
    missing = {"c": "the probe pod was not scheduled in 120 s"}
    found = {node: judged(node, documents, missing) for node in NODES}
    assert {node: said[0] for node, said in found.items()} == {"a": "pass", "b": "pass", "c": "inconclusive"}
    assert found["c"][1] == missing["c"]
    assert "with c: it did not come" in found["a"][2].reason
    assert f"c did not: {missing['c']}" in found["a"][2].reason


def test_who_met_nobody_is_inconclusive_and_says_why() -> None:
    assert judged("a", {})[:2] == ("inconclusive", "it is alone")
    documents = {
        "a": {"node": "a", "rounds": [{"with": "b", "links": [], "nccl": {}, "why": "it did not come"}]}
    }
    found, reason, _ = judged("a", documents)
    assert (found, "it did not come" in reason) == ("inconclusive", True)


def test_one_end_is_enough_and_the_one_that_got_further_counts() -> None:
    documents = told(("a", "b"))
    cut = copy.deepcopy(documents["b"])
    cut["rounds"][0].update(nccl={}, why="it went away")
    assert judged("a", {"a": documents["a"], "b": cut})[0] == "pass"
    assert judged("a", {"a": documents["a"]})[0] == "pass"
    assert judged("b", {"a": documents["a"]}, {"b": "its answer can't be read"})[0] == "inconclusive"


@pytest.mark.parametrize("figure", [None, "391", True, float("nan"), float("inf"), -1.0, 0])
def test_what_is_no_figure_was_not_measured(figure: object) -> None:
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["links"][0]["gbps"]["b"] = figure
    assert judged("a", documents)[0] == "inconclusive"
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["nccl"]["busGBps"] = figure
    assert NCCL not in Judged(documents, LIMITS, {}, dma_buf=True, gpus=8).rates["a", "b"]


@pytest.mark.parametrize(
    ("limits", "before", "rate", "expected"),
    [
        ({}, 400.0, 380.0, "pass"),
        ({}, 400.0, 379.9, "fail"),
        ({"minBaselineRatio": 0.5}, 780.0, 390.0, "pass"),
        ({"minBaselineRatio": 0.5}, 780.0, 389.9, "fail"),
    ],
)
def test_a_rate_may_be_just_its_share_of_before(
    limits: dict[str, float], before: float, rate: float, expected: str
) -> None:
    """5 % below it at most, unless the profile says otherwise."""
    own = {k: v for k, v in LIMITS.items() if k != "minBaselineRatio"}
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["links"][0]["gbps"]["a"] = rate
    kept = {n: {"ports": {part(n, 0): {"rate": before, "us": 3.8}}} for n in ("a", "b")}
    meeting = Meeting(rounds(NODES, 3), documents, {}, "", kept)
    given: dict[str, Any] = {"profile": PROFILE, "limits": {**own, **limits}, "baseline": kept["a"]}
    assert verdict(GATE.test_fabric, node="a", meeting=meeting, **given)[0] == expected


@pytest.mark.parametrize(("latency", "expected"), [(6.0, "pass"), (6.1, "fail")])
def test_a_latency_may_be_one_and_a_half_times_that_of_before(latency: float, expected: str) -> None:
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["links"][0]["latencyUs"] = latency
    kept = {n: {"ports": {part(n, 0): {"rate": 390.0, "us": 4.0}}} for n in ("a", "b")}
    assert judged("a", documents, baselines=kept)[0] == expected
    assert judged("a", documents, maxReadLatencyUs=latency)[0] == "pass", "the ceiling may be reached"
    assert judged("a", documents, maxReadLatencyUs=latency - 0.1)[0] == "fail"


@pytest.mark.parametrize(("bus", "expected"), [(342.0, "pass"), (341.9, "fail")])
def test_nccl_may_be_nine_tenths_of_before(bus: float, expected: str) -> None:
    documents = told(("a", "b"), 1)
    between(documents, "a", "b")["nccl"]["busGBps"] = bus
    kept = {n: {"ports": {"nccl": {"rate": 380.0}}} for n in ("a", "b")}
    assert judged("a", documents, baselines=kept)[0] == expected
    assert judged("a", documents, baselines=kept, minAllReduceRatio=0.5)[0] == "pass"


@pytest.mark.parametrize(("rate", "expected"), [(351.0, "pass"), (350.9, "fail")])
def test_three_links_make_a_median_of_which_nine_tenths_are_enough(rate: float, expected: str) -> None:
    documents = told(rails=1)
    for one, other in combinations(NODES, 2):
        between(documents, one, other)["links"][0]["gbps"] = {one: 390.0, other: 390.0}
    between(documents, "a", "b")["links"][0]["gbps"]["a"] = rate
    assert judged("a", documents, minGbPerSecond=0)[0] == expected
    two = told(("a", "b"), 2)
    between(two, "a", "b")["links"][0]["gbps"]["a"] = 100.0
    assert judged("a", two, minGbPerSecond=0)[0] == "pass", "two links have no median"


def test_a_port_that_is_bad_with_one_partner_alone_may_be_the_way_to_it() -> None:
    documents = told()
    between(documents, "a", "b")["links"][0]["gbps"]["a"] = 100.0
    documents["a"]["rounds"] = [one for one in documents["a"]["rounds"] if one["with"] == "b"]
    documents["c"]["rounds"] = [one for one in documents["c"]["rounds"] if one["with"] == "b"]
    assert "its port a:0/1 or the way to it is bad with b" in judged("a", documents)[1]


def test_what_the_baseline_keeps_is_the_best_with_anybody() -> None:
    documents = told(rails=1)
    one = between(documents, "a", "b")["links"][0]
    one["gbps"], one["latencyUs"] = {"a": 380.0, "b": 381.0}, 5.5
    assert judged("a", documents)[2].measured["ports"]["a:0/1"] == {"rate": 390.0, "us": 3.8}
    one["gbps"], one["latencyUs"] = {"a": 395.0, "b": 396.0}, 2.5
    assert judged("a", documents)[2].measured["ports"]["a:0/1"] == {"rate": 395.0, "us": 2.5}


def test_wrong_values_of_an_all_reduce_are_told_and_unchecked_ones_too() -> None:
    documents = told(("a", "b"))
    between(documents, "a", "b")["nccl"]["wrong"] = 3
    assert "NCCL gives 3 wrong values of an all-reduce" in judged("a", documents)[1]
    between(documents, "a", "b")["nccl"]["wrong"] = None
    assert judged("a", documents)[:2] == ("inconclusive", "the all-reduce's values were not checked")


def test_less_than_one_of_anything_is_a_figure_too() -> None:
    """Neither a floor nor a median is made up where there is none."""
    documents = told(("a", "b"), 1)
    slow = between(documents, "a", "b")
    slow["links"][0].update(gbps={"a": 0.5, "b": 0.5}, latencyUs=0.5)
    slow["nccl"]["busGBps"] = 0.5
    found, reason, notes = judged("a", documents, minGbPerSecond=0, minAllReduceGBps=0)
    assert (found, reason) == ("pass", "")
    assert notes.measured["ports"] == {"a:0/1": {"rate": 0.5, "us": 0.5}, "nccl": {"rate": 0.5}}


def test_the_end_that_got_further_tells_of_a_pair() -> None:
    less, more = link("a", "b", 0), link("a", "b", 0)
    less["gbps"] = {"a": 391.0}
    done = {"busGBps": 380.0, "wrong": 0, "ranks": 16, "hosts": 2}
    steps: list[dict[str, Any]] = [
        {"links": []},
        {"links": [], "why": "it never came"},
        {"links": [less]},
        {"links": [more]},
        {"links": [more], "why": "the line broke"},
        {"links": [less], "nccl": done},
    ]
    for worse, better in pairwise(steps):
        for first, second in ((worse, better), (better, worse)):
            told_ = {"a": {"rounds": [{"with": "b", **first}]}, "b": {"rounds": [{"with": "a", **second}]}}
            assert pairs_told(told_)[frozenset("ab")].items() >= better.items()
