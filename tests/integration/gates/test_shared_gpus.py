"""Nodes that offer their GPUs in MIG instances, or several times: drift goes by the node's own configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.play import staged

from knowngood.adapters.kubernetes.client import path
from knowngood.model.verdict import Judgement, Verdict

from .bench import Bench

WHOLE, MIG, SLICED = "fra-gpu-1", "fra-gpu-2", "fra-gpu-3"
NODES = (WHOLE, MIG, SLICED)
RELEASE = "h200-4.18-r580.105"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("shared")
    with staged(folder / "stage", "fra-prod") as play:
        yield Bench(play, folder / "run", release=RELEASE)


@pytest.fixture(scope="module")
def baseline(bench: Bench) -> Mapping[str, Mapping[str, Any]]:
    found = judged(bench, taking_baseline=True)
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), found.bad()
    return {f"{r.gate}/{r.node}": r.measured for r in found.results}


def files(bench: Bench, node: str) -> Path:
    """A node's root folder."""
    return bench.play.stage.state / "nodes" / node / "root"


def judged(bench: Bench, *gates: str, **fields: Any) -> Judgement:
    own = gates or ("drift", "rdma_health")
    return bench.judge(*own, **{"nodes": NODES, "reported": bench.reported, **fields})


def test_each_node_offers_what_its_own_configuration_gives(
    bench: Bench, baseline: Mapping[str, Mapping[str, Any]]
) -> None:
    """And the right DOCA-OFED passes whose module says another version."""
    counts = {n: baseline[f"drift/{n}"]["allocatable"]["nvidia.com/gpu"] for n in NODES}
    assert counts == {WHOLE: "8", MIG: "56", SLICED: "32"}
    assert judged(bench, baseline=baseline).verdict is Verdict.PASS
    raw = files(bench, WHOLE) / "sys/module/mlx5_core/version"
    assert raw.read_text().strip() == "25.10-1.2.2"


def test_the_nodes_are_parted_and_shared_as_their_configuration_says(bench: Bench) -> None:
    """By the ConfigMaps that the rehearsal writes, as a team would; a layout or a number that is another is a fail."""
    found = judged(bench, "mig_layout", "time_slicing")
    assert {(r.gate, r.node): r.reason for r in found.bad()} == {}
    layouts: dict[str, Any] = {
        "all-1g.18gb": [{"devices": "all", "mig-enabled": True, "mig-devices": {"2g.35gb": 3}}]
    }
    resources: list[dict[str, Any]] = [{"name": "nvidia.com/gpu", "replicas": 2}]
    plugin: dict[str, Any] = {"version": "v1", "sharing": {"timeSlicing": {"resources": resources}}}
    keep(bench, "other-layouts", "config.yaml", {"version": "v1", "mig-configs": layouts})
    keep(bench, "other-shares", "replicas-4", plugin)
    policy = path("nvidia.com/v1", "clusterpolicies", "gpu-cluster-policy")
    spec = {"migManager": "other-layouts", "devicePlugin": "other-shares"}
    changed = {part: {"enabled": True, "config": {"name": name}} for part, name in spec.items()}
    by_hand = path("argoproj.io/v1alpha1", "applications", "fra-prod-gpu", "openshift-gitops")
    bench.kube.merge(by_hand, {"spec": {"syncPolicy": {"automated": None}}})
    bench.kube.merge(policy, {"spec": changed})
    found = judged(bench, "mig_layout", "time_slicing")
    told = {(r.gate, r.node): r.reason for r in found.bad()}
    assert told.keys() == {("mig_layout", MIG), ("time_slicing", SLICED)}
    assert "7 x 1g.18gb, its layout 3 x 2g.35gb" in told["mig_layout", MIG]
    assert "32 of 16 nvidia.com/gpu" in told["time_slicing", SLICED]


def test_a_lost_instance_and_a_plugin_that_offers_too_little_fail_on_their_nodes(
    bench: Bench, baseline: Mapping[str, Mapping[str, Any]]
) -> None:
    shutil.rmtree(files(bench, MIG) / "proc/driver/nvidia/capabilities/gpu3/mig/gi2")
    node = bench.kube.get(path("v1", "nodes", SLICED))
    labels = {"metadata": {"labels": {**node["metadata"]["labels"], "nvidia.com/gpu.replicas": "5"}}}
    bench.kube.merge(path("v1", "nodes", SLICED), labels)
    found = judged(bench, "drift", baseline=baseline)
    told = {r.node: r.reason for r in found.bad()}
    assert "56 of 55 GPUs are allocatable" in told[MIG]
    assert "32 of 40 GPUs are allocatable" in told[SLICED]
    assert found.of_node(WHOLE) is Verdict.PASS


def keep(bench: Bench, name: str, key: str, value: Any) -> None:
    space = bench.cluster.operator_namespace
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": space}}
    bench.kube.create(path("v1", "configmaps", "", space), {**body, "data": {key: json.dumps(value)}})
