"""The smoke gates: a payload's answer against its baseline and floors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.model.errors import Location
from knowngood.model.matrix import Profile

from .conftest import gate, verdict

TRAINING, INFERENCE = gate("smoke_training"), gate("smoke_inference")
PROFILE = Profile("p", "x", 8, "H200", "10de:233b", False, 8, "CX7", "dma-buf", {}, (), Location("test"))
CUDA: dict[str, Any] = {
    "ok": True,
    "backend": "cuda",
    "reason": "",
    "measured": {"tokensPerSecond": 1000, "allReduceGBps": 200.0, "ranks": 8},
}


def judged(
    probe: dict[str, Any], baseline: Any = None, *, pool: Any = (), nvswitch: bool = False, **limits: Any
) -> tuple[str, str, Any]:
    return verdict(
        TRAINING.test_smoke_training,
        node="gpu-1",
        probe=probe,
        limits={"minThroughputRatio": 0.9, **limits},
        baseline=baseline,
        pool=pool,
        profile=replace(PROFILE, nvswitch=nvswitch),
    )


def test_a_payload_that_worked_passes_with_its_backend() -> None:
    verdict_, _, notes = judged(CUDA)
    assert (verdict_, notes.backend) == ("pass", "cuda")
    assert notes.measured["tokensPerSecond"] == 1000


@pytest.mark.parametrize(
    ("ok", "expected"),
    [(True, "pass"), (False, "fail"), (None, "inconclusive"), ("yes", "inconclusive"), (1, "inconclusive")],
)
def test_only_a_plain_yes_is_ok_and_only_a_plain_no_is_bad(ok: object, expected: str) -> None:
    """What the payload could not measure speaks neither for the node nor against it."""
    found, reason, _ = judged({**CUDA, "ok": ok, "reason": "the loss did not fall"})
    assert found == expected
    assert expected == "pass" or "the loss did not fall" in reason


@pytest.mark.parametrize(("before", "expected"), [(1000, "pass"), (1111, "pass"), (1112, "fail")])
def test_throughput_is_compared_with_the_nodes_own(before: int, expected: str) -> None:
    assert judged(CUDA, {"backend": "cuda", "tokensPerSecond": before, "allReduceGBps": 200})[0] == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"minTokensPerSecond": 1000}, "pass"),
        ({"minTokensPerSecond": 1001}, "fail"),
        ({"minAllReduceGBps": 201}, "fail"),
    ],
)
def test_a_floor_guards_the_baseline_itself(limits: dict[str, Any], expected: str) -> None:
    assert judged(CUDA, **limits)[0] == expected


@pytest.mark.parametrize(
    "figure", [{}, {"tokensPerSecond": "nan"}, {"tokensPerSecond": None}, {"tokensPerSecond": True}]
)
@pytest.mark.parametrize(
    ("limits", "baseline"),
    [({"minTokensPerSecond": 1}, None), ({}, {"backend": "cuda", "tokensPerSecond": 1000})],
)
def test_a_figure_that_was_not_measured_is_not_too_little(figure: Any, limits: Any, baseline: Any) -> None:
    found, reason, _ = judged({**CUDA, "measured": figure}, baseline, **limits)
    assert (found, "tokensPerSecond was not measured" in reason) == ("inconclusive", True)


REFERENCE = {"ok": True, "backend": "reference", "reason": "", "measured": {}}


@pytest.mark.parametrize(
    ("probe", "baseline", "expected"),
    [
        (CUDA, None, "pass"),
        (REFERENCE, None, "inconclusive"),
        ({**REFERENCE, "backend": ""}, None, "inconclusive"),
        (CUDA, {"backend": "reference"}, "inconclusive"),
        ({**REFERENCE, "ok": False, "reason": "7 GPUs"}, None, "fail"),
    ],
)
def test_another_backend_than_the_profiles_proves_nothing(probe: Any, baseline: Any, expected: str) -> None:
    """An image without torch falls back to the CPU: that is no pass, and no fault of the node."""
    assert judged(probe, baseline, backend="cuda")[0] == expected


def test_a_rehearsals_profile_asks_for_the_reference_and_it_is_no_evidence() -> None:
    verdict_, reason, notes = judged(REFERENCE, {"backend": "reference"}, backend="reference")
    assert (verdict_, notes.backend) == ("pass", "reference")
    assert "no evidence" in reason


def test_the_reference_backends_speed_is_not_judged() -> None:
    slow = {"ok": True, "backend": "reference", "reason": "", "measured": {"requestsPerSecond": 1}}
    baseline = {"backend": "reference", "requestsPerSecond": 100_000}
    given = {"probe": slow, "limits": {"minThroughputRatio": 0.9}, "baseline": baseline}
    given |= {"pool": (), "profile": PROFILE}
    assert verdict(INFERENCE.test_smoke_inference, node="gpu-1", **given)[0] == "pass"


EIGHT = [f"GPU-{n}" for n in range(8)]


def full(**changes: Any) -> dict[str, Any]:
    """What a healthy node of eight GPUs measured."""
    pairs = {f"{a}-{b}": 340.0 for a in range(8) for b in range(a + 1, 8)}
    figures = {
        "tokensPerSecond": 1000,
        "allReduceGBps": 480.0,
        "ranks": 8,
        "devices": EIGHT,
        "pairGBps": pairs,
    }
    figures |= {"rankTokensPerSecond": [130.0] * 8, "transports": {"NVLS": 8, "P2P/CUMEM": 8}}
    return {**CUDA, "measured": {**figures, **changes}}


BEFORE = {**full()["measured"], "backend": "cuda"}


def pairs_with(change: float, *pairs: str) -> dict[str, float]:
    return {key: value * (change if key in pairs else 1) for key, value in BEFORE["pairGBps"].items()}


def test_a_node_that_is_as_it_was_passes() -> None:
    assert judged(full(), BEFORE, nvswitch=True, pool=[full()] * 5)[0] == "pass"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"allReduceGBps": 12.0}, "allReduceGBps is 12, before the change 480: below 432"),
        ({"tokensPerSecond": 899}, "tokensPerSecond is 899, before the change 1000: below 900"),
        (
            {"rankTokensPerSecond": [130] * 5 + [90, 130, 130]},
            "rank 5 (GPU-5) computes 90 tokens/s by itself",
        ),
        (
            {"pairGBps": pairs_with(0.5, "2-6")},
            "the link between GPU-2 and GPU-6 gives 170 GB/s, it should be 340",
        ),
        (
            {"pairGBps": pairs_with(0.5, *(f"{min(n, 3)}-{max(n, 3)}" for n in range(8) if n != 3))},
            "every link of GPU-3 is slow: 170 GB/s at worst",
        ),
        ({"transports": {"SHM": 8}}, "NCCL goes by SHM, before the change by NVLS, P2P/CUMEM"),
    ],
)
def test_what_became_slower_is_named(changes: dict[str, Any], words: str) -> None:
    found, reason, _ = judged(full(**changes), BEFORE)
    assert (found, words in reason) == ("fail", True), reason


@pytest.mark.parametrize("figure", sorted(BEFORE.keys() - {"backend"}))
@pytest.mark.parametrize("value", ["away", None])
def test_a_figure_that_vanished_since_the_baseline_is_no_pass(figure: str, value: str | None) -> None:
    """Each of them, whatever the gate makes of it: what is not compared can't be as it was."""
    now = full(**({} if value else {figure: None}))
    if value:
        del now["measured"][figure]
    assert judged(now, BEFORE, nvswitch=True)[0] == "inconclusive"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pairGBps": {"0-1": 340.0}}, "27 of 28 of pairGBps"),
        ({"rankTokensPerSecond": [130.0] * 7}, "1 of 8 of rankTokensPerSecond"),
        ({"rankTokensPerSecond": [130.0] * 7 + [float("nan")]}, "1 of 8 of rankTokensPerSecond"),
        ({"productError": {"fp32": 1e-7}}, "1 of 2 of productError"),
        ({"transports": {}}, "not now: transports"),
    ],
)
def test_a_part_of_a_figure_that_vanished_is_no_pass(changes: dict[str, Any], words: str) -> None:
    before = {**BEFORE, "productError": {"fp32": 1e-7, "fp8": 1e-2}}
    found, reason, _ = judged(full(**{"productError": before["productError"], **changes}), before)
    assert (found, words in reason) == ("inconclusive", True), reason


def test_without_a_number_of_ranks_several_are_not_taken_for_one() -> None:
    assert judged(full(ranks=None))[0] == "inconclusive"


def test_a_gpu_is_known_by_its_uuid_when_its_index_is_another() -> None:
    """After a reboot the devices may be counted otherwise: the slow link of before is no new one."""
    before = {**BEFORE, "pairGBps": pairs_with(0.5, "0-1")}
    turned = {"devices": EIGHT[::-1], "pairGBps": pairs_with(0.5, "6-7")}
    assert judged(full(**turned), before)[0] == "pass"
    assert judged(full(pairGBps=pairs_with(0.5, "6-7")), before)[0] == "fail"


def test_on_an_nvswitch_a_slow_link_shows_without_a_baseline() -> None:
    slow = full(pairGBps=pairs_with(0.5, "2-6"))
    assert judged(slow, nvswitch=True)[0] == "fail"
    assert judged(slow)[0] == "pass", "on PCIe machines pairs differ by where they sit"


@pytest.mark.parametrize(("value", "expected"), [(400, "pass"), (320, "pass"), (300, "fail")])
def test_a_node_that_always_was_slow_shows_beside_others(value: float, expected: str) -> None:
    slow = full(allReduceGBps=value)
    others = [full(allReduceGBps=v) for v in (400, 399, 401)]
    own = {**BEFORE, "allReduceGBps": value}
    found, reason, _ = judged(slow, own, pool=[slow, *others])
    assert (found, "the median of 4 nodes is" in reason) == (expected, expected == "fail")
    assert judged(slow, own, pool=[slow, others[0]])[0] == "pass", "two nodes have no median"
    assert judged(slow, own, pool=[slow, *({**o, "ok": False} for o in others)])[0] == "pass"


def test_one_gpu_needs_no_all_reduce_and_eight_do() -> None:
    alone = {**BEFORE, "ranks": 1, "allReduceGBps": None}
    assert judged(full(ranks=1, allReduceGBps=None), alone)[0] == "pass"
    assert judged(full(allReduceGBps=None), BEFORE)[0] == "inconclusive"
    assert judged(full(), {k: v for k, v in BEFORE.items() if k != "allReduceGBps"})[0] == "inconclusive"


def test_two_gpus_have_an_all_reduce_that_is_judged() -> None:
    two = {"ranks": 2, "devices": EIGHT[:2], "rankTokensPerSecond": [130, 130], "pairGBps": {"0-1": 340}}
    assert judged(full(**two, allReduceGBps=12), {**BEFORE, **two})[0] == "fail"
    assert judged(full(**two), {**BEFORE, **two})[0] == "pass"


def test_figures_that_no_payload_of_ours_gives_are_left_out() -> None:
    strange = {"x-y": 1.0, "0": 1.0, "0-1-2": 1.0, "2-": 1.0, "0-9": 340.0}
    assert judged(full(pairGBps=strange), nvswitch=True)[0] == "pass"
    lonely = full(devices=None, pairGBps={"0-1": 340.0, "0-9": 100.0, "1-9": 340.0})
    found, reason, _ = judged(lonely, nvswitch=True)
    assert (found, "the link between rank 0 and rank 9 gives 100 GB/s" in reason) == ("fail", True)


@pytest.mark.parametrize("value", ["nan", "fast", True, None, "", [], {}])
@pytest.mark.parametrize("baseline", [None, BEFORE], ids=["no baseline", "baseline"])
def test_a_rank_or_a_pair_without_a_figure_is_no_pass(value: Any, baseline: Any) -> None:
    """A payload's NaN comes as a text, and whoever has no figure was left out of every comparison."""
    ranks = [130.0, 130.0, value, *[130.0] * 5]
    assert judged(full(rankTokensPerSecond=ranks), baseline)[0] == "inconclusive"
    pairs = {**full()["measured"]["pairGBps"], "2-5": value}
    assert judged(full(pairGBps=pairs), baseline, nvswitch=True)[0] == "inconclusive"


def test_a_slow_rank_is_named_whoever_before_it_has_no_figure() -> None:
    found, reason, _ = judged(full(rankTokensPerSecond=["nan", *[130.0] * 4, 50.0, 130.0, 130.0]))
    assert (found, f"rank 5 ({EIGHT[5]})" in reason) == ("fail", True)


@pytest.mark.parametrize("value", [0, -1, 0.0])
@pytest.mark.parametrize("name", ["tokensPerSecond", "allReduceGBps", "ranks"])
def test_a_figure_that_is_not_above_zero_was_not_measured(name: str, value: float) -> None:
    found, reason, _ = judged(full(**{name: value}))
    assert (found, f"{name} was not measured" in reason) == ("inconclusive", True)


def test_two_gpus_are_compared_with_each_other() -> None:
    found, reason, _ = judged(
        full(ranks=2, devices=EIGHT[:2], rankTokensPerSecond=[130, 60], pairGBps={"0-1": 340})
    )
    assert (found, "rank 1 (GPU-1)" in reason) == ("fail", True)


SERVED = {"requestsPerSecond": 100.0, "firstTokenP50Ms": 20.0, "nextTokenP99Ms": 8.0, "devices": EIGHT}


@pytest.mark.parametrize(
    ("changes", "limits", "words"),
    [
        ({}, {}, ""),
        ({"firstTokenP50Ms": 29.0, "nextTokenP99Ms": 11.9, "requestsPerSecond": 91}, {}, ""),
        ({"requestsPerSecond": 89}, {}, "requestsPerSecond is 89, before the change 100: below 90"),
        ({"firstTokenP50Ms": 31.0}, {}, "firstTokenP50Ms is 31, before the change 20: above 30"),
        ({"nextTokenP99Ms": 13.0}, {}, "nextTokenP99Ms is 13, before the change 8: above 12"),
        ({}, {"maxFirstTokenP50Ms": 19}, "firstTokenP50Ms is 20, the profile's ceiling is 19"),
        ({"rankTokensPerSecond": [50.0] * 7 + [20.0]}, {}, "rank 7 (GPU-7) computes 20 tokens/s by itself"),
    ],
)
def test_an_inference_that_became_slower_is_named(changes: Any, limits: Any, words: str) -> None:
    probe = {**CUDA, "measured": {**SERVED, **changes}}
    given = {"probe": probe, "limits": limits, "baseline": {**SERVED, "backend": "cuda"}}
    found, reason, _ = verdict(
        INFERENCE.test_smoke_inference, node="gpu-1", pool=(), profile=PROFILE, **given
    )
    assert (found, words in reason) == ("fail" if words else "pass", True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rankTokensPerSecond": [100.0] * 7 + [80.0]}, "pass"),
        ({"rankTokensPerSecond": [100.0] * 7 + [79.9]}, "fail"),
        ({"rankTokensPerSecond": [100.0, 100.0, 80.0] + [100.0] * 5}, "pass"),
        ({"pairGBps": pairs_with(0.8, "2-6")}, "pass"),
        ({"pairGBps": pairs_with(0.79, "2-6")}, "fail"),
    ],
)
def test_four_fifths_of_the_others_are_enough_and_less_is_not(changes: dict[str, Any], expected: str) -> None:
    assert judged(full(**changes), nvswitch=True)[0] == expected


def test_three_ranks_have_a_median_and_two_the_faster_one() -> None:
    def said(*speeds: float) -> str:
        count = len(speeds)
        pairs = {f"{a}-{b}": 340.0 for a in range(count) for b in range(a + 1, count)}
        some = {"ranks": count, "devices": EIGHT[:count], "pairGBps": pairs}
        return judged(full(**some, rankTokensPerSecond=[*speeds]))[0]

    assert [said(100, 81), said(100, 79), said(100, 90, 79), said(100, 90, 71)] == [
        "pass",
        "fail",
        "pass",
        "fail",
    ]


def test_three_gpus_are_enough_to_tell_a_gpu_from_a_link() -> None:
    pairs = {"0-1": 340.0, "0-2": 100.0, "1-2": 100.0}
    three = {"ranks": 3, "devices": EIGHT[:3], "rankTokensPerSecond": [130.0] * 3}
    found, reason, _ = judged(
        full(**three, pairGBps=pairs), {**BEFORE, **three, "pairGBps": dict.fromkeys(pairs, 340.0)}
    )
    assert (found, "every link of GPU-2 is slow: 100 GB/s at worst" in reason) == ("fail", True)
    two = {"ranks": 2, "devices": EIGHT[:2], "rankTokensPerSecond": [130.0] * 2}
    found, reason, _ = judged(
        full(**two, pairGBps={"0-1": 100.0}), {**BEFORE, **two, "pairGBps": {"0-1": 340.0}}
    )
    assert "the link between GPU-0 and GPU-1 gives 100 GB/s" in reason


def test_the_profile_may_ask_for_another_share() -> None:
    slow = full(rankTokensPerSecond=[100.0] * 7 + [60.0], pairGBps=pairs_with(0.6, "2-6"))
    assert judged(slow, nvswitch=True)[0] == "fail"
    assert judged(slow, nvswitch=True, minRankRatio=0.5, minPairRatio=0.5)[0] == "pass"


@pytest.mark.parametrize(("value", "expected"), [(0.5, "pass"), (0.39, "fail")])
def test_pairs_that_are_slow_by_nature_are_compared_with_themselves_alone(
    value: float, expected: str
) -> None:
    two = {"ranks": 2, "devices": ["a", "b"]}
    answer = {**CUDA, "measured": {**CUDA["measured"], **two, "pairGBps": {"0-1": value}}}
    assert judged(answer)[0] == "pass", "nobody says how fast it must be"
    before = {"backend": "cuda", **CUDA["measured"], **two, "pairGBps": {"0-1": 0.49}}
    found, reason, _ = judged(answer, before)
    assert (found, "it should be 0.49" in reason) == (expected, expected == "fail")


def test_a_rank_without_a_device_is_named_by_its_number() -> None:
    some = {"devices": ["a", "b"], "rankTokensPerSecond": [100.0, 100.0, 70.0]}
    answer = {**CUDA, "measured": {**CUDA["measured"], **some}}
    assert "rank 2 (rank 2) computes 70 tokens/s" in judged(answer)[1]


@pytest.mark.parametrize(("others", "expected"), [(2, "fail"), (1, "pass")])
def test_three_nodes_make_a_median(others: int, expected: str) -> None:
    slow = {**CUDA, "measured": {**CUDA["measured"], "tokensPerSecond": 700}}
    assert judged(slow, pool=[slow, *[CUDA] * others])[0] == expected


@pytest.mark.parametrize(("first", "expected"), [(150.0, "pass"), (150.1, "fail")])
@pytest.mark.parametrize("how", ["ceiling", "baseline"])
def test_a_latency_may_be_just_at_its_bound(how: str, first: float, expected: str) -> None:
    figures = {"requestsPerSecond": 10.0, "firstTokenP50Ms": first, "nextTokenP99Ms": 5.0, "ranks": 1}
    before = {"backend": "cuda", **figures, "firstTokenP50Ms": 100.0}
    found = verdict(
        INFERENCE.test_smoke_inference,
        node="gpu-1",
        probe={**CUDA, "measured": figures},
        limits={"maxFirstTokenP50Ms": 150.0} if how == "ceiling" else {},
        baseline=before if how == "baseline" else None,
        pool=(),
        profile=PROFILE,
    )
    assert found[0] == expected, found[1]
