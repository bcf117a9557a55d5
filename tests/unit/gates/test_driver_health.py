"""Each thing that the driver finds wrong with a GPU fails, what it does not tell is inconclusive, and health passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from knowngood.adapters.cluster.nvidia_smi import parse
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.driver import QUERY, LinksTold, Reports, Told, links_of, report_of
from knowngood.model.hardware import Hardware
from knowngood.model.parts import Waiver
from knowngood.twin.gpu_health import AILMENTS
from knowngood.twin.seed import NodeSeed

from .conftest import gate, healthy, verdict
from .smi import PCIE, SXM, edited, printed, profile

GATE = gate("driver_health")
LIMITS = {"pcieGen": 5, "pcieWidth": 16, "nvlinks": 18}
KERNEL = {"fabric-manager": {"nv-fabricmanager": "running"}}
CAUGHT = {
    "row-remap-pending": "a row remap is pending",
    "row-remap-fails": "a row remap failed",
    "sram-errors": "SRAM",
    "ecc-switched-off": "ECC is off",
    "pcie-downtrains": "PCIe x8, expected x16",
    "thermal-slowdown": "by heat",
    "nvlink-goes-down": "17 of 18 NVLinks are up, down: 7",
    "fabric-in-progress": "the fabric is in progress",
    "inforom-corrupted": "InfoROM",
    "persistence-lost": "persistence is off",
}


def placed(text: str) -> dict[str, str]:
    """GPUs as the kernel's files place them."""
    return {
        g.address: f"minor {n}, {'-'.join(g.uuid.split('-')[:3])}" for n, g in enumerate(parse(text).gpus)
    }


def judged(
    text: str | Told,
    links: str | LinksTold | None = None,
    *,
    seed: NodeSeed = SXM,
    limits: Mapping[str, Any] = LIMITS,
    baseline: Mapping[str, Any] | None = None,
    inventory: Mapping[str, Mapping[str, str]] | None = None,
    waivers: Sequence[Waiver] = (),
) -> tuple[str, str, dict[str, Any]]:
    """The worst of both tests, with all that they measured."""
    told = text if isinstance(text, Told) else report_of(Ran(text, "", 0))
    words = links if links is not None else printed(seed, ("nvlink", "-s"))
    seen = words if isinstance(words, LinksTold) else links_of(Ran(words, "", 0))
    known = inventory if inventory is not None else {**KERNEL, "gpus": placed(printed(seed))}
    common = {
        "node": "gpu-1",
        "state": healthy(inventory=known, gpus=tuple(known.get("gpus", ()))),
        "told_at_rest": {"gpu-1": told},
        "profile": profile(seed),
        "limits": limits,
        "baseline": baseline,
        "waivers": waivers,
    }
    found = [verdict(GATE.test_the_gpus_are_well, **common)]
    found.append(verdict(GATE.test_the_fabric_is_up, nvlinks={"gpu-1": seen}, **common))
    order = ("pass", "inconclusive", "fail")
    worst = max((one[0] for one in found), key=order.index)
    reason = "; ".join(one[1] for one in found if one[0] == worst and one[1])
    return worst, reason, {k: v for one in found for k, v in one[2].measured.items()}


def ailing(fault: str, seed: NodeSeed = SXM) -> tuple[str, str, dict[str, Any]]:
    """A node with that fault, both answers."""
    return judged(printed(seed, ailment=fault), printed(seed, ("nvlink", "-s"), fault), seed=seed)


def test_a_healthy_node_passes_with_and_without_nvswitch() -> None:
    for seed, limits in ((SXM, LIMITS), (PCIE, {}), (SXM, {})):
        verdict_, reason, measured = judged(printed(seed), seed=seed, limits=limits)
        assert (verdict_, reason) == ("pass", "")
        assert len(measured["gpus"]) == 8


def test_each_fault_of_the_twin_has_words() -> None:
    assert CAUGHT.keys() == AILMENTS.keys()


@pytest.mark.parametrize("fault", CAUGHT)
def test_each_fault_fails_and_names_its_gpu(fault: str) -> None:
    verdict_, reason, _ = ailing(fault)
    assert verdict_ == "fail"
    assert CAUGHT[fault] in reason
    assert "0000:3a:00.0" in reason


EDITS = [
    ("<remapped_row_failure>No", "<remapped_row_failure>Yes", "replace it"),
    ("<remapped_row_unc>0", "<remapped_row_unc>513", "513 remapped rows, 512 allowed"),
    ("<sram_uncorrectable_secded>0", "<sram_uncorrectable_secded>1", "1 SRAM errors since the load"),
    ("<dram_uncorrectable>0", "<dram_uncorrectable>1", "1 uncorrectable memory errors since the load"),
    ("<channel_repair_pending>No", "<channel_repair_pending>Yes", "channel repair"),
    ("<tpc_repair_pending>No", "<tpc_repair_pending>Yes", "TPC repair"),
    ("<pending_retirement>N/A", "<pending_retirement>Yes", "page retirement"),
    ("<reset_required>Requested functionality has been deprecated", "<reset_required>Yes", "needs a reset"),
    (
        "<drain_and_reset_recommended>Requested functionality has been deprecated",
        "<drain_and_reset_recommended>Yes",
        "drained",
    ),
    ("<gpu_recovery_action>None", "<gpu_recovery_action>Reboot", "asks for: Reboot"),
    ("<pending_ecc>Enabled", "<pending_ecc>Disabled", "ECC will be disabled"),
    ("<current_link_gen>5", "<current_link_gen>4", "PCIe generation 4, expected 5"),
    ("<max_link_gen>5", "<max_link_gen>4", "can do generation 4 there"),
    ("<current_link_width>16x", "<current_link_width>4x", "PCIe x4"),
    ("sw_thermal_slowdown>Not Active", "sw_thermal_slowdown>Active", "slowed down by heat"),
    ("hw_power_brake_slowdown>Not Active", "hw_power_brake_slowdown>Active", "power brake"),
    ("<pci_device_id>233510DE", "<pci_device_id>233010DE", "PCI id 10de:2330"),
    (
        "<status>Success",
        "<status>Insufficient Resources",
        "Insufficient Resources",
    ),  # Azure/azhpc-images pull 506
    ("<state>Completed", "<state>Not Started", "the fabric is not started"),
    ("<bandwidth>N/A", "<bandwidth>Degraded", "Degraded"),
    ("<route_unhealthy>N/A", "<route_unhealthy>True", "routeUnhealthy"),
    ("<product_name>NVIDIA H200", "<product_name>GPU is lost", "GPU is lost"),
]


@pytest.mark.parametrize(("old", "new", "words"), EDITS)
def test_each_value_that_is_bad_fails(old: str, new: str, words: str) -> None:
    verdict_, reason, _ = judged(edited(printed(), old, new))
    assert (verdict_, words in reason) == ("fail", True), reason


UNTOLD = [
    ("<persistence_mode>Enabled", "<persistence_mode>N/A"),
    ("<img_version>G520.0282.00.04", "<img_version>N/A"),
    ("<current_link_width>16x", "<current_link_width>N/A"),
    ("<max_link_gen>5", "<max_link_gen>N/A"),
    ("<current_ecc>Enabled", "<current_ecc>N/A"),
    ("<dram_uncorrectable>0", "<dram_uncorrectable>N/A"),
    ("<dram_uncorrectable>0", f"<dram_uncorrectable>{'9' * 40}"),
    ("<sram_uncorrectable_parity>0", "<sram_uncorrectable_parity>ERR!"),
    ("<remapped_row_pending>No", "<remapped_row_pending>N/A"),
    ("<remapped_row_pending>No", "<remapped_row_pending>Perhaps"),
    ("<remapped_row_failure>No", "<remapped_row_failure>[Unknown Error]"),
    ("<remapped_row_unc>0", "<remapped_row_unc>-1"),
    ("hw_slowdown>Not Active", "hw_slowdown>N/A"),
    ("<gpu_recovery_action>None", "<gpu_recovery_action>N/A"),
    ("<state>Completed", "<state>N/A"),
    ("<state>Completed", "<state>Somehow"),
    ("<persistence_mode>Enabled", "<persistence_mode>On"),
]


@pytest.mark.parametrize(("old", "new"), UNTOLD)
def test_what_is_promised_and_not_told_is_inconclusive(old: str, new: str) -> None:
    verdict_, reason, _ = judged(edited(printed(), old, new))
    assert verdict_ == "inconclusive", reason
    assert "0000:18:00.0" in reason


def test_the_profile_says_what_such_gpus_do_not_have() -> None:
    text = printed().replace("<img_version>G520.0282.00.04", "<img_version>N/A")
    assert judged(text)[0] == "inconclusive"
    assert judged(text, limits={**LIMITS, "notApplicable": ["inforom"]})[0] == "pass"


@pytest.mark.parametrize(
    "told", [report_of("no driver pod runs on it"), report_of(Ran("", "", 9)), report_of(Ran("", "", 0))]
)
def test_no_answer_is_inconclusive(told: Told) -> None:
    common = {
        "node": "gpu-1",
        "state": healthy(),
        "told_at_rest": {"gpu-1": told},
        "baseline": None,
        "limits": {},
    }
    found = verdict(GATE.test_the_gpus_are_well, profile=profile(), **common)
    assert (found[0], found[1]) == ("inconclusive", told.trouble)


def test_an_empty_document_fails_for_the_gpus_that_are_not_there() -> None:
    text = printed()
    head, rest = text.index("\t<gpu "), text.rindex("</gpu>\n") + len("</gpu>\n")
    empty = (text[:head] + text[rest:]).replace("<attached_gpus>8", "<attached_gpus>0")
    verdict_, reason, _ = judged(empty)
    assert (verdict_, reason) == ("fail", "the driver describes 0 GPUs, the profile 8")


def test_a_code_that_speaks_of_a_gpu_fails_although_nothing_can_be_read() -> None:
    assert judged(report_of(Ran("", "", 15)))[0] == "fail"


def test_another_nodes_answer_is_inconclusive() -> None:
    others = {address: words[:-4] + "ffff" for address, words in placed(printed()).items()}
    assert judged(printed(), inventory={**KERNEL, "gpus": others})[0] == "inconclusive"
    assert (
        judged(printed(), inventory={**KERNEL, "gpus": {"0000:77:00.0": "minor 0, GPU-a-b"}})[0]
        == "inconclusive"
    )


def test_a_resting_link_is_noted_and_a_width_never_rests() -> None:
    rest = edited(
        edited(printed(), "<performance_state>P0", "<performance_state>P8"),
        "<current_link_gen>5",
        "<current_link_gen>1",
    )
    verdict_, reason, _ = judged(rest)
    assert (verdict_, reason) == ("pass", "GPU 0000:18:00.0 rests at PCIe generation 1 in P8")
    assert judged(edited(rest, "<current_link_width>16x", "<current_link_width>8x"))[0] == "fail"


def test_a_power_cap_is_noted() -> None:
    verdict_, reason, _ = judged(edited(printed(), "sw_power_cap>Not Active", "sw_power_cap>Active"))
    assert (verdict_, "power cap" in reason) == ("pass", True)


def test_each_gpu_is_compared_with_itself_by_uuid() -> None:
    _, _, before = judged(printed())
    assert judged(printed(), baseline=before)[0] == "pass"
    rows = printed().replace("<remapped_row_unc>0", "<remapped_row_unc>11")
    _, _, older = judged(rows)
    assert judged(rows, baseline=older)[0] == "pass"
    more = edited(rows, "<remapped_row_unc>11", "<remapped_row_unc>12")
    assert judged(more)[0] == "pass"
    verdict_, reason, _ = judged(more, baseline=older)
    assert (verdict_, "remappedUncorrectable grew from 11 to 12" in reason) == ("fail", True)


def test_a_link_that_was_wider_before_fails_whatever_the_profile_says() -> None:
    narrow = printed().replace("link_width>16x", "link_width>8x")
    assert judged(narrow, limits={"nvlinks": 18})[0] == "pass"
    _, _, before = judged(printed())
    verdict_, reason, _ = judged(narrow, limits={"nvlinks": 18}, baseline=before)
    assert (verdict_, "PCIe x8, before the change x16" in reason) == ("fail", True)


def test_a_gpu_that_is_gone_since_the_baseline_fails() -> None:
    _, _, before = judged(printed())
    gpus = {**before["gpus"], "GPU-gone": {}}
    verdict_, reason, _ = judged(printed(), baseline={**before, "gpus": gpus})
    assert (verdict_, reason) == ("fail", "GPU-gone is gone")


def test_links_are_compared_with_the_baseline_where_the_profile_says_nothing() -> None:
    _, _, before = judged(printed(), limits={})
    down = printed(SXM, ("nvlink", "-s"), "nvlink-goes-down")
    assert judged(printed(), down, limits={})[0] == "pass"
    verdict_, reason, _ = judged(printed(), down, limits={}, baseline=before)
    assert (verdict_, "17 NVLinks are up, before the change 18" in reason) == ("fail", True)


def test_a_link_slower_than_its_neighbours_fails() -> None:
    slow = printed(SXM, ("nvlink", "-s")).replace("Link 10: 26.562", "Link 10: 13.281", 1)
    verdict_, reason, _ = judged(printed(), slow)
    assert (verdict_, "NVLink 10 runs at 13.281" in reason) == ("fail", True)


def test_nvlinks_that_all_became_slow_are_told_by_the_baseline() -> None:
    """Among themselves they agree."""
    links = printed(SXM, ("nvlink", "-s"))
    slow, before = links.replace("26.562", "13.281"), judged(printed())[2]
    found, reason, _ = judged(printed(), slow, baseline=before)
    assert (found, "NVLink 0 runs at 13.281 GB/s, before the change at 26.562" in reason) == ("fail", True)
    assert judged(printed(), links, baseline=before)[:2] == ("pass", "")
    reason = judged(printed(), slow, limits={**LIMITS, "nvlinkGBps": 26.5})[1]
    assert "NVLink 0 runs at 13.281 GB/s, expected at 26.5" in reason


@pytest.mark.parametrize("links", ["", LinksTold(trouble="nvidia-smi nvlink ended with 3")])
def test_promised_links_that_are_not_told_are_inconclusive(links: str | LinksTold) -> None:
    assert judged(printed(), links)[0] == "inconclusive"
    assert judged(printed(PCIE), links, seed=PCIE, limits={})[0] == "pass"


def test_fabric_manager_is_asked_for_where_there_is_nvswitch_only() -> None:
    kernel = {"gpus": placed(printed())}
    verdict_, reason, _ = judged(printed(), inventory=kernel)
    assert (verdict_, reason) == ("fail", "Fabric Manager does not run")
    assert judged(printed(), inventory={})[0] == "inconclusive"
    assert judged(printed(PCIE), seed=PCIE, limits={}, inventory={"gpus": placed(printed(PCIE))})[0] == "pass"


def test_a_gpu_in_mig_mode_has_no_nvlinks_and_that_is_noted() -> None:
    """https://github.com/bottlerocket-os/bottlerocket/pull/4418 shows both."""
    text = edited(
        edited(printed(), "<current_mig>Disabled", "<current_mig>Enabled"), "<state>Completed", "<state>N/A"
    )
    links = printed(SXM, ("nvlink", "-s"))
    first, second = links.index("\t Link 0"), links.index("GPU 1")
    verdict_, reason, _ = judged(text, links[:first] + links[second:])
    assert (verdict_, reason) == ("pass", "in MIG mode, so without NVLink: GPU 0000:18:00.0")


def test_what_may_pass_is_asked_again_and_the_rest_is_not() -> None:
    answers = iter([printed(), printed()])
    asked: list[tuple[str, ...]] = []

    def again(nodes: Any) -> dict[str, Told]:
        asked.append(tuple(nodes))
        return {node: report_of(Ran(next(answers), "", 0)) for node in nodes}

    def at_rest(fault: str) -> Mapping[str, Told]:
        first = {"a": report_of(Ran(printed(ailment=fault), "", 0)), "b": report_of(Ran(printed(), "", 0))}
        found: Callable[..., Mapping[str, Told]] = GATE.told_at_rest.__wrapped__
        return found(Reports(first, again), Hardware((profile(settleSeconds=0.01),)))

    report = at_rest("thermal-slowdown")["a"].report
    assert report is not None
    assert report.gpus[2].told("hwSlowdown") == "Not Active"
    assert asked == [("a",)]
    at_rest("row-remap-pending")
    assert asked == [("a",)]


def test_the_question_is_the_whole_report() -> None:
    assert QUERY == ("nvidia-smi", "-q", "-x")
