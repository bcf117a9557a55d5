"""driver_health: what may stand at its limit, and what the profile and the baseline change about it."""

from __future__ import annotations

import re

import pytest

from knowngood.adapters.cluster.nvidia_smi import parse
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.driver import LinksTold, Reports, report_of
from knowngood.model.hardware import Hardware

from .smi import PCIE, SXM, edited, printed, profile
from .test_driver_health import GATE, LIMITS, judged

COUNTED = [
    ("volatile", "sram_uncorrectable_parity", 0, "SRAM errors since the load"),
    ("volatile", "sram_uncorrectable_secded", 0, "SRAM errors since the load"),
    ("volatile", "dram_uncorrectable", 0, "uncorrectable memory errors since the load"),
    ("aggregate", "sram_uncorrectable_parity", 4, "SRAM errors ever"),
    ("aggregate", "sram_uncorrectable_secded", 4, "SRAM errors ever"),
    ("remapped_rows", "remapped_row_unc", 512, "remapped rows"),
]


def counting(part: str, name: str, count: int) -> str:
    """The healthy report with one counter of the first GPU at that count."""
    head, _, rest = printed().partition(f"<{part}>")
    return f"{head}<{part}>{rest.replace(f'<{name}>0<', f'<{name}>{count}<', 1)}"


@pytest.mark.parametrize(("part", "name", "allowed", "words"), COUNTED)
def test_each_counter_may_stand_at_its_limit_and_not_above(
    part: str, name: str, allowed: int, words: str
) -> None:
    assert judged(counting(part, name, allowed))[0] == "pass"
    found, reason, _ = judged(counting(part, name, allowed + 1))
    assert (found, f"{allowed + 1} {words}, {allowed} allowed" in reason) == ("fail", True)


@pytest.mark.parametrize("name", ["sram_uncorrectable_parity", "sram_uncorrectable_secded"])
def test_the_first_error_since_the_baseline_is_told_within_any_limit(name: str) -> None:
    _, _, before = judged(printed())
    found, reason, _ = judged(counting("aggregate", name, 1), baseline=before)
    assert (found, "grew from 0 to 1" in reason) == ("fail", True)


@pytest.mark.parametrize(("share", "expected"), [(0.995, "pass"), (0.98, "fail")])
def test_a_link_may_be_one_hundredth_slower_than_the_others(share: float, expected: str) -> None:
    slow = printed(SXM, ("nvlink", "-s")).replace("Link 3: 26.562", f"Link 3: {26.562 * share:.3f}", 1)
    assert judged(printed(), slow)[0] == expected


def test_links_that_are_all_slow_show_by_the_gpus_make_or_by_the_profiles_rate() -> None:
    slow = printed(SXM, ("nvlink", "-s")).replace(": 26.562", ": 13.281")
    words = "NVLink 0 runs at 13.281 GB/s and NVIDIA H200 can do 25: name nvlinkGBps in the profile"
    found, reason, _ = judged(printed(), slow)
    assert (found, words in reason) == ("inconclusive", True)
    assert judged(printed(), slow, limits={**LIMITS, "nvlinkGBps": 13})[0] == "pass"
    found, reason, _ = judged(printed(), slow, limits={**LIMITS, "nvlinkGBps": 26.562})
    assert (found, "NVLink 0 runs at 13.281 GB/s, expected at 26.562" in reason) == ("fail", True)


def test_links_that_are_down_are_not_called_slow() -> None:
    down = printed(SXM, ("nvlink", "-s"), "nvlink-goes-down")
    assert "runs at" not in judged(printed(), down)[1]


def test_a_slower_generation_than_before_fails_unless_the_gpu_rests() -> None:
    _, _, before = judged(printed())
    slower = edited(printed(), "<current_link_gen>5", "<current_link_gen>4")
    limits = {**LIMITS, "pcieGen": 4}
    assert judged(slower, limits=limits)[0] == "pass"
    found, reason, _ = judged(slower, limits=limits, baseline=before)
    assert (found, "PCIe generation 4, before the change 5" in reason) == ("fail", True)
    resting = edited(slower, "<performance_state>P0", "<performance_state>P8")
    assert judged(resting, limits=limits, baseline=before)[0] == "pass"


def test_the_recovery_action_none_is_an_answer_and_no_answer_is_not() -> None:
    gone = printed().replace("<gpu_recovery_action>None", "<gpu_recovery_action>N/A")
    found, reason, _ = judged(gone)
    assert (found, "resetRequired" in reason) == ("inconclusive", True)


def test_gpus_may_be_without_ecc_and_persistence_where_the_profile_says_so() -> None:
    off = printed().replace("_ecc>Enabled", "_ecc>Disabled")
    assert judged(off)[0] == "fail"
    assert judged(off, limits={**LIMITS, "ecc": False})[0] == "pass"
    off = printed().replace("<persistence_mode>Enabled", "<persistence_mode>Disabled")
    assert judged(off)[0] == "fail"
    assert judged(off, limits={**LIMITS, "persistence": False})[0] == "pass"


def test_seven_links_that_are_down_are_not_all_named() -> None:
    def without(count: int) -> str:
        text = printed(SXM, ("nvlink", "-s"))
        for link in range(count):
            text = text.replace(f"Link {link}: 26.562 GB/s", f"Link {link}: <inactive>", 1)
        return text

    assert judged(printed(), without(6))[1].endswith("down: 0, 1, 2, 3, 4, 5")
    assert judged(printed(), without(7))[1].endswith("down: 0, 1, 2, 3, 4, 5, …")


def test_what_passes_by_itself_has_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the profile says nothing else."""
    clock, hot = [0.0], {"a": report_of(Ran(printed(ailment="thermal-slowdown"), "", 0))}
    monkeypatch.setattr("knowngood.gate.settling.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "knowngood.gate.settling.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    found = GATE.told_at_rest.__wrapped__(Reports(hot, lambda _: hot), Hardware((profile(),)))
    assert (found, clock[0]) == (hot, 10.0)


def test_a_gpu_without_nvlinks_is_kept_as_one_without() -> None:
    """What a baseline holds of it promises nothing afterwards."""
    found, _, before = judged(printed(PCIE), "", seed=PCIE, limits={})
    assert (found, {*map(tuple, before["nvlinks"].values())}) == ("pass", {(0, 0.0)})
    assert judged(printed(PCIE), LinksTold(trouble="x"), seed=PCIE, limits={}, baseline=before)[0] == "pass"


def test_links_that_nobody_promised_may_all_be_inactive() -> None:
    """A PCIe board without a bridge."""
    gpus = parse(printed(PCIE)).gpus
    links = "".join(f"GPU {n}: x (UUID: {g.uuid})\n\t Link 0: <inactive>\n" for n, g in enumerate(gpus))
    assert judged(printed(PCIE), links, seed=PCIE, limits={})[:2] == ("pass", "")
    assert judged(printed(PCIE), links, seed=PCIE, limits={"nvlinks": 1})[0] == "fail"


def test_a_link_at_ninety_nine_hundredths_of_the_profiles_rate_is_not_slow() -> None:
    links = printed(SXM, ("nvlink", "-s")).replace(": 26.562", ": 99.000")
    assert judged(printed(), links, limits={**LIMITS, "nvlinkGBps": 100.0})[0] == "pass"


def test_a_driver_that_knows_no_recovery_action_asks_for_none() -> None:
    old = printed().replace(
        "<reset_required>Requested functionality has been deprecated", "<reset_required>No"
    )
    text = re.sub(r"<gpu_recovery_action>.*</gpu_recovery_action>", "", old)
    assert judged(text)[:2] == ("pass", "")


def test_a_resting_gpu_whose_link_does_not_rest_is_no_news() -> None:
    assert judged(edited(printed(), "<performance_state>P0", "<performance_state>P8"))[:2] == ("pass", "")


@pytest.mark.parametrize(
    ("old", "new"), [("_link_gen>5<", "_link_gen>255<"), ("_link_width>16x<", "_link_width>63x<")]
)
def test_a_pcie_link_as_none_is_was_not_read(old: str, new: str) -> None:
    """All ones are what a device reads as that does not answer."""
    odd = edited(printed(), f"current{old}", f"current{new}")
    assert judged(odd)[0] == "inconclusive"


def test_a_gpu_in_a_state_that_nobody_knows_does_not_rest() -> None:
    odd = edited(printed(), "<performance_state>P0", "<performance_state>Whatever")
    slow = edited(odd, "<current_link_gen>5", "<current_link_gen>1")
    found, reason, _ = judged(slow)
    assert (found, "PCIe generation 1, expected 5" in reason) == ("fail", True)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("pci_device_id", "pciId is "),
        ("sram_uncorrectable_secded", "volatileSram is "),
        ("status", "its fabric status is not told"),
    ],
)
def test_what_shows_the_card_all_its_errors_and_its_fabric_must_be_told(tag: str, words: str) -> None:
    text = printed()
    value = text.partition(f"<{tag}>")[2].partition("<")[0]
    found, reason, _ = judged(edited(text, f"<{tag}>{value}", f"<{tag}>N/A"))
    assert (found, words in reason) == ("inconclusive", True), reason
