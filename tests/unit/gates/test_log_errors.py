"""Whose error it is, by phase; what closes one; what is new, and what is too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.cases import CASES

from knowngood.gate.kernel_log import KernelLog, Line, read
from knowngood.gate.log_errors import BURST, Before, Beside
from knowngood.model.context import Window

from .conftest import gate, request, verdict
from .test_kernel_log import BEFORE, FIRST, LONG_AGO, NOW, entry, journal

GPU_ERRORS, RDMA = gate("gpu_errors"), gate("rdma_health")
LOAD = Window("b", 0.0, "")


def xid(code: int, gpu: str = "18", text: str = "pid=7, name=train, x", mig: str = "") -> str:
    return f"NVRM: Xid (PCI:0000:{gpu}:00{mig}): {code}, {text}"


def log_of(*messages: str, apart: float = 1.0, **fields: Any) -> KernelLog:
    lines = tuple(Line("b", i * apart, m) for i, m in enumerate(("NVRM: loading x", *messages)))
    return KernelLog(lines, 1, opened=LOAD, boot_id="b", **fields)


def judged(
    *messages: str, baseline: Any = None, log: KernelLog | None = None, **asked: Any
) -> tuple[str, str, Any]:
    return verdict(
        GPU_ERRORS.test_no_new_gpu_errors,
        node="gpu-1",
        kernel_log=log or log_of(*messages),
        limits={"maxSameXid": 0},
        baseline={"errors": {}} if baseline is None else baseline,
        judgement=request(**asked),
        load=LOAD,
    )


CLAIMED: dict[str, Any] = {"claimed": True, "windows": {"gpu-1": LOAD}}
SOAK: dict[str, Any] = {"tenants_work": True}


def test_on_a_drained_node_an_application_error_is_ours_whatever_the_baseline_had() -> None:
    had = {"errors": {"Xid 31": 9}}
    said, why, _ = judged(xid(31), baseline=had, **CLAIMED)
    assert said == "fail"
    assert "no tenant's" in why


def test_what_came_before_the_claim_is_compared() -> None:
    late = {**CLAIMED, "windows": {"gpu-1": Window("b", 100.0, "")}}
    assert judged(xid(31), baseline={"errors": {"Xid 31": 1}}, **late)[0] == "pass"
    assert judged(xid(31), **late)[0] == "fail"
    at_once = {**CLAIMED, "windows": {"gpu-1": Window("b", 1.0, "")}}
    assert judged(xid(31), baseline={"errors": {"Xid 31": 1}}, **at_once)[0] == "fail", "of that very moment"


def test_in_the_soak_one_tenants_error_on_one_gpu_is_reported() -> None:
    said, why, notes = judged(xid(31), xid(31), **SOAK)
    assert said == "pass"
    assert "reported, as a tenant's own: Xid 31 on GPU 0000:18:00" in why
    assert notes.measured["errorPlaces"] == {"Xid 31": {"0000:18:00": 2}}


@pytest.mark.parametrize(
    "other", [xid(31, "28"), xid(31, mig=" GPU-I:05")], ids=["two GPUs", "two MIG instances"]
)
def test_the_same_new_error_at_two_places_speaks_against_the_change(other: str) -> None:
    assert judged(xid(31), other, **SOAK)[0] == "fail"
    assert judged(xid(31), other.replace("31", "13"), **SOAK)[0] == "pass", "two kinds, each at one place"


def beside(found: Beside) -> Callable[[], Beside]:
    return lambda: found


def test_another_node_that_moved_makes_it_two_and_one_that_did_not_makes_it_nobodys() -> None:
    there = ("gpu-2", "0000:28:00", None, None)
    two = log_of(xid(31), beside=beside(Beside({"Xid 31": {there}})))
    assert judged(log=two, **SOAK)[0] == "fail"
    everywhere = log_of(xid(31), xid(31, "28"), beside=beside(Beside({"Xid 31": {there}}, {"Xid 31"})))
    assert judged(log=everywhere, **SOAK)[0] == "pass"


def test_where_no_node_that_stayed_can_be_read_the_change_is_not_blamed() -> None:
    """Could not ask is no "no": they may well have it, too."""
    two = log_of(xid(31), xid(31, "28"), beside=beside(Beside(unread="kubelet: 503")))
    said, why, _ = judged(log=two, **SOAK)
    assert (said, why.endswith("have it can't be told: kubelet: 503")) == ("inconclusive", True)
    one = log_of(xid(31), beside=beside(Beside(unread="kubelet: 503")))
    assert judged(log=one, **SOAK)[0] == "pass", "on one GPU it is its tenant's"


def test_nobody_is_asked_for_other_nodes_without_need() -> None:
    def ask() -> Beside:
        raise AssertionError

    assert judged(log=log_of("NVRM: x", xid(43), beside=ask), **SOAK)[0] == "pass"


def test_a_nightly_without_a_baseline_reports_application_errors() -> None:
    given = {"node": "gpu-1", "kernel_log": log_of(xid(31), xid(31, "28")), "limits": {}, "baseline": None}
    asked = request(tenants_work=True)
    assert verdict(GPU_ERRORS.test_no_new_gpu_errors, **given, judgement=asked, load=LOAD)[0] == "pass"


def test_the_driver_may_close_what_a_reset_cures() -> None:
    """Xid 154 to 0 on the same GPU, later: nothing is asked for any more."""
    none = xid(154, text="GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)")
    for code in (48, 63, 95, 119):
        assert judged(xid(code), none)[0] == "pass", code
        assert judged(none, xid(code))[0] == "fail", code
        assert judged(xid(code, "28"), none)[0] == "fail", code
    for code in (79, 999, 64):
        assert judged(xid(code), none)[0] == "fail", code


@pytest.mark.parametrize(("failed", "said"), [(False, "pass"), (True, "fail"), (None, "fail")])
def test_a_failed_remap_is_closed_only_if_the_driver_shows_none(failed: bool | None, said: str) -> None:
    none = xid(154, text="GPU recovery action changed from 0x1 (x) to 0x0 (None)")
    assert judged(log=log_of(xid(64), none, remap_failed=lambda _address: failed))[0] == said


UNKNOWN = "nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 28006, Non-fatal, Link 46 MC TS crumbstore MCTO (First)"
NVLINK5 = xid(145, text="RLW_RXPIPE Nonfatal XC0 i0 Link 11 (0x0 0x0)")
FAILURE = "NVRM: GPU1 kfooBar_GB100: Unable to reach 0x1234"


@pytest.mark.parametrize("message", [UNKNOWN, NVLINK5, FAILURE])
def test_what_is_mild_or_not_known_is_compared_with_the_baseline(message: str) -> None:
    said, _, notes = judged(message, taking_baseline=True)
    assert said == "pass"
    assert judged(message, baseline=notes.measured)[0] == "pass"
    assert judged(message.replace("0x1234", "0x99"), baseline=notes.measured)[0] == "pass"
    assert judged(message)[0] == "inconclusive"


def test_fatal_words_of_the_driver_fail_whatever_the_table_lacks() -> None:
    assert judged(UNKNOWN.replace("Non-fatal", "Fatal"))[0] == "fail"
    assert judged(NVLINK5.replace("Nonfatal", "Fatal"))[0] == "fail"


def test_a_fault_of_the_host_is_compared_and_a_panic_is_not() -> None:
    watchdog = "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:99]"
    assert judged(watchdog)[0] == "fail"
    assert judged(watchdog, baseline={"errors": {"lockup": 1}})[0] == "pass"
    for message in ("Kernel panic - not syncing: x", "BUG: kernel NULL pointer dereference, address: 0"):
        assert judged(message, baseline={"errors": {"panic": 5, "oops": 5}})[0] == "fail"


def test_a_storm_of_harmless_errors_is_inconclusive() -> None:
    said, why, _ = judged(*[xid(92, text="x")] * 500)
    assert said == "inconclusive"
    assert "500 times Xid 92" in why
    assert judged(*[xid(92, text="x")] * 50)[0] == "pass"
    had = {"errors": {"Xid 92": 500}}
    assert judged(*[xid(92, text="x")] * 500, baseline=had)[0] == "pass"


def test_a_process_that_dies_with_many_channels_is_no_storm() -> None:
    assert judged(log=log_of(*[xid(45)] * 500, apart=0.001))[0] == "pass"


def test_a_flood_counts_as_what_it_was() -> None:
    log = replace(log_of(), lines=(Line("b", 1.0, xid(92, text="x"), count=500, last=9.0),))
    assert judged(log=log)[0] == "inconclusive"


def test_a_baseline_of_long_ago_allows_its_rate_not_its_number() -> None:
    month = Before({"Xid 31": 30}, {}, hours=720.0)
    assert [month.allowed("Xid 31", None, h) for h in (0.5, 24.0, 720.0, None)] == [1, 4, 47, 30]
    assert month.allowed("Xid 13", None, 720.0) == 0


def booted(log: KernelLog, **asked: Any) -> tuple[str, str, Any]:
    test = GPU_ERRORS.test_no_boot_that_nobody_asked_for
    return verdict(test, node="gpu-1", kernel_log=log, judgement=request(**asked), window=log.opened)


def test_a_boot_that_nobody_asked_for_fails_and_one_by_hand_is_told() -> None:
    """The canary that power-cycled by itself in the soak."""
    boots = {0: [FIRST, entry(9)], -1: [entry(60, boot=BEFORE), entry(99, "NVRM: last words", boot=BEFORE)]}
    log = read(journal(boots), Window(BEFORE, 50.0, ""), NOW)
    said, why, _ = booted(log)
    assert said == "fail"
    assert "not by this run; the log before it ends with: NVRM: last words" in why
    assert booted(log, by_hand=True)[0] == booted(log, taking_baseline=True)[0] == "pass"
    assert booted(read(journal(boots), Window(NOW, 5.0, ""), NOW))[0] == "pass"
    by_hand = judged(log=replace(log, opened=Window(BEFORE, 50.0, "")), by_hand=True)
    assert "2 boots in the window" in by_hand[1]
    assert "in the window" not in judged(by_hand=True)[1]


def test_it_is_told_also_where_the_log_of_the_boot_before_is_gone() -> None:
    assert booted(read(journal({0: [FIRST]}), Window(LONG_AGO, 50.0, ""), NOW))[0] == "fail"


def test_a_boot_that_may_be_lost_between_two_is_trouble() -> None:
    hour = 3_600_000_000

    def at(boot: str, seconds: float, wall: int, message: str = "NVRM: x") -> str:
        return entry(seconds, message, boot=boot, __REALTIME_TIMESTAMP=str(wall))

    older = [at(BEFORE, 99, 1000 * hour)]
    for gap, lost in ((hour // 4, False), (3 * hour, True)):
        newer = [at(NOW, 0, 1000 * hour + gap, "Linux version 5.14")]
        log = read(journal({0: newer, -1: older}), Window(BEFORE, 50.0, ""), NOW)
        assert ("may be lost" in log.trouble) is lost


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("k1-gsp-boot.txt", "fail"),
        ("k2-xid31-154.txt", "fail"),
        ("k3-b200-145-137.txt", "inconclusive"),
        ("k8-legacy-ignored.txt", "fail"),
        ("k9-open-unsupported.txt", "fail"),
    ],
)
def test_the_real_cases_are_judged_as_they_should_be(case: str, said: str) -> None:
    assert judged(*case_lines(case), **SOAK)[0] == said


@pytest.mark.parametrize("case", ["k4-mlx5-health.txt", "k5-mlx5-txtimeout.txt", "k7-probe-22.txt"])
def test_the_real_cases_of_nics_fail_their_gate(case: str) -> None:
    log = log_of(*case_lines(case))
    test = RDMA.test_the_nic_driver_does_not_complain
    assert verdict(test, node="gpu-1", kernel_log=log, judgement=request())[0] == "fail"
    assert judged(log=log)[0] == "pass", "it is no GPU's"


def test_a_nics_old_complaint_is_no_news_but_lost_firmware_always_is() -> None:
    test = RDMA.test_the_nic_driver_does_not_complain

    def said(message: str, **asked: Any) -> tuple[str, str, Any]:
        return verdict(test, node="gpu-1", kernel_log=log_of(message), judgement=request(**asked))

    slow = "mlx5_core 0000:9c:00.0: 252.056 Gb/s available PCIe bandwidth, limited by 32.0 GT/s PCIe x8 link at 0"
    taken = said(slow, taking_baseline=True)
    assert taken[0] == "pass"
    assert said(slow, baseline={"rdma_health/gpu-1": taken[2].measured})[0] == "pass"
    assert said(slow)[0] == "fail"
    dead = "mlx5_core 0000:41:00.0: poll_health:852:(pid 0): device's health compromised - reached miss count"
    assert said(dead, taking_baseline=True)[0] == "fail"


NIC_LINE = "mlx5_core 0000:41:00.0: "


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "mlx5_pci_err_detected:1782:(pid 1): Device state = 1 health sensors: 1 pci_status: 1. Enter",
            "fail",
        ),
        ("mlx5_health_try_recover:340:(pid 141): handling bad device here", "fail"),
        ("mlx5_error_sw_reset:236:(pid 141): start", "fail"),
        ("wait_fw_init:199:(pid 12): Waiting for FW initialization, timeout abort in 119s (0xffff)", "pass"),
        ("Waiting for FW pre-initialization, timeout abort in 119s (0x0)", "pass"),
        (
            "mlx5_function_setup:1123:(pid 3): Firmware over 120000 MS in pre-initializing state, aborting",
            "fail",
        ),
        ("mlx5_pcie_event:301:(pid 512): PCIe slot advertised sufficient power (75W).", "pass"),
    ],
)
def test_a_nic_that_is_reset_by_its_driver_is_no_healthy_one_and_one_that_boots_is(
    message: str, expected: str
) -> None:
    log, test = log_of(f"{NIC_LINE}{message}"), RDMA.test_the_nic_driver_does_not_complain
    assert verdict(test, node="gpu-1", kernel_log=log, judgement=request())[0] == expected


def case_lines(case: str) -> list[str]:
    if not (CASES / case).exists():
        pytest.skip(f"the real cases are not here: {case}")
    return [line for line in (CASES / case).read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(("incidents", "said"), [(100, "pass"), (101, "inconclusive")])
@pytest.mark.parametrize(("code", "apart"), [(92, 1.0), (45, 11.0)])
def test_a_hundred_harmless_incidents_a_day_are_no_storm_yet(
    code: int, apart: float, incidents: int, said: str
) -> None:
    """A channel that is torn down more than ten seconds after the last one is an incident of its own."""
    assert judged(log=log_of(*[xid(code, text="x")] * incidents, apart=apart))[0] == said


@pytest.mark.parametrize(("apart", "said"), [(0.0, "pass"), (10.0, "pass"), (10.5, "inconclusive")])
def test_what_follows_within_ten_seconds_is_one_incident(apart: float, said: str) -> None:
    assert judged(log=log_of(*[xid(45)] * 102, apart=apart))[0] == said


def test_a_burst_is_of_the_kinds_that_a_dying_process_leaves() -> None:
    """13 and 43 are an application's, which the phase judges, so they are asked for by themselves."""
    assert sorted(BURST) == [13, 43, 45], "NVIDIA/NVSentinel #1710"


def test_a_baseline_that_says_where_allows_none_elsewhere() -> None:
    before = Before({"Xid 31": 3}, {"Xid 31": {"a": 3}})
    assert [before.allowed("Xid 31", device, 1.0) for device in ("a", "b", None)] == [3, 0, 3]
    assert before.allowed("Xid 32", "a", 1.0) == 0


@pytest.mark.parametrize(("number", "more"), [(1, ""), (2, " and 1 more"), (3, " and 2 more")])
def test_how_many_more_there_are_is_said(number: int, more: str) -> None:
    said = judged(*[xid(79, text="x")] * number)[1]
    assert said.endswith(f"at 1.0 s after boot{more}")


def test_each_process_and_gpu_has_incidents_of_its_own() -> None:
    """Many processes of one GPU die within a moment: each is an incident. On many GPUs each GPU has few."""
    many = [xid(45, text=f"pid={n}, name=x, y") for n in range(101)]
    assert judged(log=log_of(*many, apart=0.01))[0] == "inconclusive"
    spread = [xid(92, gpu=f"{n:02x}", text="x") for n in range(8) for _ in range(100)]
    assert judged(log=log_of(*spread))[0] == "pass"


def test_a_storm_is_by_day_and_a_short_window_counts_as_one() -> None:
    for hours, most in ((0.1, 100), (24.0, 100), (48.0, 200)):
        for number, said in ((most, "pass"), (most + 1, "inconclusive")):
            log = replace(log_of(*[xid(92, text="x")] * number), up=hours * 3600)
            assert judged(log=log)[0] == said, (hours, number)


def test_what_the_driver_asks_for_is_no_incident_of_its_own() -> None:
    none = xid(154, text="GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)")
    assert judged(*[none] * 500)[0] == "pass"


def test_an_error_is_closed_on_its_own_gpu_in_its_own_boot_from_its_last_line_on() -> None:
    none = xid(154, text="GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)")

    def said(*lines: Line) -> str:
        return judged(log=replace(log_of(), lines=lines))[0]

    assert said(Line("b", 5.0, xid(48)), Line("b", 5.0, none)) == "pass"
    assert said(Line("b", 5.0, xid(48), count=9, last=8.0), Line("b", 7.9, none)) == "fail"
    assert said(Line("b", 5.0, xid(48), count=9, last=8.0), Line("b", 8.0, none)) == "pass"
    assert said(Line("b", 5.0, xid(48)), Line("c", 7.0, none)) == "fail", "a boot is no answer"


def test_more_than_the_profile_allows_of_one_kind_fails_and_as_many_do_not() -> None:
    given = {"node": "gpu-1", "baseline": {"errors": {}}, "judgement": request(**CLAIMED), "load": LOAD}
    for limits, number, said in (
        ({}, 1, "fail"),
        ({"maxSameXid": 2}, 2, "pass"),
        ({"maxSameXid": 2}, 3, "fail"),
    ):
        log = log_of(*[xid(31)] * number)
        assert verdict(GPU_ERRORS.test_no_new_gpu_errors, kernel_log=log, limits=limits, **given)[0] == said


def test_a_baseline_that_says_where_allows_it_there_alone() -> None:
    had = {"errors": {"lockup": 2}, "errorPlaces": {"Xid 31": {"0000:18:00": 2}}} | {"hours": None}
    had["errors"] = {"Xid 31": 2}
    late = {**CLAIMED, "windows": {"gpu-1": Window("b", 100.0, "")}}
    assert judged(xid(31), xid(31), baseline=had, **late)[0] == "pass"
    assert judged(xid(31, "28"), xid(31, "28"), baseline=had, **late)[0] == "fail"


def test_of_sixty_kinds_all_are_kept_and_of_more_the_most_frequent() -> None:
    kinds = [xid(code, text="x") for code in range(500, 561)]
    _, _, notes = judged(*kinds[:60])
    assert len(notes.measured["errors"]) == 60
    _, _, notes = judged(*kinds, *kinds[1:])
    assert (len(notes.measured["errors"]), "Xid 500" in notes.measured["errors"]) == (60, False)


def test_what_fails_at_once_says_what_and_when_and_no_more() -> None:
    assert judged(xid(79, text="x"))[:2] == (
        "fail",
        "Xid 79 on GPU 0000:18:00 (reboot: GPU has fallen off the bus) at 1.0 s after boot",
    )
