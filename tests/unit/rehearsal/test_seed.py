"""The seed is what the twin reads, and the load it invents lets budgets give way and soaks find work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration
from knowngood.model.names import BACKUP_ANNOTATION
from knowngood.planner.version import runs
from knowngood.rehearsal.platform import reported_kernel
from knowngood.rehearsal.seed import kubernetes_version, seed
from knowngood.twin.objects import all_objects
from knowngood.twin.seed import parse

CLUSTERS = sorted(matrix().clusters)


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_twin_accepts_the_seed_of_every_shipped_cluster(name: str) -> None:
    s = shipped(name)
    found = parse(seed(s, "file:///x"))
    assert [n.name for n in found.nodes if n.role == "gpu"] == list(s.cluster.gpu)
    assert found.gpu_operator.version == s.release.components["gpu-operator"]


def test_a_virtual_node_is_never_a_machine() -> None:
    s = shipped("ams-prod")
    nodes = {n["name"]: n for n in seed(s, "x")["nodes"]}
    assert nodes["liqo-fra"] == {"name": "liqo-fra", "role": "virtual", "labels": {}}


def test_rings_are_labels_on_their_nodes() -> None:
    s = shipped("ams-prod")
    nodes = {n["name"]: n for n in seed(s, "x")["nodes"]}
    for ring in s.cluster.rings:
        assert all(nodes[n]["labels"] == {"knowngood.dev/ring": ring.name} for n in ring.nodes)


@pytest.mark.parametrize(("openshift", "kubernetes"), [("4.18.52", "v1.31"), ("4.22.0", "v1.35")])
def test_kubernetes_follows_openshift(openshift: str, kubernetes: str) -> None:
    release = replace(shipped("ams-prod").release, components={"openshift": openshift})
    assert kubernetes_version(release).startswith(kubernetes + ".")


def test_a_pinned_kubernetes_counts() -> None:
    release = replace(shipped("ams-prod").release, components={"kubernetes": "1.33.2"})
    assert kubernetes_version(release) == "v1.33.2"


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_node_reports_the_declared_versions_in_its_own_words(name: str) -> None:
    """Kernels are longer and DOCA-OFED is shorter on a node, so that a rehearsal meets what a cluster shows."""
    s, schemes = shipped(name), matrix().schemes
    for node in seed(s, "x")["nodes"]:
        for component, field in (("rhcos-kernel", "kernel"), ("doca-ofed", "docaOfed")):
            if node["role"] == "gpu" and component in s.release.components:
                declared, reported = s.release.components[component], node[field]
                assert declared != reported
                assert runs(schemes[component], declared, reported)


@pytest.mark.parametrize("kernel", ["6.8.0-45-generic", "5.14.0-427.92.1.el9_4.x86_64"])
def test_a_kernel_that_is_named_as_it_reports_itself_stays(kernel: str) -> None:
    assert reported_kernel(kernel) == kernel


def test_a_kernels_build_stands_behind_its_architecture() -> None:
    """As uname -r says it of RHEL's real-time kernel."""
    assert reported_kernel("5.14.0-427.el9_4+rt") == "5.14.0-427.el9_4.x86_64+rt"


def test_a_release_without_the_operator_is_refused_with_its_place() -> None:
    s = shipped("ams-prod")
    components = {k: v for k, v in s.release.components.items() if k != "gpu-operator"}
    with pytest.raises(UsageError, match="gpu-operator") as raised:
        seed(replace(s, release=replace(s.release, components=components)), "x")
    assert raised.value.where is not None


def test_openshift_has_olm_where_subscriptions_are_declared() -> None:
    found = seed(shipped("fra-prod"), "x")
    installed = {one["package"]: one["csv"] for one in found["olm"]["installed"]}
    assert installed["gpu-operator-certified"] == "gpu-operator-certified.v25.10.1"
    assert installed["nfd"] == "nfd.4.18.0", "named as its mover says, not as most are"
    assert len(installed) == 4
    assert [pool["name"] for pool in found["machineConfig"]["pools"]] == ["ring-0", "ring-1"]
    assert [check["kind"] for check in found["healthChecks"]] == ["MachineHealthCheck"]
    assert "helm" not in found


def test_upstream_kubernetes_has_a_helm_release_that_owns_the_policy() -> None:
    found = seed(shipped("vanilla"), "x")
    release, alerts = found["helm"]
    assert [obj["kind"] for obj in release["objects"]] == ["ClusterPolicy"]
    assert [obj["metadata"]["name"] for obj in alerts["objects"]] == ["alertmanager-operated"]
    assert release["namespace"] == found["gpuOperator"]["namespace"] == "gpu-operator"
    assert not {"olm", "machineConfig", "healthChecks"} & found.keys()
    assert found["openshift"] == ""
    policy = next(o for o in all_objects(parse(found)) if o["kind"] == "ClusterPolicy")
    assert policy["metadata"]["annotations"]["meta.helm.sh/release-name"] == "gpu-operator"


def loads_of(tenants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [load for tenant in tenants for load in tenant["workloads"]]


@pytest.mark.parametrize("name", CLUSTERS)
def test_what_the_cluster_file_says_runs_there(name: str) -> None:
    s = shipped(name)
    found = {t["namespace"]: t["workloads"] for t in seed(s, "x")["tenants"]}
    for tenant in s.cluster.raw["tenants"]:
        said = [dict(w) for w in tenant.get("workloads", ())]
        assert found[tenant["namespaces"][0]][: len(said)] == said


@given(nodes=st.integers(2, 12), batch=st.integers(1, 4), tenants=st.integers(1, 4), told=st.booleans())
def test_work_waits_while_a_batch_is_out_and_every_budget_can_give_way(
    nodes: int, batch: int, tenants: int, told: bool
) -> None:
    """Else a soak finds nothing on the ring, or a drain never ends."""
    s = shipped("ams-prod")
    batch = min(batch, nodes - 1)
    rings = tuple(
        replace(r, batch=batch, nodes=tuple(f"n{i}" for i in range(batch))) for r in s.cluster.rings[:1]
    )
    raw = s.cluster.raw if told else {}
    cluster = replace(
        s.cluster,
        gpu=tuple(f"n{i}" for i in range(nodes)),
        rings=rings,
        tenants=s.cluster.tenants[:tenants],
        raw=raw,
    )
    loads = loads_of(seed(replace(s, cluster=cluster), "x")["tenants"])
    total = sum(w["replicas"] * w["gpusPerPod"] for w in loads)
    left = (nodes - batch) * s.hardware.profiles[0].gpus
    if not any(w["name"] == "queue" for w in loads):
        return  # the tenants alone fill it: nothing to add
    assert total > left
    assert_each_budget_can_give_way(loads, left)


def assert_each_budget_can_give_way(loads: list[dict[str, Any]], left: int) -> None:
    """Though all others have their GPUs already: what the budget keeps finds a place on what is left."""
    total = sum(w["replicas"] * w["gpusPerPod"] for w in loads)
    for load in loads:
        if load.get("minAvailable"):
            others = total - load["replicas"] * load["gpusPerPod"]
            assert left - others >= load["minAvailable"] * load["gpusPerPod"], load["name"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_shipped_cluster_is_that_full(name: str) -> None:
    s = shipped(name)
    loads = loads_of(seed(s, "x")["tenants"])
    assert any(w["name"] == "queue" for w in loads)
    batches = [r.nodes[i : i + r.batch] for r in s.cluster.rings for i in range(0, len(r.nodes), r.batch)]
    gpus = {node: s.hardware.of(node).gpus for node in s.cluster.gpu}
    out = max(sum(gpus[node] for node in batch) for batch in batches)
    assert_each_budget_can_give_way(loads, sum(gpus.values()) - out)


def test_nodes_that_share_their_gpus_do_so_on_the_twin() -> None:
    nodes = {n.name: n for n in parse(seed(shipped("fra-prod"), "x")).nodes}
    assert [(nodes[f"fra-gpu-{i}"].migConfig, nodes[f"fra-gpu-{i}"].replicas) for i in (1, 2, 3)] == [
        ("", 1),
        ("all-1g.18gb", 1),
        ("", 4),
    ]


def test_a_cluster_that_declares_its_openshift_has_a_pool_a_ring_and_the_releases_that_it_names() -> None:
    s = shipped("lab-small")
    at = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
    images = {v: f"mirror/ocp@sha256:{v}" for v in ("4.18.52", "4.18.54", "4.19.42")}
    declared = Declaration("openshift", "x.yaml", "spec.desiredUpdate.version", at, images)
    rest = replace(s, cluster=replace(s.cluster, declarations=(*s.cluster.declarations, declared)))
    found = parse(seed(rest, "file:///x"))
    assert found.machine_config is not None
    assert found.cluster_version is not None
    assert [(p.name, p.nodeSelector, p.maxUnavailable) for p in found.machine_config.pools] == [
        (r.name, {"knowngood.dev/ring": r.name}, r.batch) for r in s.cluster.rings
    ]
    old = reported_kernel(s.release.components["rhcos-kernel"])
    assert [(p.version, p.kernel) for p in found.cluster_version.payloads] == [
        ("4.18.52", old),
        ("4.18.54", "5.14.0-427.54.1.el9_4.x86_64"),
        ("4.19.42", "5.14.0-570.42.1.el9_6.x86_64"),
    ]
    assert runs("kernel", s.release.components["rhcos-kernel"], "5.14.0-427.54.1.el9_4.x86_64")
    (version,) = [o for o in all_objects(found) if o["kind"] == "ClusterVersion"]
    assert version["metadata"]["annotations"].keys() == {BACKUP_ANNOTATION}


def test_one_that_does_not_rests_on_its_release() -> None:
    found = parse(seed(shipped("lab-small"), "file:///x"))
    assert (found.cluster_version, found.machine_config and found.machine_config.pools) == (None, ())
