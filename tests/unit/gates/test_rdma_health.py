"""Ports, counters and the way GPU memory takes: each limit can fail."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from knowngood.gate.kernel_log import KernelLog, Line
from knowngood.gate.rdma_counters import unpacked
from knowngood.model.matrix import Profile

from .conftest import gate, request, verdict

RDMA = gate("rdma_health")
LIMITS = {
    "expectedPorts": 8,
    "rateGbps": 400,
    "maxLinkDowned": 0,
    "maxSymbolErrorsPerHour": 120,
    "maxLinkErrorRecoveryPerMinute": 5,
}


def answer(**measured: Any) -> dict[str, Any]:
    ports = [
        {
            "name": f"mlx5_{i}/1",
            "state": "ACTIVE",
            "physState": "LinkUp",
            "rateGbps": 400.0,
            "linkLayer": "InfiniBand",
        }
        for i in range(8)
    ]
    values = {
        "ports": ports,
        "firmware": {"mlx5_0": "28.47.1026"},
        "counters": {p["name"]: {} for p in ports},
        "mode": "dma-buf",
        "peermem": {"loaded": False, "refcnt": ""},
        "uptimeSeconds": 10_000.0,
    }
    return {"ok": True, "backend": "", "reason": "", "measured": copy.deepcopy(values) | measured}


def judged(
    profile: Profile, probe: dict[str, Any], baseline: Any = None, limits: Any = LIMITS
) -> tuple[str, str, Any]:
    return verdict(
        RDMA.test_ports_are_up_and_count_no_new_errors,
        node="gpu-1",
        probe=probe,
        profile=profile,
        limits=limits,
        expect={"rdma-mode": "dma-buf", "nic-firmware": "28.47.1026"},
        baseline=baseline,
    )


def counted(**counters: int) -> dict[str, Any]:
    return {"mlx5_0/1": counters}


def test_a_healthy_node_passes_and_leaves_a_baseline(profile: Profile) -> None:
    verdict_, _, notes = judged(profile, answer(counters=counted(link_downed=3)))
    assert verdict_ == "pass"
    assert dict(unpacked(notes.measured["counters"])) == counted(link_downed=3)
    assert notes.measured["nics"]["mlx5_0/1"]["rateGbps"] == 400.0


def spoil(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    probe = answer()
    change(probe["measured"])
    return probe


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["ports"].pop(), "7 ports, expected 8"),
        (lambda m: m["ports"][0].update(state="DOWN", physState="Polling"), "mlx5_0/1 is DOWN/Polling"),
        (lambda m: m["ports"][2].update(rateGbps=200.0), "200.0 Gb/s"),
        (lambda m: m["ports"][2].update(state="", physState="Disabled"), "mlx5_2/1 is ?/Disabled"),
        (lambda m: m["ports"].clear(), "0 ports, expected 8"),
        (lambda m: m.update(mode="nvidia-peermem"), "nvidia-peermem, expected dma-buf"),
        (lambda m: m.update(mode="none"), "goes by none"),
        (lambda m: m["firmware"].update(mlx5_0="28.39.1002"), "firmware 28.39.1002"),
    ],
)
def test_each_thing_out_of_place_fails(profile: Profile, change: Any, words: str) -> None:
    verdict_, reason, _ = judged(profile, spoil(change))
    assert (verdict_, words in reason) == ("fail", True), reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["ports"][0].update(state=""), "can't read the state of mlx5_0/1"),
        (lambda m: m["ports"][0].update(physState=""), "can't read the state of mlx5_0/1"),
        (lambda m: m["ports"][2].update(rateGbps=None), "can't read the rate of mlx5_2/1"),
        (lambda m: m["ports"][2].update(linkLayer=""), "can't read the link layer of mlx5_2/1"),
    ],
)
@pytest.mark.parametrize("limits", [LIMITS, {"expectedPorts": 8}], ids=["a rate", "no rate"])
def test_what_can_not_be_read_of_a_port_is_inconclusive(
    profile: Profile, change: Any, words: str, limits: Any
) -> None:
    verdict_, reason, _ = judged(profile, spoil(change), limits=limits)
    assert (verdict_, words in reason) == ("inconclusive", True), reason


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"link_downed": 1}, "fail"),
        ({"link_downed": 1}, {"link_downed": 1}, "pass"),
        ({}, {"port_rcv_constraint_errors": 1}, "fail"),
        ({}, {"rnr_nak_retry_err": 1}, "fail"),
        ({}, {"out_of_sequence": 1}, "fail"),
        ({}, {"port_rcv_errors": 30_000}, "pass"),
        ({}, {"port_rcv_errors": 40_000}, "fail"),
        ({}, {"a_counter_of_the_future": 1}, "pass"),
        ({}, {"symbol_error": 60}, "pass"),
        ({}, {"symbol_error": 1000}, "fail"),
        ({}, {"link_error_recovery": 1000}, "fail"),
        ({}, {"port_xmit_wait": 10**9, "np_cnp_sent": 5}, "pass"),
    ],
)
def test_counters_are_compared_with_the_baseline(
    profile: Profile, before: dict[str, int], now: dict[str, int], expected: str
) -> None:
    baseline = {"counters": counted(**before), "uptimeSeconds": 10_000.0 - 3600}
    assert judged(profile, answer(counters=counted(**now)), baseline)[0] == expected


def test_after_a_reboot_counters_start_from_zero(profile: Profile) -> None:
    baseline = {"counters": counted(link_downed=5), "uptimeSeconds": 99_999.0}
    assert judged(profile, answer(counters=counted(link_downed=1)), baseline)[0] == "fail"


def test_a_counter_that_was_reset_counts_whole(profile: Profile) -> None:
    """A reload of the NIC driver sets it to zero without a reboot."""
    baseline = {"counters": counted(link_downed=5), "uptimeSeconds": 9_000.0}
    assert judged(profile, answer(counters=counted(link_downed=1)), baseline)[0] == "fail"


def test_a_counter_that_cannot_be_read_any_more_is_not_zero(profile: Profile) -> None:
    """The baseline has it; a folder that is gone, or a file that gives an error, hides whatever it counts."""
    before = answer(counters=counted(link_downed=0, symbol_error=7, port_xmit_wait=9))
    _, _, notes = judged(profile, before)
    baseline = json.loads(json.dumps(notes.measured))
    assert judged(profile, before, baseline)[0] == "pass"
    for now, lost in (
        ({}, {"link_downed", "symbol_error"}),
        (counted(symbol_error=7), {"link_downed"}),
        (counted(link_downed=0), {"symbol_error"}),
    ):
        verdict_, reason, _ = judged(profile, answer(counters=now), baseline)
        assert verdict_ == "inconclusive"
        said = {words.split()[1] for words in reason.split("; ") if words.startswith("mlx5_0/1 ")}
        assert said == lost, reason


def test_what_grew_fails_even_where_another_counter_cannot_be_read(profile: Profile) -> None:
    _, _, notes = judged(profile, answer(counters=counted(link_downed=0, rnr_nak_retry_err=0)))
    found = judged(profile, answer(counters=counted(rnr_nak_retry_err=4)), notes.measured)
    assert found[:2] == ("fail", "mlx5_0/1 rnr_nak_retry_err grew by 4")


def test_a_trend_that_is_gone_is_no_matter_and_a_new_counter_neither(profile: Profile) -> None:
    _, _, notes = judged(profile, answer(counters=counted(port_xmit_wait=0)))
    assert judged(profile, answer(counters=counted(new_one=0)), notes.measured)[0] == "pass"


def test_sixteen_ports_of_thirty_full_counters_fit_into_what_a_gate_may_keep(profile: Profile) -> None:
    values = {f"a_counter_with_a_rather_long_name_{i}": 2**63 + i for i in range(30)}
    names = [f"mlx5_{i}/1" for i in range(16)]
    port = answer()["measured"]["ports"][0]
    measured = answer(counters=dict.fromkeys(names, values), ports=[port | {"name": n} for n in names])
    verdict_, _, notes = judged(profile, measured)
    assert verdict_ == "pass"
    assert dict(unpacked(notes.measured["counters"])) == dict.fromkeys(names, values)


def test_a_mode_that_cannot_be_told_is_inconclusive(profile: Profile) -> None:
    assert judged(profile, answer(mode=""))[0] == "inconclusive"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "mlx5_core 0000:9c:00.0: 252.056 Gb/s available PCIe bandwidth, limited by 32.0 GT/s PCIe x8 link",
            "fail",
        ),
        ("mlx5_port_module_event:1131:(pid 0): Port module event[error]: module 0, Cable error", "fail"),
        ("mlx5_core 0000:9c:00.0: Detected insufficient power on the PCIe slot (27W).", "fail"),
        ("mlx5_core 0000:9c:00.0: mlx5_cmd_out_err: ACCESS_REG(0x805) op_mod(0x1) failed, err(-22)", "pass"),
        ("mlx5_core 0000:9c:00.0: firmware version: 28.47.1026", "pass"),
    ],
)
def test_the_nic_drivers_complaints_fail(message: str, expected: str) -> None:
    assert complained(KernelLog((Line("b", 1.0, message),), 1)) == expected


def test_without_a_log_there_is_no_telling() -> None:
    assert complained(KernelLog((), 0, "no log")) == "inconclusive"


def test_a_log_that_begins_after_the_window_opened_is_no_telling() -> None:
    late = KernelLog((Line("b", 1.0, "mlx5_core: all is well"),), 1, late="it begins at 1.0 s")
    assert complained(late) == "inconclusive"
    assert complained(late, taking_baseline=True) == "pass"


def complained(log: KernelLog, **asked: Any) -> str:
    """The verdict on what the NIC's driver says."""
    test = RDMA.test_the_nic_driver_does_not_complain
    return verdict(test, node="gpu-1", kernel_log=log, judgement=request(**asked))[0]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"bootId": "b1"}, {"bootId": "b2"}),
        ({"uptimeSeconds": 20_000.0}, {}),
        ({"counters": {"mlx5_0/1": {"link_downed": 5, "np_cnp_sent": 9}}}, {}),
    ],
    ids=["another boot", "a shorter uptime", "another counter of the port went back"],
)
def test_what_had_grown_before_a_reset_hides_nothing_that_grew_after_it(
    profile: Profile, before: dict[str, Any], now: dict[str, Any]
) -> None:
    """An earlier try left 5 on the port; the counters began anew, and 5 new ones look like none."""
    counters = {"mlx5_0/1": {"link_downed": 5, "np_cnp_sent": 0}}
    probe = {**answer(counters=counters), **now}
    taken = {"counters": counters, "uptimeSeconds": 9_000.0, "bootId": "b1", **before}
    assert judged(profile, probe, taken)[:2] == ("fail", "mlx5_0/1 link_downed grew by 5")


def test_what_a_probe_left_out_is_not_made_up(profile: Profile) -> None:
    probe = answer()
    found, reason, notes = judged(profile, probe)
    assert (found, reason) == ("pass", "counters are recorded, nothing to compare them with")
    assert (notes.measured["bootId"], notes.measured["modeShownBy"]) == ("", "")
    del probe["measured"]["mode"]
    found, reason, notes = judged(profile, probe)
    assert (found, reason) == ("inconclusive", "can't tell how GPU memory reaches the NICs")
    assert notes.measured["mode"] == ""
    probe["measured"].pop("peermem")
    probe["measured"]["mode"] = "nvidia-peermem"
    assert "expected dma-buf (nvidia_peermem is loaded, ? users)" in judged(profile, probe)[1]


@pytest.mark.parametrize("who", ["the probe", "the baseline"])
def test_where_one_reading_tells_no_boot_the_uptimes_tell_whether_it_is_the_same(
    profile: Profile, who: str
) -> None:
    probe = answer(counters=counted(link_downed=5))
    before = judged(profile, {**probe, "bootId": "b"})[2].measured
    later = answer(counters=counted(link_downed=5), uptimeSeconds=20_000.0)
    if who == "the probe":
        assert judged(profile, later, before)[0] == "pass"
    else:
        before = {k: v for k, v in before.items() if k != "bootId"}
        assert judged(profile, {**later, "bootId": "b"}, before)[0] == "pass"
    assert judged(profile, {**later, "bootId": "c"}, {**before, "bootId": "b"})[0] == "fail", "another boot"
