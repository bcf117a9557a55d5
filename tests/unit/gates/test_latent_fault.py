"""A second load is proven by a newer arrival of the same versions, and by nothing less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.movers import EVERY, MOVERS

from knowngood.gate.kernel_log import KernelLog, Line
from knowngood.model.context import Window
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState

from .conftest import BOOT, DRIVER, gate, healthy, request, verdict

TEST = gate("latent_fault").test_it_came_a_second_time
NO_OTHER_BOOT = gate("gpu_errors").test_no_boot_that_nobody_asked_for
FIRST = Window(BOOT, 10.0, "")
GONE = "no driver was loaded on this boot"


def at(seconds: float, boot: str = BOOT) -> dict[str, Any]:
    return {"marks": {"nvidia-driver": Mark(DRIVER, boot, seconds)}}


def judged(state: NodeState | None, **given: Any) -> tuple[str, str]:
    asked = {"first_loads": {"gpu-1": FIRST}, "movers": MOVERS, **given}
    states = {"gpu-1": state} if state else {}
    expect = {"nvidia-driver": DRIVER}
    return verdict(TEST, node="gpu-1", states=states, expect=expect, judgement=request(**asked))[:2]


def test_a_later_load_of_the_same_passes_and_says_how() -> None:
    assert judged(healthy(**at(99.0))) == ("pass", "it came again by a reload, 99.0 s after boot")
    assert judged(healthy(boot_id="b2", **at(7.0, "b2")))[1] == "it came again by a reboot, 7.0 s after boot"


@pytest.mark.parametrize("seconds", [10.0, 9.9])
def test_the_first_load_is_no_second_one(seconds: float) -> None:
    found, reason = judged(healthy(**at(seconds)))
    assert (found, "nothing was loaded since" in reason) == ("inconclusive", True)


def test_what_was_seen_not_to_come_fails_also_where_the_node_can_not_be_read_now() -> None:
    """Its driver's pod is away, and with it what reads the node's files."""
    for state in (None, NodeState("gpu-1", reachable=False), healthy(**at(10.0))):
        found, reason = judged(state, not_again={"gpu-1": GONE})
        assert (found, reason) == ("fail", f"{GONE}; it had come once, at 10.0 s after boot")


def test_what_came_late_is_judged_as_it_is() -> None:
    assert judged(healthy(**at(99.0)), not_again={"gpu-1": GONE})[0] == "pass"


def test_another_version_fails() -> None:
    found, reason = judged(healthy(versions={"nvidia-driver": "580.95.05"}, **at(99.0)))
    assert found == "fail"
    assert reason == f"nvidia-driver is 580.95.05, it was proven as {DRIVER}"


def test_a_module_that_reports_another_version_than_its_package_is_that_package() -> None:
    """As drift takes it: DOCA-OFED 25.10-1.2.8 reports 25.10-1.2.2."""
    marks = {**at(99.0)["marks"], "doca-ofed": Mark("25.10-1.2.2", BOOT, 5.0)}
    state = healthy(versions={"nvidia-driver": DRIVER, "doca-ofed": "25.10-1.2.2"}, marks=marks)
    known = {"doca-ofed": {"25.10-1.2.2": "25.10-1.2.8"}}
    for reported, wanted in ((known, "pass"), ({}, "fail")):
        asked = request(first_loads={"gpu-1": FIRST}, movers={**MOVERS, "doca-ofed": EVERY["doca-ofed"]})
        found = verdict(
            TEST,
            node="gpu-1",
            states={"gpu-1": state},
            expect={"nvidia-driver": DRIVER, "doca-ofed": "25.10-1.2.8"},
            judgement=replace(asked, reported=reported),
        )
        assert found[0] == wanted, found[1]


@pytest.mark.parametrize(
    ("component", "wanted"),
    [
        ("doca-ofed", ("inconclusive", "whether doca-ofed was loaded on this boot can't be told")),
        ("gpu-operator", ("pass", "it came again by a reload, 99.0 s after boot")),
    ],
)
def test_what_no_load_proves_does_not_pass_but_for_what_no_load_can(
    component: str, wanted: tuple[str, str]
) -> None:
    """An operator is loaded on no node; a NIC driver is, and of this one no line tells."""
    expect = {"nvidia-driver": DRIVER, component: "1.2"}
    state = healthy(versions={"nvidia-driver": DRIVER, component: "1.2"}, **at(99.0))
    asked = request(first_loads={"gpu-1": FIRST}, movers={**MOVERS, component: EVERY[component]})
    states = {"gpu-1": state}
    assert verdict(TEST, node="gpu-1", states=states, expect=expect, judgement=asked)[:2] == wanted


@pytest.mark.parametrize(
    ("moved", "wanted"),
    [
        ((), "inconclusive"),
        (("doca-ofed",), "inconclusive"),
        (("nvidia-driver",), "pass"),
        (("nvidia-driver", "doca-ofed"), "inconclusive"),
    ],
)
def test_a_second_load_is_asked_for_what_its_hop_moves_and_for_nothing_else(
    moved: tuple[str, ...], wanted: str
) -> None:
    """Another hop of the plan moves a NIC driver, of which no line tells here. Where nobody says, all of it counts."""
    versions = {"nvidia-driver": DRIVER, "doca-ofed": "1.2"}
    movers = {**MOVERS, "doca-ofed": EVERY["doca-ofed"]}
    asked = request(first_loads={"gpu-1": FIRST}, movers=movers, moved=moved)
    states = {"gpu-1": healthy(versions=versions, **at(99.0))}
    assert verdict(TEST, node="gpu-1", states=states, expect=versions, judgement=asked)[0] == wanted


@pytest.mark.parametrize(
    ("state", "given"),
    [
        (NodeState("gpu-1", reachable=False), {}),
        (healthy(marks={}), {}),
        (healthy(**at(99.0)), {"first_loads": {}}),
        (healthy(versions={}, **at(99.0)), {}),
    ],
    ids=["not read", "no mark", "no first load", "no version"],
)
def test_what_can_not_be_told_is_inconclusive(state: NodeState, given: dict[str, Any]) -> None:
    assert judged(state, **given)[0] == "inconclusive"


@pytest.mark.parametrize(("boots", "own", "wanted"), [(2, 0, "fail"), (2, 1, "pass"), (3, 1, "fail")])
def test_boots_of_the_second_load_are_ours_and_one_more_is_not(boots: int, own: int, wanted: str) -> None:
    log = KernelLog((Line("c", 1.0, "x"),), boots, opened=Window("b", 0.0, ""), boot_id="c")
    asked = request(own_boots={"gpu-1": own} if own else {})
    window = Window("b", 0.0, "")
    found = verdict(NO_OTHER_BOOT, node="gpu-1", kernel_log=log, judgement=asked, window=window)
    assert found[0] == wanted
