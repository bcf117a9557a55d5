"""The kernel log decides: what a driver change may not bring."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.gate.kernel_log import KernelLog, Line
from knowngood.model.context import Span, Window

from .conftest import gate, request, verdict

GPU_ERRORS = gate("gpu_errors")
XID_31 = "NVRM: Xid (PCI:0000:18:00): 31, pid=20012, name=pt_main_thread, channel 0x00000010, MMU Fault: x"
XID_79 = "NVRM: Xid (PCI:0000:18:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
XID_154 = "NVRM: Xid (PCI:0000:18:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (OS Reboot)"


def judged(*messages: str, trouble: str = "", **given: Any) -> tuple[str, str, Any]:
    lines = tuple(Line("b", float(i), m) for i, m in enumerate(("NVRM: loading x", *messages)))
    return verdict(
        GPU_ERRORS.test_no_new_gpu_errors,
        node="gpu-1",
        kernel_log=KernelLog(lines, 1, trouble),
        limits=given.get("limits", {"maxSameXid": 0}),
        baseline=given.get("baseline", {"errors": {}}),
        judgement=request(
            taking_baseline=given.get("taking_baseline", False),
            excluded=given.get("excluded", {}),
        ),
        load=given.get("load", Window("b", 0.0, "")),
    )


def test_a_quiet_log_passes() -> None:
    assert judged()[0] == "pass"


@pytest.mark.parametrize(
    "message",
    [
        XID_79,
        XID_79.replace("79", "119"),
        XID_79.replace("79", "48"),
        XID_79.replace("79", "999"),
        XID_154,
        XID_79.replace("79,", "79"),  # no line of the grammar that we know
        XID_79.replace("<unknown>,", "a\nb,"),
        "NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.",
        "NVRM: nvAssertOkFailedNoLog: Assertion failed: Reset required [NV_ERR_RESET_REQUIRED] (0x62) returned",
        "nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 48 LTSSM Fault Up",
    ],
)
@pytest.mark.parametrize("taking_baseline", [False, True])
def test_what_needs_a_reset_or_worse_fails_always(message: str, taking_baseline: bool) -> None:
    baseline = {"errors": {"Xid 79": 5, "Xid 119": 5}}
    assert judged(message, baseline=baseline, taking_baseline=taking_baseline)[0] == "fail"


def test_a_fail_names_what_it_failed_for() -> None:
    """What a profile's `failsAtOnce` lists needs no second test of the node."""
    assert judged(XID_154, XID_79)[2].measured["failed"] == ["Xid 154", "Xid 79"]
    assert judged(XID_31)[2].measured["failed"] == ["Xid 31"]
    assert "failed" not in judged()[2].measured


def test_an_application_error_that_the_node_did_not_have_before_fails() -> None:
    """The public incident: Xid 31 after a driver change, none before."""
    verdict_, reason, notes = judged(XID_31)
    assert verdict_ == "fail"
    assert "Xid 31 on GPU 0000:18:00" in reason
    assert notes.measured["errors"] == {"Xid 31": 1}


def test_one_that_it_had_before_passes_until_there_are_more() -> None:
    baseline = {"errors": {"Xid 31": 2}}
    assert judged(XID_31, XID_31, baseline=baseline)[0] == "pass"
    assert judged(XID_31, XID_31, XID_31, baseline=baseline)[0] == "fail"
    assert judged(XID_31.replace("31", "13", 1), baseline=baseline)[0] == "fail"


def test_while_a_baseline_is_taken_application_errors_are_counted_only() -> None:
    verdict_, _, notes = judged(XID_31, baseline=None, taking_baseline=True)
    assert verdict_ == "pass"
    assert notes.measured["errors"] == {"Xid 31": 1}


def test_consequences_and_notices_count_for_nothing() -> None:
    assert (
        judged(
            "NVRM: Xid (PCI:0000:dc:00): 45, pid=18, name=python3, Ch 00000001 caused by previous Xid 31",
            "NVRM: Xid (PCI:0000:dc:00): 43, pid=18, name=python3, Ch 00000008",
            "nvidia-nvswitch3: SXid (PCI:0000:04:00.0): 22013, Non-fatal, Link 44 Minion Link DLREQ interrupt",
            "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping",
        )[0]
        == "pass"
    )


def test_another_tools_echo_is_no_error() -> None:
    assert judged("health.go:185] XidCriticalError: Xid=79 on Device=GPU-1")[0] == "pass"
    assert judged(f"monitor[12]: saw {XID_79}")[0] == "pass"


def test_a_process_cannot_hide_or_invent_an_error_by_its_name() -> None:
    named = "NVRM: Xid (PCI:0000:18:00): 43, pid=7, name=Xid (PCI:0000:01:00): 79, Ch 00000008"
    assert judged(named)[0] == "pass"
    hidden = "NVRM: Xid (PCI:0000:18:00): 79, pid=7, name=): 43, GPU has fallen off the bus."
    assert judged(hidden)[0] == "fail"


def test_the_root_is_named_not_what_followed_it() -> None:
    assert "Xid 79" in judged(XID_154, XID_79)[1]


def test_a_log_that_may_lack_lines_is_never_a_pass() -> None:
    assert judged(trouble="journald lost kernel lines")[:2] == ("inconclusive", "journald lost kernel lines")
    assert judged(XID_79, trouble="journald lost kernel lines")[0] == "fail"


def since(seconds: float) -> Window:
    return Window("b", seconds, "")


def test_errors_count_since_the_load_of_the_module_that_is_judged() -> None:
    """The lines lie at 0, 1, 2, 3 s; what another module said before is not this one's."""
    assert judged(XID_31, XID_79, load=since(3))[0] == "pass"
    assert judged(XID_31, XID_79, load=since(2))[0] == "fail"


def test_a_baseline_counts_since_the_load_that_runs_not_the_whole_boot() -> None:
    notes = judged(XID_31, XID_31, XID_31, load=since(3), taking_baseline=True)[2]
    assert notes.measured["errors"] == {"Xid 31": 1}


def test_what_an_earlier_run_answers_for_is_neither_allowed_nor_held_against_a_node() -> None:
    spans = {"gpu-1": (Span("b", 1.0, 2.0),)}
    notes = judged(XID_31, XID_31, XID_31, excluded=spans, taking_baseline=True)[2]
    assert notes.measured["errors"] == {"Xid 31": 1}
    assert judged(XID_31, XID_31, excluded=spans)[0] == "pass"
    assert judged(XID_31, XID_31, XID_31, excluded=spans)[0] == "fail"


def test_a_span_that_is_not_over_leaves_nothing_to_allow() -> None:
    notes = judged(XID_31, XID_31, excluded={"gpu-1": (Span("b", 0.5),)}, taking_baseline=True)[2]
    assert notes.measured["errors"] == {}


def test_an_error_that_needs_a_reset_counts_also_in_an_earlier_runs_time() -> None:
    assert judged(XID_79, excluded={"gpu-1": (Span("b", 0.0),)})[0] == "fail"


def test_where_nobody_knows_since_when_the_driver_is_loaded_a_baseline_allows_nothing() -> None:
    lines = tuple(Line("b", float(i), XID_31) for i in range(3))
    notes = verdict(
        GPU_ERRORS.test_no_new_gpu_errors,
        node="gpu-1",
        kernel_log=KernelLog(lines, 1),
        limits={"maxSameXid": 0},
        baseline=None,
        judgement=request(taking_baseline=True),
        load=None,
    )[2]
    assert notes.measured["errors"] == {}
    assert "no error is allowed afterwards" in notes.reason


def test_a_log_that_does_not_reach_back_to_the_load_is_inconclusive_and_allows_nothing() -> None:
    """The journal was vacuumed: its oldest line came after the module's load."""
    log = KernelLog((Line("b", 50.0, XID_31),), 1, begins=("b", 50.0))
    given = {"node": "gpu-1", "kernel_log": log, "limits": {"maxSameXid": 1}, "baseline": None}
    test = GPU_ERRORS.test_no_new_gpu_errors
    said, why, _ = verdict(test, **given, load=since(10), judgement=request())
    assert said == "inconclusive"
    assert why.startswith("the kernel log of boot b begins at 50.0 s, after the window opened at 10.0 s")
    taken = verdict(test, **given, load=since(10), judgement=request(taking_baseline=True))
    assert (taken[0], taken[2].measured["errors"]) == ("pass", {})
