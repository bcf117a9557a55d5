"""A look costs what it looks at: a list for many nodes, a node's own objects for few, whatever the cluster's size."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import DRIVER_LABELS, OLD, OPERATOR, banner, node

from knowngood.adapters.cluster import slim
from knowngood.adapters.cluster.facts import NAMES
from knowngood.adapters.cluster.reader import FEW, KubeCluster
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import PAGE, Kube, Object
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.model.errors import Location
from knowngood.model.gitops import GitOps
from knowngood.model.matrix import Cluster, Limits, Tenant

BOOT = "/proc/sys/kernel/random/boot_id:7a8eb505-3c64-47f1-8765-21767d41e9a1\n"


def cluster_of(nodes: Sequence[str]) -> Cluster:
    gitops, where = GitOps("x", "main", ()), Location("clusters/ams.yaml", 1)
    tenants = (Tenant("vision", ("vision",), 60.0),)
    return Cluster(
        "ams", "p", "r", (), (), tuple(nodes), (), (), tenants, gitops, (), Limits(), "hold", where
    )


def driver_pod(name: str) -> Object:
    return {
        "metadata": {"namespace": OPERATOR, "labels": DRIVER_LABELS},
        "spec": {"nodeName": name, "containers": [{"name": "nvidia-driver-ctr", "image": "driver:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def fleet(count: int) -> tuple[FakeKube, KubeCluster, list[str]]:
    kube, names = FakeKube(), [f"gpu-{i:04d}" for i in range(count)]
    for name in names:
        kube.put(f"/api/v1/nodes/{name}", node(name))
        kube.put(f"/api/v1/namespaces/{OPERATOR}/pods/driver-{name}", driver_pod(name))
        kube.journals[name] = banner(OLD, 12.5)
    return kube, KubeCluster(kube, cluster_of(names)), names


@pytest.fixture(autouse=True)
def _execs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(kube: Kube, *_where: Any, **_options: Any) -> Ran:
        kube.counted()
        return Ran(BOOT, "", 0)

    monkeypatch.setattr(pod_exec, "run", run)


def spent(kube: Kube, look: Callable[[], object]) -> tuple[int, int]:
    """Calls and bytes of a look."""
    calls, received = kube.calls, kube.received
    look()
    return kube.calls - calls, kube.received - received


PER_NODE = 2  # its files, the load in the kernel log


@pytest.mark.parametrize("count", [FEW + 2, 100, 1000])
def test_calls_and_bytes_of_a_look_at_all_nodes_grow_with_the_nodes_and_no_faster(count: int) -> None:
    kube, reader, names = fleet(count)
    calls, received = spent(kube, lambda: reader.observe(names, MOVERS))
    pages = -(-count // NAMES) + -(-count // PAGE)
    assert calls == PER_NODE * count + pages
    assert received / count < 3000
    again, _ = spent(kube, lambda: (reader.leftovers(), reader.quiet(names), reader.node_names()))
    assert again <= 4 * pages + 10, "lists that one judgement or step shares"


@pytest.mark.parametrize("count", [10, 1000])
def test_a_look_at_one_node_costs_the_same_in_a_cluster_of_any_size(count: int) -> None:
    kube, reader, names = fleet(count)
    calls, received = spent(kube, lambda: reader.observe(names[5:6], MOVERS))
    assert calls == PER_NODE + 2
    assert received < 5000
    assert reader.observe(names[5:6], MOVERS)[names[5]].reachable


def test_a_few_nodes_are_one_list_of_just_these_and_one_with_another_label_is_asked_for_by_name() -> None:
    kube, reader, names = fleet(100)
    calls, received = spent(kube, lambda: reader.standing(names[5:8]))
    assert calls == 1
    assert received < 3 * 3000
    odd = node("odd")
    odd["metadata"]["labels"]["kubernetes.io/hostname"] = "its-bios-says-so"
    kube.put("/api/v1/nodes/odd", odd)
    found = reader.standing(["odd", "gone", *names[5:7]])
    assert {name: state.reachable for name, state in found.items()} == {
        **dict.fromkeys(["odd", *names[5:7]], True),
        "gone": False,
    }


def test_nodes_that_are_asked_for_one_by_one_and_from_a_list_are_the_same() -> None:
    _, reader, names = fleet(FEW + 2)
    assert reader.observe(names[:FEW], MOVERS) == {
        n: s for n, s in reader.observe(names, MOVERS).items() if n in names[:FEW]
    }
    assert not reader.observe(["gone"], MOVERS)["gone"].reachable


def real_node(name: str) -> Object:
    """As large as nodes are: fifty images, the annotations of a network plugin, managed fields, a hundred labels."""
    found = node(name)
    found["metadata"]["labels"] |= {
        f"feature.node.kubernetes.io/cpu-cpuid.F{i:03d}": "true" for i in range(100)
    }
    found["metadata"]["annotations"] |= {f"k8s.ovn.org/subnet-{i}": "x" * 200 for i in range(20)}
    found["metadata"]["managedFields"] = [
        {"manager": f"m{i}", "fieldsV1": {f"f:k{j}": {} for j in range(80)}} for i in range(5)
    ]
    images = [f"quay.io/openshift-release-dev/ocp@sha256:{i:064d}" for i in range(50)]
    found["status"]["images"] = [{"names": [image], "sizeBytes": 1} for image in images]
    return found


def test_of_a_node_and_a_pod_only_what_is_looked_at_is_kept() -> None:
    found = real_node("gpu-1")
    found["metadata"]["annotations"]["knowngood.dev/claim"] = "r/1"
    kept = slim.node(found)
    assert kept["metadata"]["annotations"] == {"knowngood.dev/claim": "r/1"}
    assert len(json.dumps(kept)) < len(json.dumps(found)) / 2
    pod = {**driver_pod("gpu-1")}
    pod["spec"] = {**pod["spec"], "volumes": [{"name": "x"}]}
    assert slim.pod(pod) == {**driver_pod("gpu-1"), "status": {**pod["status"], **NO_STATUSES}}


NO_STATUSES: Object = {"containerStatuses": [], "initContainerStatuses": []}


def test_a_thousand_nodes_take_little_memory() -> None:
    """Measured on a page of a hundred, which is what is kept of each: under 20 KiB a node, 20 MiB for a thousand."""
    text = json.dumps([real_node(f"gpu-{i}") for i in range(100)])
    tracemalloc.start()
    try:
        kept = [slim.node(found) for found in json.loads(text)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) == 100
    assert held / len(kept) < 20 * 1024
