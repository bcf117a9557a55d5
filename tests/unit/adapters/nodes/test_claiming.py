"""A node is claimed whole or not at all, held, and given back as it was; whoever lost the claim changes nothing."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import BOOT, DAEMONSETS, FENCE, NODE, NODE_PATH, OLD, RUN, machine, task

from knowngood.adapters.cluster import node_state
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.nodes import batch, claiming, preflight
from knowngood.adapters.nodes.batch import ClaimLost, NodeFailed, each
from knowngood.engine.restored import without_our_hold
from knowngood.model import names
from knowngood.model.errors import Unreachable
from knowngood.model.node import NodeState

CLAIM, SNAPSHOT = names.CLAIM_ANNOTATION, names.SNAPSHOT_ANNOTATION
OURS = {"key": names.MAINTENANCE_TAINT, "value": RUN, "effect": "NoSchedule"}


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    machine(kube)
    return kube


def now(kube: FakeKube) -> dict[str, Any]:
    return kube.objects[NODE_PATH]


def annotate(kube: FakeKube, **annotations: str) -> None:
    obj = now(kube)
    obj["metadata"]["annotations"] |= annotations
    kube.put(NODE_PATH, obj)


def without_version(obj: dict[str, Any]) -> dict[str, Any]:
    clean = copy.deepcopy(obj)
    del clean["metadata"]["resourceVersion"]
    return clean


def test_a_claim_is_one_patch_of_claim_snapshot_taint_and_cordon(kube: FakeKube) -> None:
    changed, _ = claiming.claim(task(kube), NODE)
    obj = now(kube)
    assert changed
    assert obj["metadata"]["annotations"][CLAIM] == FENCE
    assert SNAPSHOT in obj["metadata"]["annotations"]
    assert obj["spec"] == {"taints": [OURS], "unschedulable": True}
    assert kube.writes == [("PATCH", NODE_PATH)]


def test_a_second_claim_changes_nothing(kube: FakeKube) -> None:
    claiming.claim(task(kube), NODE)
    before = copy.deepcopy(now(kube))
    assert claiming.claim(task(kube), NODE)[0] is False
    assert now(kube) == before


def test_release_restores_the_node_exactly(kube: FakeKube) -> None:
    before = without_version(now(kube))
    claiming.claim(task(kube), NODE)
    assert claiming.release(task(kube), NODE)[0] is True
    assert without_version(now(kube)) == before
    assert claiming.release(task(kube), NODE)[0] is False


def test_other_taints_and_annotations_survive_claim_and_release(kube: FakeKube) -> None:
    other = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    obj = now(kube)
    obj["spec"]["taints"] = [other]
    kube.put(NODE_PATH, obj)
    claiming.claim(task(kube), NODE)
    assert now(kube)["spec"]["taints"] == [other, OURS]
    claiming.release(task(kube), NODE)
    assert now(kube)["spec"] == {"taints": [other]}
    assert now(kube)["metadata"]["annotations"] == {"other": "kept"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spec": {"unschedulable": True}}, "somebody has cordoned it"),
        ({"annotations": {CLAIM: "r20260101-000000-aaaa/1"}}, "run r20260101-000000-aaaa has claimed it"),
        ({"annotations": {"machineconfiguration.openshift.io/state": "Working"}}, "machine-config"),
        (
            {
                "annotations": {
                    "machineconfiguration.openshift.io/currentConfig": "a",
                    "machineconfiguration.openshift.io/desiredConfig": "b",
                }
            },
            "config pending",
        ),
        ({"labels": {"nvidia.com/gpu-driver-upgrade-state": "drain-required"}}, "driver upgrade"),
        ({"labels": {"nvidia.com/gpu.deploy.device-plugin": "paused-for-driver-upgrade"}}, "parked"),
        ({"spec": {"taints": [{"key": names.QUARANTINE_TAINT, "effect": "NoSchedule"}]}}, "quarantined"),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, "not Ready"),
    ],
)
def test_a_node_that_is_not_quiet_is_left_alone(kube: FakeKube, change: dict[str, Any], reason: str) -> None:
    obj = now(kube)
    obj["metadata"]["annotations"] |= change.get("annotations", {})
    obj["metadata"]["labels"] |= change.get("labels", {})
    obj["spec"] |= change.get("spec", {})
    obj["status"] |= change.get("status", {})
    kube.put(NODE_PATH, obj)
    with pytest.raises(NodeFailed, match=reason):
        claiming.claim(task(kube), NODE)
    assert kube.writes == []


def test_a_foreign_cordon_is_waited_for(kube: FakeKube) -> None:
    """A colleague's look at a node is no reason to undo a canary."""
    obj = now(kube)
    obj["spec"]["unschedulable"] = True
    kube.put(NODE_PATH, obj)
    told: list[str] = []

    def lifted(_node: str, text: str) -> None:
        told.append(text)
        free = now(kube)
        del free["spec"]["unschedulable"]
        kube.put(NODE_PATH, free)

    report = preflight.claim(task(kube, tell=lifted), [NODE])
    assert report.done == [NODE]
    assert told == ["waiting: somebody has cordoned it"]


def test_a_foreign_cordon_that_stays_says_nothing_of_the_node(kube: FakeKube) -> None:
    obj = now(kube)
    obj["spec"]["unschedulable"] = True
    kube.put(NODE_PATH, obj)
    report = preflight.claim(task(kube), [NODE])
    assert report.could_not == [NODE]
    assert kube.writes == []


def test_operands_that_do_not_tolerate_our_taint_stop_the_claim(kube: FakeKube) -> None:
    plugin = kube.objects[f"{DAEMONSETS}/nvidia-device-plugin-daemonset"]
    plugin["spec"]["template"]["spec"]["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    report = preflight.claim(task(kube), [NODE])
    assert "nvidia-device-plugin-daemonset does not tolerate" in report.failed[NODE]
    assert kube.writes == []


SRIOV = "/apis/sriovnetwork.openshift.io/v1/namespaces/x/sriovnetworknodestates"


def _sriov_fails(kube: FakeKube) -> None:
    kube.collections.add("sriovnetworknodestates")
    kube.put(f"{SRIOV}/{NODE}", {"metadata": {"name": NODE}, "status": {"syncStatus": "Failed"}})


def test_a_node_that_another_operator_works_on_is_not_claimed(kube: FakeKube) -> None:
    _sriov_fails(kube)
    report = preflight.claim(task(kube), [NODE])
    assert report.failed == {NODE: "SR-IOV state Failed"}
    assert report.could_not == [NODE]
    assert kube.writes == []


@pytest.mark.parametrize("then", ["claimed", "quarantined"])
def test_what_our_change_broke_in_others_keeps_no_way_back_from_a_node_of_ours(
    kube: FakeKube, then: str
) -> None:
    """The bad bump left SR-IOV failed on the canary: neither a resume nor the undo could take its claim anew."""
    claiming.claim(task(kube, fence=f"{RUN}/3"), NODE)
    if then == "quarantined":
        claiming.quarantine(task(kube, fence=f"{RUN}/3", reasons={NODE: "Xid 79"}), NODE)
    _sriov_fails(kube)
    report = preflight.claim(task(kube), [NODE])
    assert (report.done, report.failed) == ([NODE], {})
    assert now(kube)["metadata"]["annotations"][CLAIM] == FENCE


def test_an_unreadable_kernel_log_stops_the_claim(kube: FakeKube) -> None:
    """Without the load before there would be no telling a new load from an old one."""
    kube.journals.clear()
    report = preflight.claim(task(kube), [NODE])
    assert "503" in report.failed[NODE]
    assert kube.writes == []


def test_our_runs_older_fence_is_replaced_and_the_snapshot_kept(kube: FakeKube) -> None:
    claiming.claim(task(kube, fence=f"{RUN}/3"), NODE)
    snapshot = now(kube)["metadata"]["annotations"][SNAPSHOT]
    claiming.claim(task(kube), NODE)
    assert now(kube)["metadata"]["annotations"] == {"other": "kept", CLAIM: FENCE, SNAPSHOT: snapshot}


def test_a_runner_of_an_older_lease_may_not_take_the_claim_back(kube: FakeKube) -> None:
    claiming.claim(task(kube, fence=f"{RUN}/5"), NODE)
    with pytest.raises(ClaimLost):
        claiming.claim(task(kube), NODE)


@pytest.mark.parametrize("action", [claiming.release, claiming.quarantine])
def test_a_stale_runner_changes_nothing(kube: FakeKube, action: batch.Action) -> None:
    claiming.claim(task(kube, fence=f"{RUN}/5"), NODE)
    before = copy.deepcopy(now(kube))
    report = each(task(kube), [NODE], action)
    assert report.lost == [NODE]
    assert now(kube) == before


@pytest.mark.parametrize("action", [claiming.claim, claiming.quarantine])
def test_a_runner_that_slept_takes_no_node_that_another_has_given_back(
    kube: FakeKube, action: batch.Action
) -> None:
    """Such a node has no claim to test: the Lease, which counts further than the sleeper's fence, says it."""
    lease = "/apis/coordination.k8s.io/v1/namespaces/knowngood/leases/knowngood"
    kube.put(lease, {"spec": {"leaseTransitions": 5}})
    report = batch.each(task(kube), [NODE], action)
    assert report.lost == [NODE]
    assert kube.writes == []
    kube.put(lease, {"spec": {"leaseTransitions": 4}})
    assert batch.each(task(kube), [NODE], action).done == [NODE]


def test_a_claim_lost_between_look_and_patch_fails_the_patchs_test(kube: FakeKube) -> None:
    """The window that only the JSON Patch `test` closes."""
    claiming.claim(task(kube), NODE)

    def steal(method: str, where: str) -> None:
        if method == "PATCH":
            kube.before.clear()
            annotate(kube, **{CLAIM: f"{RUN}/5"})

    kube.before.append(steal)
    with pytest.raises(ClaimLost):
        claiming.release(task(kube), NODE)
    assert now(kube)["spec"] == {"taints": [OURS], "unschedulable": True}
    assert [w for w in kube.writes if w[0] == "PATCH"] == [("PATCH", NODE_PATH)]


def test_two_runs_that_claim_at_once_end_with_one_claim(kube: FakeKube) -> None:
    def overtake(method: str, where: str) -> None:
        if method == "PATCH":
            kube.before.clear()
            claiming.claim(task(kube, fence="r20260822-999999-ffff/9"), NODE)

    kube.before.append(overtake)
    with pytest.raises(NodeFailed, match="r20260822-999999-ffff"):
        claiming.claim(task(kube), NODE)
    assert now(kube)["metadata"]["annotations"][CLAIM] == "r20260822-999999-ffff/9"


def test_a_kubelets_write_in_between_only_costs_another_try(kube: FakeKube) -> None:
    def heartbeat(method: str, where: str) -> None:
        if method == "PATCH":
            kube.before.clear()
            kube.put(NODE_PATH, now(kube))

    kube.before.append(heartbeat)
    assert claiming.claim(task(kube), NODE)[0]
    assert now(kube)["spec"]["unschedulable"] is True


def test_a_lifted_cordon_is_put_back_under_our_claim_only(kube: FakeKube) -> None:
    claiming.claim(task(kube), NODE)
    assert claiming.hold(task(kube), NODE) is False
    obj = now(kube)
    obj["spec"] = {}
    kube.put(NODE_PATH, obj)
    assert claiming.hold(task(kube), NODE) is True
    assert now(kube)["spec"] == {"taints": [OURS], "unschedulable": True}
    with pytest.raises(ClaimLost):
        claiming.hold(task(kube, fence=f"{RUN}/9"), NODE)


def test_quarantine_swaps_our_taint_says_why_and_is_final_for_release(kube: FakeKube) -> None:
    claiming.claim(task(kube), NODE)
    ours = task(kube, reasons={NODE: "xid 79 on 0000:18:00"})
    assert claiming.quarantine(ours, NODE)[0]
    obj = now(kube)
    assert [t["key"] for t in obj["spec"]["taints"]] == [names.QUARANTINE_TAINT]
    assert obj["spec"]["unschedulable"] is True
    assert obj["metadata"]["annotations"] == {
        "other": "kept",
        names.REASON_ANNOTATION: "xid 79 on 0000:18:00",
    }
    assert claiming.quarantine(ours, NODE)[0] is False
    with pytest.raises(NodeFailed, match="only a human"):
        claiming.release(task(kube), NODE)
    assert now(kube)["spec"]["unschedulable"] is True


def test_our_old_quarantine_does_not_open_a_node_that_another_run_has_claimed(kube: FakeKube) -> None:
    claiming.quarantine(task(kube, reasons={NODE: "Xid 79"}), NODE)
    annotate(kube, **{CLAIM: "r20260823-000000-beef/9"})
    before = copy.deepcopy(now(kube))
    with pytest.raises(NodeFailed, match="r20260823-000000-beef has claimed it"):
        claiming.claim(task(kube), NODE)
    assert now(kube) == before


def test_a_node_that_is_not_claimed_can_be_quarantined(kube: FakeKube) -> None:
    assert claiming.quarantine(task(kube, reasons={NODE: "why"}), NODE)[0]


def test_a_batch_tells_each_nodes_fate(kube: FakeKube) -> None:
    report = each(task(kube), ["gpu-9", NODE], claiming.claim)
    assert report.done == [NODE]
    assert report.failed == {"gpu-9": "there is no such node"}
    assert report.changed


@pytest.mark.parametrize("left", ["taint", "cordon", "snapshot"])
def test_a_node_whose_claim_was_removed_is_not_released_while_anything_of_it_stays(
    kube: FakeKube, left: str
) -> None:
    claiming.claim(task(kube), NODE)
    obj = now(kube)
    del obj["metadata"]["annotations"][CLAIM]
    if left != "snapshot":
        del obj["metadata"]["annotations"][SNAPSHOT]
    obj["spec"] = {"taint": {"taints": [OURS]}, "cordon": {"unschedulable": True}}.get(left, {})
    before = copy.deepcopy(kube.put(NODE_PATH, obj))
    report = each(task(kube), [NODE], claiming.release)
    assert "its claim is gone" in report.failed[NODE]
    assert now(kube) == before


@pytest.mark.parametrize("action", [claiming.hold, claiming.release, lambda t, n: t.ours(n)])
def test_a_removed_claim_does_not_say_that_another_run_holds_the_cluster(kube: FakeKube, action: Any) -> None:
    """`lost` is what ends a run with "another run holds the cluster": only a newer Lease's claim says that."""
    claiming.claim(task(kube), NODE)
    obj = now(kube)
    del obj["metadata"]["annotations"][CLAIM]
    kube.put(NODE_PATH, obj)

    def act(of: Any, name: str) -> tuple[bool, dict[str, Any]]:
        action(of, name)
        return False, {}

    report = each(task(kube), [NODE], act)
    assert report.failed
    assert report.lost == []


def test_a_node_that_we_hold_is_as_before_but_for_our_hold(kube: FakeKube) -> None:
    """An undo proves its nodes before it releases them: what the release takes away is no difference."""

    def seen() -> NodeState:
        obj = now(kube)
        return NodeState(NODE, reachable=True, **node_state._of_object(obj))

    before = seen()
    claiming.claim(task(kube), NODE)
    held = seen()
    assert held.written != before.written
    assert without_our_hold(before, held) == before


def test_a_claim_tells_what_it_measured_for_its_snapshot(kube: FakeKube) -> None:
    """Boot, uptime, load and versions: the engine opens the judgement's window with them and does not look again."""
    seen = batch.each(task(kube), [NODE], claiming.claim).seen[NODE]
    assert (seen["boot_id"].replace("-", ""), seen["uptime_seconds"]) == (BOOT, 1000.25)
    assert seen["marks"]["nvidia-driver"]["version"] == seen["versions"]["nvidia-driver"] == OLD


def test_a_node_without_a_driver_that_answers_is_claimed_by_its_kernel_log(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A way back needs the node all the more; nothing is told that was not measured."""

    def broken(*_where: object, **_options: object) -> object:
        raise Unreachable("the container is not running")

    monkeypatch.setattr(pod_exec, "run", broken)
    report = batch.each(task(kube), [NODE], claiming.claim)
    assert (report.done, report.seen) == ([NODE], {})
    snapshot = json.loads(kube.objects[NODE_PATH]["metadata"]["annotations"][names.SNAPSHOT_ANNOTATION])
    assert snapshot["marks"]["nvidia-driver"]["version"] == OLD
