"""What the engine is told of a cluster: roles, tenants' work, what is left over, and who else works on nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE, NODE_PATH, machine

from knowngood.adapters.cluster import node_state
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes.client import Object, refuse
from knowngood.adapters.kubernetes.kubeconfig import Access
from knowngood.adapters.kubernetes.lease import LEASE_PATH
from knowngood.model import names
from knowngood.model.errors import ExitCode, Interrupted, Location, UsageError
from knowngood.model.field import Field, ObjectRef
from knowngood.model.gitops import GitOps
from knowngood.model.matrix import Cluster, Identity, Limits, Tenant
from knowngood.model.node import GpuUse, NodeState, Workload
from knowngood.planner.roles import role

VISION = "/apis/apps/v1/namespaces/vision"
PODS = "/api/v1/namespaces/vision/pods"
SERVE = {"app": "serve", "pod-template-hash": "abc"}


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    machine(kube)
    return kube


def reader(kube: FakeKube) -> KubeCluster:
    tenants = (Tenant("vision", ("vision",), 60.0),)
    gitops, where = GitOps("x", "main", ()), Location("clusters/ams.yaml", 1)
    cluster = Cluster("ams", "p", "r", (), (), (NODE,), (), (), tenants, gitops, (), Limits(), "hold", where)
    return KubeCluster(kube, cluster)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}, "control-plane"),
        ({"metadata": {"labels": {"nvidia.com/gpu.present": "true"}}}, "gpu"),
        ({"metadata": {"labels": {"feature.node.kubernetes.io/pci-10de.present": "true"}}}, "gpu"),
        ({"metadata": {}}, "worker"),
        (
            {"metadata": {"labels": {"liqo.io/type": "virtual-node", "nvidia.com/gpu.present": "true"}}},
            "virtual",
        ),
        (
            {
                "metadata": {},
                "spec": {"taints": [{"key": "virtual-node.liqo.io/not-allowed", "effect": "NoExecute"}]},
            },
            "virtual",
        ),
    ],
)
def test_a_virtual_node_is_never_a_machine_whatever_it_offers(node: dict[str, Any], expected: str) -> None:
    assert role(node) == expected


def test_a_quiet_cluster_has_no_leftovers(kube: FakeKube) -> None:
    assert reader(kube).leftovers() == []
    assert reader(kube).quiet([NODE]) == {}


def spoiled(kube: FakeKube, **changes: dict[str, Any]) -> None:
    obj = kube.objects[NODE_PATH]
    obj["metadata"]["labels"] |= changes.get("labels", {})
    obj["metadata"]["annotations"] |= changes.get("annotations", {})
    obj["spec"] |= changes.get("spec", {})
    kube.put(NODE_PATH, obj)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"annotations": {names.CLAIM_ANNOTATION: "r/1"}}, "claim"),
        ({"spec": {"taints": [{"key": names.MAINTENANCE_TAINT, "effect": "NoSchedule"}]}}, "taint"),
        ({"spec": {"taints": [{"key": names.QUARANTINE_TAINT, "effect": "NoSchedule"}]}}, "taint"),
        ({"labels": {"nvidia.com/gpu.deploy.dcgm": "true_paused-for-driver-upgrade"}}, "parked-operand"),
        ({"labels": {"nvidia.com/gpu.deploy.dcgm": "paused-for-mig-change"}}, "parked-operand"),
        ({"labels": {"nvidia.com/gpu-driver-upgrade-state": "drain-required"}}, "upgrade-state"),
    ],
)
def test_what_an_interrupted_drainer_leaves_is_found(
    kube: FakeKube, changes: dict[str, dict[str, Any]], kind: str
) -> None:
    spoiled(kube, **changes)
    (left,) = reader(kube).leftovers()
    assert (left.kind, left.where) == (kind, NODE)
    assert NODE in reader(kube).quiet([NODE]) or kind == "taint"


def test_a_finished_upgrade_is_nothing_left_over(kube: FakeKube) -> None:
    spoiled(kube, labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"})
    assert reader(kube).leftovers() == []


def test_our_jobs_are_left_over_and_others_are_not(kube: FakeKube) -> None:
    ours = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.RUN_LABEL: "r1"}
    kube.put("/apis/batch/v1/namespaces/knowngood/jobs/probe", {"metadata": {"labels": ours}})
    kube.put("/apis/batch/v1/namespaces/knowngood/jobs/other", {"metadata": {}})
    (left,) = reader(kube).leftovers()
    assert (left.kind, left.where, left.detail) == ("job", "knowngood/probe", "of r1")


@pytest.mark.parametrize(("age", "kinds"), [(5, []), (120, ["lease"])])
def test_a_lease_is_left_over_only_once_it_has_run_out(kube: FakeKube, age: int, kinds: list[str]) -> None:
    renewed = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    spec = {"holderIdentity": "r1", "leaseDurationSeconds": 60, "renewTime": renewed}
    kube.put(LEASE_PATH, {"spec": spec})
    assert [left.kind for left in reader(kube).leftovers()] == kinds


def test_an_operator_that_works_on_a_node_keeps_us_away(kube: FakeKube) -> None:
    maintenance = "/apis/maintenance.nvidia.com/v1alpha1/namespaces/x/nodemaintenances/m"
    kube.collections |= {"nodemaintenances", "sriovnetworknodestates"}
    kube.put(maintenance, {"spec": {"nodeName": NODE}})
    assert "NodeMaintenance m" in reader(kube).quiet([NODE])[NODE]
    kube.objects.pop(maintenance)
    state = f"/apis/sriovnetwork.openshift.io/v1/namespaces/x/sriovnetworknodestates/{NODE}"
    kube.put(state, {"status": {"syncStatus": "InProgress"}})
    assert "SR-IOV state InProgress" in reader(kube).quiet([NODE])[NODE]


def deployment(kube: FakeKube, name: str, annotations: dict[str, str] | None = None, ready: int = 2) -> None:
    template = {"metadata": {"labels": {"app": name}, "annotations": annotations or {}}}
    spec = {"replicas": 2, "template": template}
    kube.put(f"{VISION}/deployments/{name}", {"spec": spec, "status": {"readyReplicas": ready}})


def pod(kube: FakeKube, name: str, owner: tuple[str, str] | None, **metadata: Any) -> None:
    references = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    conditions = [{"type": "Ready", "status": "True"}]
    kube.put(
        f"{PODS}/{name}",
        {
            "metadata": {"namespace": "vision", "ownerReferences": references, **metadata},
            "spec": {"nodeName": NODE},
            "status": {"phase": "Running", "conditions": conditions},
        },
    )


def test_a_deployment_is_counted_once_and_found_by_its_pods_nodes(kube: FakeKube) -> None:
    kube.collections |= {"deployments", "statefulsets"}
    deployment(kube, "serve", ready=1)
    pod(kube, "serve-abc-1", ("ReplicaSet", "serve-abc"), labels=SERVE)
    assert reader(kube).workloads() == (
        Workload(
            "vision", "vision", "Deployment", "serve", desired=2, ready=1, nodes=(NODE,), ready_nodes=(NODE,)
        ),
    )


def test_a_pod_that_is_not_ready_holds_its_node_and_does_no_work_there(kube: FakeKube) -> None:
    """The Deployment's ready pod is on another node: here its work does not run, and its GPUs are taken."""
    kube.collections |= {"deployments", "statefulsets"}
    deployment(kube, "serve", ready=1)
    for name in ("serve-abc-1", "serve-abc-2"):
        pod(kube, name, ("ReplicaSet", "serve-abc"), labels=SERVE)
    kube.objects[f"{PODS}/serve-abc-1"]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    kube.objects[f"{PODS}/serve-abc-2"]["spec"]["nodeName"] = "other"
    (serve,) = reader(kube).workloads()
    assert (serve.ready, set(serve.nodes), serve.ready_nodes) == (1, {NODE, "other"}, ("other",))


def test_gpus_of_tenants_count_where_their_pods_are_and_work_only_where_they_are_ready(
    kube: FakeKube,
) -> None:
    """A pod of a CPU workload, one that has ended and one on another node are no work on this node's GPUs."""
    for name, gpus, phase, ready, node in (
        ("works", "2", "Running", "True", NODE),
        ("waits", "1", "Pending", "False", NODE),
        ("web", "", "Running", "True", NODE),
        ("ended", "4", "Succeeded", "True", NODE),
        ("elsewhere", "4", "Running", "True", "other"),
    ):
        limits = {"nvidia.com/gpu": gpus} if gpus else {}
        kube.put(
            f"{PODS}/{name}",
            {
                "metadata": {"namespace": "vision"},
                "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"limits": limits}}]},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
            },
        )
    assert reader(kube).gpu_use([NODE, "idle"]) == {NODE: GpuUse(2.0, 3.0), "idle": GpuUse()}


def test_a_gang_of_two_controllers_is_one_workload(kube: FakeKube) -> None:
    kube.collections |= {"deployments", "statefulsets"}
    for name in ("launcher", "workers"):
        deployment(kube, name, {"pod-group-name": "train"})
    assert reader(kube).workloads() == (
        Workload("vision", "vision", "PodGroup", "train", desired=4, ready=4, nodes=(), gang=True),
    )


def test_bare_pods_are_workloads_of_their_own_and_finished_ones_are_none(kube: FakeKube) -> None:
    kube.collections |= {"deployments", "statefulsets"}
    pod(kube, "notebook", None)
    pod(kube, "done", None)
    kube.objects[f"{PODS}/done"]["status"] = {"phase": "Succeeded"}
    (only,) = reader(kube).workloads()
    assert (only.kind, only.name, only.desired, only.ready) == ("Pod", "notebook", 1, 1)


def test_a_live_value_is_text_and_missing_is_empty(kube: FakeKube) -> None:
    kube._kinds[("nvidia.com/v1alpha1", "NVIDIADriver")] = ("nvidiadrivers", False)
    kube.put(
        "/apis/nvidia.com/v1alpha1/nvidiadrivers/ring-0", {"spec": {"version": "580.173.02", "list": [1]}}
    )

    def value(path: str, name: str = "ring-0", kind: str = "NVIDIADriver") -> str:
        return reader(kube).live_value(Field("x", "f", path, ObjectRef("nvidia.com/v1alpha1", kind, name)))

    assert value("spec.version") == "580.173.02"
    assert value("spec.list.0") == "1"
    assert value("spec.none") == value("spec.version.deeper") == value("spec") == ""
    assert value("spec.version", name="ring-9") == ""


def test_a_node_that_is_gone_or_not_ready_is_unreachable_with_a_reason(kube: FakeKube) -> None:
    kube.objects[NODE_PATH]["status"]["conditions"] = []
    seen = reader(kube).observe([NODE, "gone"], MOVERS)
    assert (seen[NODE].reachable, seen[NODE].trouble) == (False, "the node is not Ready")
    assert (seen["gone"].reachable, seen["gone"].trouble) == (False, "there is no such node")


def test_a_gpu_node_without_a_driver_pod_is_unreachable(kube: FakeKube) -> None:
    """Its files can't be read, so nothing about it is claimed; the kernel log still tells the load."""
    for where in [w for w in kube.objects if "/pods/driver" in w]:
        del kube.objects[where]
    seen = reader(kube).observe([NODE], MOVERS)[NODE]
    assert not seen.reachable
    assert "no driver pod" in seen.trouble
    assert seen.versions == {}


@pytest.mark.parametrize("code", [401, 403])
def test_a_kubelet_that_refuses_us_is_its_own_nodes_trouble(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The other nodes are measured all the same."""
    kube.put("/api/v1/nodes/other", {**kube.objects[NODE_PATH], "metadata": {"name": "other"}})

    def measure(kube: FakeKube, node: Object, pods: object, proofs: object, *, gpu: bool) -> NodeState:
        if node["metadata"]["name"] == NODE:
            refuse(code, b'{"message": "no nodes/proxy"}', "GET /api/v1/nodes/gpu-1/proxy/logs/journal")
        return NodeState("other", reachable=True)

    monkeypatch.setattr(node_state, "measure", measure)
    seen = reader(kube).observe([NODE, "other"], MOVERS)
    assert not seen[NODE].reachable
    assert str(code) in seen[NODE].trouble or "no nodes/proxy" in seen[NODE].trouble
    assert seen["other"].reachable


def test_an_interruption_is_no_nodes_trouble(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: object, **__: object) -> NodeState:
        raise Interrupted("stopped: Ctrl-C")

    monkeypatch.setattr(node_state, "measure", measure)
    with pytest.raises(Interrupted):
        reader(kube).observe([NODE], MOVERS)


PEM = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n"


def pinned(kube: FakeKube, access: Access) -> KubeCluster:
    """A reader of a cluster that pins its identity, by that access."""
    kube.access = access
    kube.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system", "uid": "u-1"}})
    found = reader(kube)
    found._cluster = replace(found._cluster, identity=Identity("u-1", "a" * 64))
    return found


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (Access("https://x", "file", ca=PEM, verify=False), "insecure-skip-tls-verify"),
        (Access("https://x", "file"), "no certificate-authority"),
    ],
)
def test_a_pinned_identity_is_proven_by_the_server_or_nothing_is_asked(
    kube: FakeKube, access: Access, said: str
) -> None:
    """The CA that a kubeconfig names is no proof where the connection does not ask for one."""
    cluster, calls = pinned(kube, access), kube.calls
    with pytest.raises(UsageError, match=said) as refused:
        cluster.identity()
    assert refused.value.exit_code == ExitCode.USAGE
    assert kube.calls == calls  # not even the token left


def test_where_nothing_is_pinned_an_unverified_server_has_no_fingerprint(kube: FakeKube) -> None:
    cluster = pinned(kube, Access("https://x", "file", ca=PEM, verify=False))
    cluster._cluster = replace(cluster._cluster, identity=None)
    assert cluster.identity() == Identity("u-1", "")
