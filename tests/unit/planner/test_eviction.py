"""Which pod of a node goes, stays, or stands in the way: a table of pods, then the words we count disruption in."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.model.matrix import Tenant
from knowngood.planner.eviction import EVERYBODY, Action, Owner, decide, owner_of, workloads

TENANTS = (Tenant("vision", ("vision", "openshift-like"), eviction_deadline=60.0),)
OPERATORS = ("nvidia-gpu-operator", "nvidia-network-operator")
GPU = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}


def pod(
    namespace: str = "vision",
    *,
    owner: str = "ReplicaSet",
    container: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    phase: str = "Running",
) -> dict[str, Any]:
    references = [{"kind": owner, "name": "serve-abc", "controller": True}] if owner else []
    return {
        "metadata": {
            "name": "serve-abc-1",
            "namespace": namespace,
            "uid": "u1",
            "labels": {"pod-template-hash": "abc"},
            "ownerReferences": references,
            **(metadata or {}),
        },
        "spec": {"containers": [{"name": "c", **(GPU if container is None else container)}], **(spec or {})},
        "status": {"phase": phase},
    }


def fate(one: dict[str, Any]) -> Action:
    (decision,) = decide([one], TENANTS, OPERATORS, 600.0)
    return decision.action


ROWS = {
    "a tenant's GPU pod goes": (pod(), Action.EVICT),
    "a finished pod holds nothing": (pod(phase="Succeeded"), Action.SKIP),
    "a failed pod holds nothing": (pod(phase="Failed"), Action.SKIP),
    "a static pod is the kubelet's": (
        pod(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        Action.SKIP,
    ),
    "a pod owned by its Node is static too": (pod(owner="Node"), Action.SKIP),
    "a DaemonSet's pod is never evicted, emptyDir or not": (
        pod(owner="DaemonSet", container={}, spec={"volumes": [{"name": "t", "emptyDir": {}}]}),
        Action.SKIP,
    ),
    "a tenant's DaemonSet with GPUs holds the driver, and would come back": (
        pod(owner="DaemonSet"),
        Action.BLOCK,
    ),
    "... unless it leaves before the driver does": (
        pod(owner="DaemonSet", spec={"nodeSelector": {"nvidia.com/gpu.deploy.client": "true"}}),
        Action.SKIP,
    ),
    "an agent's DaemonSet that runs with all GPUs holds the driver": (
        pod("monitoring", owner="DaemonSet", container={}, spec={"runtimeClassName": "nvidia"}),
        Action.BLOCK,
    ),
    "an agent's DaemonSet that looks at devices holds nothing": (
        pod(
            "monitoring",
            owner="DaemonSet",
            container={},
            spec={"volumes": [{"name": "d", "hostPath": {"path": "/dev"}}]},
        ),
        Action.SKIP,
    ),
    "a pod that has all GPUs by its runtime class goes": (
        pod(container={}, spec={"runtimeClassName": "nvidia"}),
        Action.EVICT,
    ),
    "a runtime class of somebody else gives no GPU": (
        pod(container={}, spec={"runtimeClassName": "kata"}),
        Action.SKIP,
    ),
    "the operator's own pods are its to move": (pod("nvidia-gpu-operator"), Action.SKIP),
    "kube-system is not ours to touch": (pod("kube-system"), Action.SKIP),
    "nor are the platform's namespaces": (pod("openshift-storage"), Action.SKIP),
    "our own probes are cleaned up by who made them": (pod("knowngood"), Action.SKIP),
    "a tenant's namespace is a tenant's whatever its name": (pod("openshift-like"), Action.EVICT),
    "a GPU user of no tenant goes as well": (pod("default"), Action.EVICT),
    "a web server may stay": (pod(container={}), Action.SKIP),
    "zero GPUs are none": (
        pod(container={"resources": {"limits": {"nvidia.com/gpu": "0"}}}),
        Action.SKIP,
    ),
    "an emptyDir is no obstacle": (pod(spec={"volumes": [{"name": "shm", "emptyDir": {}}]}), Action.EVICT),
    "one on its way out is waited for": (
        pod(metadata={"deletionTimestamp": "2026-08-22T03:15:00Z"}),
        Action.WAIT,
    ),
    "a notebook without a controller blocks": (pod(owner=""), Action.BLOCK),
    "a pod that a peered cluster offloaded has a controller: Liqo's ShadowPod": (
        pod("web-rome", owner="ShadowPod"),
        Action.EVICT,
    ),
    "a bare pod that uses no device does not": (pod(owner="", container={}), Action.SKIP),
    "an init container's GPU counts": (
        pod(container={}, spec={"initContainers": [{"name": "i", **GPU}]}),
        Action.EVICT,
    ),
    "a MIG slice is a GPU": (
        pod(container={"resources": {"requests": {"nvidia.com/mig-1g.18gb": 1}}}),
        Action.EVICT,
    ),
    "an RDMA device is what a driver takes away": (
        pod(container={"resources": {"requests": {"rdma/rdma_shared_device_a": "1"}}}),
        Action.EVICT,
    ),
    "an SR-IOV pool is RDMA": (
        pod(container={"resources": {"requests": {"openshift.io/mlnx_rail_0": "1"}}}),
        Action.EVICT,
    ),
    "a device claim may be a GPU": (
        pod(container={}, spec={"resourceClaims": [{"name": "gpu"}]}),
        Action.EVICT,
    ),
    "who opens the device without asking is a user": (
        pod(container={}, spec={"volumes": [{"name": "d", "hostPath": {"path": "/dev/nvidia0"}}]}),
        Action.EVICT,
    ),
    "all of /dev holds the GPU's device too": (
        pod(container={}, spec={"volumes": [{"name": "d", "hostPath": {"path": "/dev"}}]}),
        Action.EVICT,
    ),
    "a host path elsewhere is none of ours": (
        pod(container={}, spec={"volumes": [{"name": "d", "hostPath": {"path": "/var/log"}}]}),
        Action.SKIP,
    ),
}


@pytest.mark.parametrize(("one", "expected"), ROWS.values(), ids=ROWS.keys())
def test_each_pod_has_its_fate(one: dict[str, Any], expected: Action) -> None:
    assert fate(one) is expected


def test_a_tenants_deadline_holds_and_never_exceeds_the_drains_own() -> None:
    (mine,) = decide([pod()], TENANTS, OPERATORS, 600.0)
    (short,) = decide([pod()], TENANTS, OPERATORS, 30.0)
    (nobodys,) = decide([pod("default")], TENANTS, OPERATORS, 600.0)
    assert (mine.deadline, short.deadline, nobodys.deadline) == (60.0, 30.0, 600.0)


def test_a_replica_sets_pod_counts_for_its_deployment() -> None:
    assert owner_of(pod(), "vision") == Owner("vision", "vision", "Deployment", "serve")


def test_a_replica_set_of_its_own_keeps_its_name() -> None:
    one = pod(metadata={"labels": {}})
    assert owner_of(one).kind == "ReplicaSet"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("pod-group-name", "PodGroup"),
        ("jobset.sigs.k8s.io/jobset-name", "JobSet"),
        ("kueue.x-k8s.io/pod-group-name", "Workload"),
    ],
)
def test_a_gang_is_one_workload_however_many_ranks_run_here(key: str, kind: str) -> None:
    ranks = [
        pod(owner="StatefulSet", metadata={"name": f"r{i}", "annotations": {key: "train"}}) for i in range(4)
    ]
    counted = workloads(decide(ranks, TENANTS, OPERATORS, 600.0))
    assert counted == {Owner("vision", "vision", kind, "train", gang=True): 4}


def test_who_stays_is_not_counted_as_disturbed() -> None:
    decisions = decide([pod(container={}), pod(owner="DaemonSet", container={})], TENANTS, OPERATORS, 600.0)
    assert workloads(decisions) == {}


def mounting(device: str) -> dict[str, Any]:
    return pod(container={}, spec={"volumes": [{"name": "d", "hostPath": {"path": device}}]})


RDMA = {"resources": {"limits": {"rdma/rdma_shared_device_a": "1"}}}


@pytest.mark.parametrize(
    ("user", "users", "action"),
    [
        (pod(), ("gpu",), Action.EVICT),
        (pod(), ("rdma",), Action.SKIP),
        (pod(container=RDMA), ("rdma",), Action.EVICT),
        (pod(container=RDMA), ("gpu",), Action.SKIP),
        (mounting("/dev/nvidia0"), ("rdma",), Action.SKIP),
        (mounting("/dev/infiniband"), ("gpu",), Action.SKIP),
        (mounting("/dev/gdrdrv"), ("gpu",), Action.EVICT),
        (mounting("/dev/gdrdrv"), ("rdma",), Action.EVICT),
        (mounting("/dev"), ("rdma",), Action.EVICT),
        (pod(), (), Action.SKIP),
    ],
)
def test_only_those_leave_whom_the_move_would_hurt(
    user: dict[str, Any], users: tuple[str, ...], action: Action
) -> None:
    """What may be either counts as both."""
    (decision,) = decide([user], TENANTS, OPERATORS, 60.0, users)
    assert decision.action is action, decision.reason


def test_where_the_node_boots_whoever_works_there_goes_within_the_same_filters() -> None:
    rows = {
        "web": (pod("web", container={}), Action.EVICT),
        "bare": (pod("web", owner="", container={}), Action.BLOCK),
        "daemon": (pod("web", owner="DaemonSet", container={}), Action.SKIP),
        "system": (pod("openshift-ingress", container={}), Action.SKIP),
        "finished": (pod("web", container={}, phase="Succeeded"), Action.SKIP),
    }
    for name, (one, wanted) in rows.items():
        (decision,) = decide([one], TENANTS, OPERATORS, 600.0, (EVERYBODY, "gpu"))
        assert decision.action is wanted, name
