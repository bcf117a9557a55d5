"""What is asked of the live objects before a run: read once, judged by field, and what can't be read is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.engine.scene import RINGS, a_cluster, field_of
from tests.unit.engine.world import NEW, OLD
from tests.unit.rehearsal.shipped import shipped

from knowngood.adapters.cluster import talos
from knowngood.adapters.cluster.readiness import KubeReadiness
from knowngood.adapters.kubernetes.client import refuse
from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding, refused
from knowngood.model.matrix import Cluster, Declaration
from knowngood.model.mover import MoverSpec, NodeLabel, Seen
from knowngood.model.verdict import Verdict
from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.objects import tolerations

DRIVERS = "/apis/nvidia.com/v1alpha1/nvidiadrivers"
POLICY = "/apis/nvidia.com/v1/clusterpolicies/gpu-cluster-policy"
READY = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Error", "status": "False"}]}


def driver(ring: str, **spec: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"version": OLD, "repository": "mirror.example.com/nvidia", "image": "driver"}
    fields |= {"upgradePolicy": {"autoUpgrade": False}, "tolerations": tolerations()}
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"generation": 1},
        "spec": {**fields, "nodeSelector": {"ring": ring}, **spec},
        "status": READY,
    }


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.collections |= {"nvidiadrivers", "clusterpolicies"}
    kube._kinds[("nvidia.com/v1alpha1", "NVIDIADriver")] = ("nvidiadrivers", False)
    for ring, nodes in RINGS.items():
        kube.put(f"{DRIVERS}/{ring}", driver(ring))
        for node in nodes:
            labels = {"ring": ring, "nvidia.com/gpu.present": "true"}
            kube.put(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}, "spec": {}})
    policy = files(shipped("lab-small"))["clusters/lab-small/gpu/clusterpolicy.yaml"]
    kube.put(POLICY, {**policy, "status": READY})
    return kube


def cluster() -> Cluster:
    named = ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "{ring}")
    declaration = Declaration("nvidia-driver", "nvidiadriver-{ring}.yaml", "spec.version", named)
    return replace(a_cluster(), declarations=(declaration,))


def found(kube: FakeKube) -> list[Finding]:
    return list(KubeReadiness(kube, cluster()).declared([field_of(ring) for ring in RINGS]))


def test_objects_as_a_run_needs_them_are_no_finding(kube: FakeKube) -> None:
    assert found(kube) == []


def test_an_object_that_nobody_restarted_for_is_judged_by_its_field(kube: FakeKube) -> None:
    """The DaemonSets may still be as they were: what counts is what is declared."""
    kube.objects[f"{DRIVERS}/ring-1"]["spec"]["upgradePolicy"] = {}
    kube.objects[POLICY]["spec"]["daemonsets"] = {}
    assert {(f.where, f.verdict) for f in found(kube)} == {
        ("NVIDIADriver ring-1", Verdict.FAIL),
        ("ClusterPolicy gpu-cluster-policy", Verdict.FAIL),
    }


def test_an_intruder_on_one_ring_is_refused_before_the_drain(kube: FakeKube) -> None:
    kube.put(f"{DRIVERS}/intruder", driver("ring-0"))
    assert [f.where for f in found(kube)] == ["NVIDIADriver intruder and ring-0"]


def test_an_object_without_a_node_that_we_do_not_move_is_not_ours_to_judge(kube: FakeKube) -> None:
    kube.put(f"{DRIVERS}/parked", driver("nowhere", upgradePolicy={"autoUpgrade": True}))
    assert found(kube) == []


def test_a_virtual_node_is_had_by_nobody(kube: FakeKube) -> None:
    labels = {"liqo.io/type": "virtual-node", "nvidia.com/gpu.present": "true"}
    kube.put("/api/v1/nodes/liqo-1", {"metadata": {"labels": labels}, "spec": {}})
    assert found(kube) == []


def test_a_gpu_node_that_the_cluster_file_does_not_name_is_looked_at_too(kube: FakeKube) -> None:
    labels = {"nvidia.com/gpu.present": "true"}
    kube.put("/api/v1/nodes/gpu-7", {"metadata": {"labels": labels}, "spec": {}})
    assert [f.where for f in found(kube)] == ["node gpu-7"]


def test_the_live_field_is_what_the_plan_starts_from(kube: FakeKube) -> None:
    kube.objects[f"{DRIVERS}/ring-0"]["spec"]["version"] = NEW
    (only,) = found(kube)
    assert only.what == f"spec.version is {NEW}, the plan starts from {OLD}"


def test_an_object_of_a_helm_release_is_refused_and_one_that_argo_cd_rendered_is_not(kube: FakeKube) -> None:
    metadata = kube.objects[f"{DRIVERS}/ring-1"]["metadata"]
    metadata["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    assert found(kube) == []
    metadata["annotations"] = {"meta.helm.sh/release-name": "gpu-operator"}
    (only,) = found(kube)
    assert (only.where, only.verdict) == ("NVIDIADriver ring-1", Verdict.FAIL)
    assert "Helm release gpu-operator owns it" in only.what


def test_an_object_that_is_not_there_is_a_no(kube: FakeKube) -> None:
    del kube.objects[f"{DRIVERS}/ring-2"]
    assert ("NVIDIADriver ring-2", Verdict.FAIL) in {(f.where, f.verdict) for f in found(kube)}


def test_a_digest_beside_the_version_is_refused(kube: FakeKube) -> None:
    kube.objects[f"{DRIVERS}/ring-0"]["spec"]["image"] = "driver@sha256:0a1b"
    (only,) = found(kube)
    assert "names a digest" in only.what


@pytest.mark.parametrize("plural", ["nvidiadrivers", "clusterpolicies", "nicclusterpolicies", "nodes"])
def test_what_we_may_not_read_is_inconclusive(kube: FakeKube, plural: str) -> None:
    def forbidden(method: str, where: str) -> None:
        if where.split("?", maxsplit=1)[0].endswith(f"/{plural}"):
            refuse(403, b"{}", f"{method} {where}")

    kube.before.append(forbidden)
    assert [(f.where, f.verdict) for f in found(kube)] == [(plural, Verdict.INCONCLUSIVE)]


def test_a_cluster_without_the_operators_kinds_has_none_of_their_objects(kube: FakeKube) -> None:
    kube.collections -= {"nvidiadrivers", "clusterpolicies"}
    assert KubeReadiness(kube, a_cluster()).declared([]) == []


def test_a_field_that_a_mover_requires_is_refused_with_its_file(kube: FakeKube) -> None:
    spec = MoverSpec(require={"NVIDIADriver": {"spec.gds.enabled": "true"}})
    changes = [replace(field_of("ring-0"), component="gds")]
    told = [str(f) for f in KubeReadiness(kube, cluster(), {"gds": spec}).declared(changes)]
    assert any("spec.gds.enabled is not set, it must be true" in t and changes[0].file in t for t in told)
    obj = kube.objects[f"{DRIVERS}/ring-0"]
    obj["spec"]["gds"] = {"enabled": True}
    kube.put(f"{DRIVERS}/ring-0", obj)
    assert not [f for f in KubeReadiness(kube, cluster(), {"gds": spec}).declared(changes) if "gds" in str(f)]


def test_a_layout_is_refused_where_who_acts_on_it_would_boot_its_nodes(kube: FakeKube) -> None:
    label = NodeLabel("nvidia.com/mig.config", Seen.PARTED, "app=manager")
    changes, space = [replace(field_of("ring-0"), component="layout")], cluster().operator_namespace
    specs = {"layout": MoverSpec("label", label=label), "driver": MoverSpec()}
    containers = [{"name": "m", "env": [{"name": "WITH_REBOOT", "value": "true"}]}]
    template = {"metadata": {"labels": {"app": "manager"}}, "spec": {"containers": containers}}
    kube.put(
        f"/apis/apps/v1/namespaces/{space}/daemonsets/m",
        {"metadata": {"namespace": space}, "spec": {"template": template}},
    )
    readiness = KubeReadiness(kube, cluster(), specs)
    (told,) = readiness.booting(changes)
    assert (told.verdict, "WITH_REBOOT=true" in told.what) == (Verdict.FAIL, True)
    assert readiness.booting([field_of("ring-0")]) == [], "no layout moves"
    kube.before.append(lambda _method, where: refuse(403, b"{}", "GET") if "daemonsets" in where else None)
    assert [f.verdict for f in readiness.booting(changes)] == [Verdict.INCONCLUSIVE]


def test_machines_that_are_to_take_a_system_are_those_of_the_cluster_file(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never what the cluster lists: a virtual node has nobody who answers (siderolabs/talos issue 11974)."""
    asked: list[str] = []
    monkeypatch.setattr(talos, "ready", list)

    def against(nodes: dict[str, Any]) -> list[Finding]:
        asked.extend(nodes)
        return []

    monkeypatch.setattr(talos, "against", against)
    virtual = kube.put("/api/v1/nodes/liqo-fra", {"metadata": {"labels": {"liqo.io/type": "virtual-node"}}})
    specs = {"system": MoverSpec("talosctl"), "driver": MoverSpec("daemon-driver")}
    readiness = KubeReadiness(kube, cluster(), specs)
    assert readiness.systems([replace(field_of("ring-0"), component="driver")]) == []
    assert asked == [], "no system moves"
    assert readiness.systems([replace(field_of("ring-0"), component="system")]) == []
    assert set(asked) == set(cluster().gpu)
    assert virtual["metadata"]["name"] not in asked
    lacks = refused("talosctl", "it is not on this machine")
    monkeypatch.setattr(talos, "ready", lambda: [lacks])
    assert readiness.systems([replace(field_of("ring-0"), component="system")]) == [lacks]
