"""A node is parted and shared as its own configuration says, or the gate says what is otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.nvidia_smi import Gpu, parse
from knowngood.adapters.cluster.nvidia_smi import slices as listed
from knowngood.adapters.cluster.parting import Layout, Share, layouts, shares
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.driver import Reports, Told, report_of
from knowngood.gate.parting import Parted
from knowngood.model.hardware import Hardware

from .conftest import gate, healthy, verdict
from .smi import PARTED, edited, printed, profile

STATE, KEY, KIND = (
    "nvidia.com/mig.config.state",
    "nvidia.com/device-plugin.config",
    "nvidia.com/gpu.sharing-strategy",
)
MIG, SLICING = gate("mig_layout"), gate("time_slicing")
GPUS = 8
# The form of mig-parted's own examples (NVIDIA/mig-parted examples/config.yaml).
SEVEN = [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.18gb": 7}}]
HALF = [
    {"devices": [0, 1], "mig-enabled": True, "mig-devices": {"3g.71gb": 2}},
    {"devices": [2, 3, 4, 5, 6, 7], "mig-enabled": False},
]
CONFIG = GpuConfig(
    mig={"all-disabled": [{"devices": "all", "mig-enabled": False}], "seven": SEVEN, "half": HALF},
    policy=True,
)
LABELS = {
    "nvidia.com/mig.config": "half",
    STATE: "success",
    "nvidia.com/mig.strategy": "mixed",
}
COUNTS = {"nvidia.com/mig-3g.71gb.count": "4"}
PLACES = {"gpu0": "gi1 gi1/ci0 gi2 gi2/ci0", "gpu1": "gi1 gi1/ci0 gi2 gi2/ci0"}
OFFERED = {"nvidia.com/gpu": "6", "nvidia.com/mig-3g.71gb": "4"}


def parted(mig: tuple[int, ...] = (0, 1)) -> str:
    text = printed()
    for index in mig:
        text = edited(text, "<current_mig>Disabled", "<current_mig>Enabled", index)
        text = edited(text, "<pending_mig>Disabled", "<pending_mig>Enabled", index)
    return text


def slices(profiles: dict[int, list[str]]) -> dict[str, dict[str, str]]:
    uuids = [gpu.uuid for gpu in parse(printed()).gpus]
    return {uuids[i]: {f"MIG-{i}-{n}": p for n, p in enumerate(found)} for i, found in profiles.items()}


HALVES = slices({0: ["3g.71gb", "3g.71gb"], 1: ["3g.71gb", "3g.71gb"]})


def layout(
    text: str | Told = "",
    found: Any = HALVES,
    baseline: Any = None,
    config: GpuConfig = CONFIG,
    labels: dict[str, str] | None = None,
    places: dict[str, str] | None = None,
    allocatable: dict[str, str] | None = None,
    expect: dict[str, str] | None = None,
) -> tuple[str, str]:
    told = text if isinstance(text, Told) else report_of(Ran(text or parted(), "", 0))
    inventory: dict[str, Any] = {"mig": PLACES if places is None else places}
    state = healthy(
        labels={**LABELS, **COUNTS} if labels is None else labels,
        allocatable=OFFERED if allocatable is None else allocatable,
        inventory=inventory,
    )
    return verdict(
        MIG.test_each_gpu_is_parted_as_configured,
        node="gpu-1",
        parted_at_rest={"gpu-1": state},
        parted_now={"gpu-1": Parted(told, found)},
        gpu_settings=config,
        profile=profile(),
        expect=expect or {},
        baseline=baseline,
    )[:2]


def plain(**changes: Any) -> tuple[str, str]:
    given = {
        "text": printed(),
        "found": None,
        "labels": {},
        "places": {},
        "allocatable": {"nvidia.com/gpu": "8"},
    }
    return layout(**{**given, **changes})


def test_a_node_as_its_layout_says_passes_with_and_without_a_baseline() -> None:
    assert layout() == ("pass", "")
    assert layout(baseline={"places": PLACES}) == ("pass", "")


def test_a_node_without_mig_passes() -> None:
    assert plain() == ("pass", "")
    others = {"nvidia.com/gpu": "8", "cpu": "112", "memory": "2Ti", "nvidia.com/rdma_shared": "63"}
    assert plain(allocatable=others) == ("pass", "")
    labels = {"nvidia.com/mig.config": "all-disabled", STATE: "success"}
    assert plain(labels=labels) == ("pass", "")


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        (
            {"found": slices({0: ["3g.71gb", "3g.71gb"], 1: ["3g.71gb"]})},
            "fail",
            "has 1 x 3g.71gb, its layout 2 x 3g",
        ),
        ({"found": slices({0: ["3g.71gb"] * 2, 1: ["4g.71gb", "3g.71gb"]})}, "fail", "1 x 4g.71gb"),
        ({"found": {}}, "fail", "has no MIG device"),
        ({"text": parted((0,))}, "fail", "is not in MIG mode"),
        ({"text": parted((0, 1, 2))}, "fail", "is in MIG mode"),
        (
            {"text": edited(parted(), "<pending_mig>Disabled", "<pending_mig>Enabled", 5)},
            "fail",
            "waits for a reset",
        ),
        ({"labels": {**LABELS, **COUNTS, STATE: "failed"}}, "fail", "says failed"),
        (
            {"labels": {**LABELS, **COUNTS, STATE: "pending"}},
            "inconclusive",
            "at work: pending",
        ),
        (
            {"labels": {**LABELS, **COUNTS, STATE: "rebooting"}},
            "inconclusive",
            "rebooting",
        ),
        ({"labels": {k: v for k, v in LABELS.items() if k != STATE}}, "inconclusive", "it has said nothing"),
        ({"baseline": {"layout": "other"}}, "fail", "its layout is half, before the change other"),
        ({"baseline": {"layout": "other"}, "expect": {"mig-config": "half"}}, "pass", ""),
        ({"baseline": {"layout": "other"}, "expect": {"mig-config": "other"}}, "fail", "before the change"),
        ({"labels": {**LABELS, **COUNTS, "nvidia.com/mig.config": "gone"}}, "inconclusive", "no layout gone"),
        ({"config": GpuConfig(mig_trouble="there is no ConfigMap x")}, "inconclusive", "no ConfigMap x"),
        ({"config": GpuConfig(mig={"half": "nonsense"})}, "inconclusive", "can't be understood"),
        ({"found": None}, "inconclusive", "list of MIG devices can't be read"),
        ({"text": report_of("no driver pod runs on it")}, "inconclusive", "no driver pod"),
        (
            {"baseline": {"places": {**PLACES, "gpu1": "gi1 gi1/ci0 gi3 gi3/ci0"}}},
            "fail",
            "gpu1 has instances",
        ),
        (
            {"allocatable": {**OFFERED, "nvidia.com/mig-3g.71gb": "3"}},
            "fail",
            "3 of 4 nvidia.com/mig-3g.71gb",
        ),
    ],
)
def test_each_thing_that_is_otherwise(changes: dict[str, Any], expected: str, words: str) -> None:
    verdict_, reason = layout(**changes)
    assert (verdict_, words in reason) == (expected, True), reason


def test_a_layout_that_is_gone_after_the_drivers_move_fails() -> None:
    """Hopper loses it with the module: labels and state still say success."""
    whole: dict[str, Any] = {"text": printed(), "found": None, "places": {}, "labels": {**LABELS, **COUNTS}}
    verdict_, reason = layout(**whole, allocatable={"nvidia.com/gpu": "8"})
    assert (verdict_, "is not in MIG mode" in reason) == ("fail", True), reason
    assert plain(baseline={"places": PLACES})[0] == "fail"


def test_what_was_parted_by_hand_is_noted_and_compared() -> None:
    labels = {"nvidia.com/mig.strategy": "mixed", **COUNTS}
    verdict_, reason = layout(labels=labels, baseline={"places": PLACES})
    assert (verdict_, "by hand" in reason) == ("pass", True), reason


def test_the_driver_is_asked_again_where_mig_manager_was_at_work_when_it_was_asked() -> None:
    """What it said while the GPUs were being parted is no layout."""
    work, rest = healthy(labels={**LABELS, STATE: "pending"}), healthy(labels=LABELS)
    asked: list[Any] = []

    def again(nodes: Any) -> dict[str, Told]:
        asked.append(list(nodes))
        return {node: report_of(Ran(parted(), "", 0)) for node in nodes}

    def ask(nodes: Any, _: Any) -> dict[str, Ran]:
        return {node: Ran("", "", 0) for node in nodes}

    before = report_of(Ran(printed(), "", 0))
    reports = Reports({"a": before, "b": before}, again)
    now = MIG.parted_now.__wrapped__({"a": rest, "b": rest}, {"a": work, "b": rest}, reports, ask)
    assert asked == [["a"]]
    assert (now["a"].told is before, now["b"].told is before) == (False, True)
    assert (now["a"].slices, now["b"].slices) == ({}, None)


@pytest.mark.parametrize(
    ("labels", "allocatable", "waits"),
    [
        ({**LABELS, **COUNTS}, OFFERED, False),
        ({**LABELS, **COUNTS, STATE: "pending"}, OFFERED, True),
        ({**LABELS, **COUNTS}, {"nvidia.com/gpu": "0"}, True),
        ({}, {"nvidia.com/gpu": "0"}, False),
    ],
)
def test_mig_manager_and_the_device_plugin_after_it_are_waited_for(
    labels: dict[str, str], allocatable: dict[str, str], waits: bool
) -> None:
    state = healthy(labels=labels, allocatable=allocatable, inventory={"mig": PLACES})
    seen: list[bool] = []

    def settle(asked: Any, _: Any) -> dict[str, Any]:
        seen.append(asked(state))
        return {}

    MIG.parted_at_rest.__wrapped__(settle, Hardware((profile(),)))
    assert seen == [waits]


def test_rules_count_for_the_gpus_that_they_name() -> None:
    gpus = [Gpu("a", "x", {"pciId": "233510DE"}), Gpu("b", "y", {"pciId": "233010DE"})]
    rule = {
        "devices": "all",
        "device-filter": "0x233510DE",
        "mig-enabled": True,
        "mig-devices": {"7g.141gb": 1},
    }
    none = {"devices": "all", "mig-enabled": False}
    assert layouts([none, rule], gpus) == [Layout(True, {"7g.141gb": 1}), Layout(False, {})]
    assert layouts([rule, none], gpus) == [Layout(False, {}), Layout(False, {})]


@pytest.mark.parametrize("rules", [None, {}, [1], [{}], [{"mig-enabled": True, "mig-devices": {"1g": "7"}}]])
def test_rules_that_are_none_are_refused(rules: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        layouts(rules, [Gpu("a", "x", {})])


FOUR = {
    "version": "v1",
    "sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}},
}
RENAMED = {
    "sharing": {"timeSlicing": {"renameByDefault": True, "resources": [{"name": "gpu", "replicas": 4}]}}
}
NAMELESS: dict[str, Any] = {"sharing": {"timeSlicing": {"resources": [{}]}}}
PLUGIN = GpuConfig(
    plugin={"four": FOUR, "renamed": RENAMED, "whole": {"version": "v1"}}, named=True, policy=True
)
SHARED = {
    KEY: "four",
    KIND: "time-slicing",
    "nvidia.com/gpu.replicas": "4",
}


def shared(
    labels: dict[str, str] = SHARED,
    allocatable: dict[str, str] | None = None,
    config: GpuConfig = PLUGIN,
    text: str | Told = "",
    inventory: dict[str, Any] | None = None,
) -> tuple[str, str]:
    told = text if isinstance(text, Told) else report_of(Ran(text or printed(), "", 0))
    offered = {"nvidia.com/gpu": "32"} if allocatable is None else allocatable
    state = healthy(labels=labels, allocatable=offered, inventory=inventory or {"mig": {}})
    return verdict(
        SLICING.test_what_is_shared_is_offered_as_configured,
        node="gpu-1",
        shared_at_rest={"gpu-1": state},
        reports=Reports({"gpu-1": told}, dict),  # type: ignore[arg-type]
        gpu_settings=config,
        profile=profile(),
    )[:2]


def test_shared_gpus_as_configured_pass_and_a_node_that_shares_none() -> None:
    assert shared() == ("pass", "")
    assert shared({}, {"nvidia.com/gpu": "8"}) == ("pass", "no GPU is shared")
    assert shared({}, {"nvidia.com/gpu": "8"}, GpuConfig()) == ("pass", "no GPU is shared")


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({"allocatable": {"nvidia.com/gpu": "8"}}, "fail", "8 of 32 nvidia.com/gpu"),
        ({"allocatable": {}}, "fail", "0 of 32"),
        ({"labels": {}, "allocatable": {"nvidia.com/gpu": "32"}}, "fail", "32 of 8"),
        ({"labels": {**SHARED, "nvidia.com/gpu.replicas": "2"}}, "fail", "says 2, configured are 4"),
        ({"labels": {**SHARED, KIND: "none"}}, "fail", "says none"),
        ({"labels": {**SHARED, KEY: "gone"}}, "inconclusive", "no key gone"),
        (
            {"labels": {**SHARED, KEY: "renamed"}},
            "fail",
            "0 of 32 nvidia.com/gpu.shared",
        ),
        (
            {"config": GpuConfig(named=True, policy=True, plugin_trouble="no ConfigMap p")},
            "inconclusive",
            "no ConfigMap p",
        ),
        ({"config": replace(PLUGIN, plugin={"four": NAMELESS})}, "inconclusive", "understood"),
        ({"config": GpuConfig()}, "inconclusive", "no ClusterPolicy"),
        (
            {"text": edited(printed(), "<compute_mode>Default", "<compute_mode>Exclusive_Process")},
            "fail",
            "Exclusive_Process",
        ),
        ({"text": report_of("no driver pod runs on it")}, "inconclusive", "no driver pod"),
    ],
)
def test_each_thing_that_is_shared_otherwise(changes: dict[str, Any], expected: str, words: str) -> None:
    verdict_, reason = shared(**changes)
    assert (verdict_, words in reason) == (expected, True), reason


def test_a_renamed_resource_is_offered_under_its_name_only() -> None:
    labels = {**SHARED, KEY: "renamed"}
    assert shared(labels, {"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "32"})[0] == "pass"
    assert shared(labels, {"nvidia.com/gpu": "8", "nvidia.com/gpu.shared": "32"})[0] == "fail"


def test_the_default_key_counts_where_the_node_names_none() -> None:
    labels = {k: v for k, v in SHARED.items() if k != KEY}
    config = GpuConfig(plugin=PLUGIN.plugin, named=True, policy=True, default="four")
    assert shared(labels, config=config)[0] == "pass"


def test_mig_devices_may_be_shared_too() -> None:
    config = {"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/mig-3g.71gb", "replicas": 2}]}}}
    labels = {"nvidia.com/mig.strategy": "mixed", **COUNTS, KEY: "m"}
    settings = GpuConfig(plugin={"m": config}, named=True, policy=True)
    offered = {"nvidia.com/gpu": "6", "nvidia.com/mig-3g.71gb": "8"}
    assert shared(labels, offered, settings, inventory={"mig": PLACES})[0] == "pass"
    assert shared(labels, OFFERED, settings, inventory={"mig": PLACES})[0] == "fail"


def test_mps_is_another_way_to_share() -> None:
    config = {"sharing": {"mps": {"resources": [{"name": "nvidia.com/gpu", "replicas": 10}]}}}
    assert shares(config) == [Share("mps", "nvidia.com/gpu", 10, "nvidia.com/gpu")]


def test_the_twins_parted_node_is_parted_as_its_layout_says() -> None:
    labels = {**LABELS, "nvidia.com/mig.config": "seven", "nvidia.com/mig.strategy": "single"}
    places = {f"gpu{n}": " ".join(f"gi{i} gi{i}/ci0" for i in range(7)) for n in range(GPUS)}
    there: dict[str, Any] = {
        "text": printed(PARTED),
        "labels": labels,
        "places": places,
        "allocatable": {"nvidia.com/gpu": "56"},
    }
    found = listed(printed(PARTED, ("-L",)))
    assert layout(**there, found=found) == ("pass", "")
    uuid = next(iter(found))
    fewer = {**found, uuid: dict(list(found[uuid].items())[1:])}
    verdict_, reason = layout(**there, found=fewer)
    assert (verdict_, "has 6 x 1g.18gb, its layout 7 x 1g.18gb" in reason) == ("fail", True), reason


def test_a_gpu_that_is_parted_now_and_was_not_before_is_named_and_the_other_way_round() -> None:
    verdict_, reason = layout(baseline={"places": {"gpu0": PLACES["gpu0"]}})
    assert (verdict_, "gpu1 has instances gi1 gi1/ci0 gi2 gi2/ci0, before the change none" in reason) == (
        "fail",
        True,
    )
    verdict_, reason = layout(baseline={"places": {**PLACES, "gpu2": "gi1"}})
    assert (verdict_, "gpu2 has instances none, before the change gi1" in reason) == ("fail", True)
    assert layout(places={**PLACES, "gpu2": ""}, baseline={"places": PLACES})[0] == "pass"


def test_mig_devices_are_offered_by_the_strategy_and_each_resources_own_replicas() -> None:
    single = {**LABELS, "nvidia.com/mig.strategy": "single"}
    given: dict[str, Any] = {
        "text": parted(tuple(range(8))),
        "found": slices({n: ["7g.141gb"] for n in range(8)}),
    }
    given |= {"places": {f"gpu{n}": "gi0 gi0/ci0" for n in range(8)}, "config": GpuConfig()}
    given |= {"labels": {k: v for k, v in single.items() if "config" not in k}}
    assert layout(**given, allocatable={"nvidia.com/gpu": "8"})[0] == "pass"
    assert layout(**given, allocatable={"nvidia.com/gpu": "7"})[0] == "fail"
    given["labels"]["nvidia.com/gpu.replicas"] = "2"
    assert layout(**given, allocatable={"nvidia.com/gpu": "16"})[0] == "pass"
