"""How fast NVLinks should be where neither profile nor baseline says it; what is told of them in no known words."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster.nvidia_smi import Links, links
from knowngood.gate.nvlinks import link_doubts, link_faults

from .smi import PCIE, SXM, printed
from .test_driver_health import LIMITS, judged

STATUS = printed(SXM, ("nvlink", "-s"))


@pytest.mark.parametrize(
    ("product", "healthy"),
    [
        ("NVIDIA H200", 26.562),
        ("NVIDIA H100 80GB HBM3", 26.562),
        ("NVIDIA H200 NVL", 26.562),
        ("NVIDIA H20", 26.562),
        ("NVIDIA GH200 480GB", 26.562),
        ("NVIDIA B200", 53.125),
        ("NVIDIA GB200", 53.125),
        ("NVIDIA B300 SXM6 AC", 53.125),
        ("NVIDIA A100-SXM4-80GB", 25.0),
        ("Tesla V100-SXM2-32GB", 25.781),
        ("NVIDIA RTX A6000", 14.062),
    ],
)
def test_a_link_at_half_its_makes_rate_is_no_pass_and_one_at_its_rate_is(
    product: str, healthy: float
) -> None:
    assert not [*link_doubts(Links({0: healthy, 1: healthy}, told=True), {}, product)]
    (words,) = link_doubts(Links({0: healthy, 1: healthy / 2}, told=True), {}, product)
    assert words.startswith(f"NVLink 1 runs at {healthy / 2} GB/s and {product} can do ")


def test_a_hundredth_less_than_its_makes_rate_is_that_rate() -> None:
    assert not [*link_doubts(Links({0: 24.75}, told=True), {}, "NVIDIA H200")]
    assert [*link_doubts(Links({0: 24.7}, told=True), {}, "NVIDIA H200")]


@pytest.mark.parametrize("product", ["NVIDIA X900", "", "NVIDIA H2000"])
def test_of_a_make_that_nobody_knows_the_profile_must_say_it(product: str) -> None:
    found = Links({0: 26.562}, told=True)
    (words,) = link_doubts(found, {}, product)
    assert f"who knows what {product or 'such a GPU'} can do: name nvlinkGBps" in words
    assert not [*link_doubts(found, {"nvlinkGBps": 26}, product)]


@pytest.mark.parametrize("found", [Links(), Links(told=True), Links({0: 0.0, 1: 0.0}, told=True)])
def test_a_gpu_without_links_is_in_no_doubt(found: Links) -> None:
    assert not [*link_doubts(found, {}, "NVIDIA X900")]
    assert judged(printed(PCIE), printed(PCIE, ("nvlink", "-s")), seed=PCIE, limits={})[0] == "pass"


def test_one_gpu_whose_links_are_all_slow_is_held_against_the_others_of_its_make() -> None:
    head, middle, tail = STATUS.partition("GPU 5:")
    one, end, rest = tail.partition("GPU 6:")
    slow = head + middle + one.replace("26.562", "13.281") + end + rest
    found, reason, _ = judged(printed(), slow)
    assert (found, "NVLink 0 runs at 13.281 GB/s, others at 26.562" in reason) == ("fail", True)


def test_behind_an_nvswitch_a_gpu_has_links_whatever_the_profile_leaves_out() -> None:
    down = STATUS.replace("26.562 GB/s", "<inactive>")
    limits = {key: value for key, value in LIMITS.items() if key != "nvlinks"}
    found, reason, _ = judged(printed(), down, limits=limits)
    assert (found, "no NVLink is up, and there is an NVSwitch" in reason) == ("fail", True)
    assert judged(printed(), "", limits=limits)[0] == "inconclusive"


@pytest.mark.parametrize("word", ["Sleep", "26562 MB/s", "nan GB/s", "-26.562 GB/s", "1.2.3 GB/s", ""])
def test_a_link_in_words_that_nobody_knows_is_neither_up_nor_down(word: str) -> None:
    odd = STATUS.replace("Link 3: 26.562 GB/s", f"Link 3: {word}", 1)
    found, reason, _ = judged(printed(), odd)
    assert (found, "NVLink 3 is told as " in reason) == ("inconclusive", True)


def test_a_link_that_is_told_twice_is_not_read() -> None:
    (found,) = links("GPU 0: X (UUID: GPU-1)\n\t Link 0: 13.281 GB/s\n\t Link 0: 26.562 GB/s\n").values()
    assert found.unread
    assert not [*link_faults(found, {"nvlinks": 2}, None, 0.0, nvswitch=True)]
