"""What the twin seeds and writes is what strict clients and the vendors' own definitions accept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from tests.integration.twin.nic_stage import cluster_policy, ring
from tests.integration.twin.stage import Stage, play, smoke_job
from tests.published import definitions, needs_definitions, problems

from knowngood.twin import crds
from knowngood.twin.crds_health import health_crds
from knowngood.twin.crds_olm import PACKAGES, olm_crds
from knowngood.twin.values import Object

CUSTOM = (
    ("nvidia.com/v1alpha1", "NVIDIADriver"),
    ("nvidia.com/v1", "ClusterPolicy"),
    ("argoproj.io/v1alpha1", "Application"),
    ("argoproj.io/v1alpha1", "AppProject"),
    ("scheduling.run.ai/v2alpha2", "PodGroup"),
    ("machineconfiguration.openshift.io/v1", "MachineConfigPool"),
    ("config.openshift.io/v1", "ClusterVersion"),
    ("mellanox.com/v1alpha1", "NicClusterPolicy"),
    ("mellanox.com/v1alpha1", "NicNodePolicy"),
)
BUILT_IN = (
    ("v1", "Node"),
    ("v1", "Pod"),
    ("v1", "Namespace"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "ControllerRevision"),
    ("policy/v1", "PodDisruptionBudget"),
)


async def everything(stage: Stage, kinds: tuple[tuple[str, str], ...]) -> list[Object]:
    """All objects of these kinds."""
    lists = await asyncio.gather(*(stage.client.list(kind) for kind in kinds))
    return [obj for listing in lists for obj in listing.items]


@needs_definitions
def test_custom_objects_are_valid_by_the_vendors_definitions(tmp_path: Path) -> None:
    seen: set[str] = set()

    async def story(stage: Stage) -> None:
        nics = [cluster_policy(), ring("ring-0")]
        plugin = {
            "image": "k8s-rdma-shared-dev-plugin",
            "repository": "mirror.example.com",
            "version": "v1.5.3",
        }
        nics[1]["spec"] |= {"rdmaSharedDevicePlugin": plugin}
        del nics[1]["spec"]["ofedDriver"]
        (stage.repository.folder / "nic.yaml").write_text(yaml.safe_dump_all(nics), encoding="utf-8")
        await stage.sync(stage.repository.push("network"))
        await stage.until("its DaemonSets", lambda: len(stage.pods("nvidia-network-operator")) == 3)
        for obj in await everything(stage, CUSTOM):
            assert problems(obj) == [], f"{obj['kind']} {obj['metadata']['name']}"
            seen.add(obj["kind"])

    play(tmp_path, story)
    assert seen == {kind for _, kind in CUSTOM}


@needs_definitions
def test_our_definitions_know_the_kinds_by_the_vendors_names() -> None:
    """But for PackageManifest, which no definition declares, and for Dell's, which is not at hand."""
    for ours in (*crds.all_crds(openshift=True), *olm_crds(), *health_crds()):
        if ours["spec"]["group"] in (PACKAGES, "storage.dell.com"):
            continue
        kind = ours["spec"]["names"]["kind"]
        theirs = next(d for d in definitions(ours["spec"]["group"]) if d["spec"]["names"]["kind"] == kind)
        for field in ("kind", "plural", "singular", "listKind"):
            assert ours["spec"]["names"][field] == theirs["spec"]["names"][field]
        assert ours["spec"]["scope"] == theirs["spec"]["scope"]
        assert ours["spec"]["versions"][0]["name"] in {v["name"] for v in theirs["spec"]["versions"]}
        mine, vendors = (bool(d["spec"]["versions"][0].get("subresources")) for d in (ours, theirs))
        assert mine == vendors, f"{kind}: status subresource"


@needs_definitions
@pytest.mark.parametrize(("group", "kind"), [("nvidia.com", "NVIDIADriver"), ("nvidia.com", "ClusterPolicy")])
def test_what_the_vendors_default_where_we_do_is_the_same(group: str, kind: str) -> None:
    """A declared object reads back with the defaults of its definition: so must ours."""

    def defaults(schema: Object, where: str = "") -> dict[str, Any]:
        found = {where: schema["default"]} if "default" in schema else {}
        for name, inner in (schema.get("properties") or {}).items():
            found |= defaults(inner, f"{where}.{name}")
        return found

    def of(definitions: Iterable[Object]) -> dict[str, Any]:
        found = next(d for d in definitions if d["spec"]["names"]["kind"] == kind)
        return defaults(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"])

    ours, theirs = of(crds.all_crds(openshift=True)), of(definitions(group))
    parts = {where.rpartition(".")[0] for where in ours}
    assert ours == {where: value for where, value in theirs.items() if where.rpartition(".")[0] in parts}


def test_no_kind_that_the_twin_makes_is_left_out_here(tmp_path: Path) -> None:
    """By its own audit log, seeds included; the definitions are compared with the vendors' above."""

    async def story(stage: Stage) -> None:
        lines = (stage.state / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        made = {(one["apiVersion"], one["kind"]) for one in map(json.loads, lines)}
        assert made - {*CUSTOM, *BUILT_IN} == {("apiextensions.k8s.io/v1", "CustomResourceDefinition")}
        assert made >= set(BUILT_IN)

    play(tmp_path, story)


def test_built_in_objects_are_complete_by_the_published_schemas(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        for obj in await everything(stage, BUILT_IN):
            assert problems(obj) == [], f"{obj['kind']} {obj['metadata']['name']}"

    play(tmp_path, story)


def test_the_official_client_reads_every_list_as_typed_models(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        def read() -> dict[str, int]:
            api = kubernetes.config.new_client_from_config(str(tmp_path / "kubeconfig"))
            core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
            policy, batch = kubernetes.client.PolicyV1Api(api), kubernetes.client.BatchV1Api(api)
            lists = {
                "nodes": core.list_node(),
                "pods": core.list_pod_for_all_namespaces(),
                "config maps": core.list_config_map_for_all_namespaces(),
                "namespaces": core.list_namespace(),
                "daemon sets": apps.list_daemon_set_for_all_namespaces(),
                "deployments": apps.list_deployment_for_all_namespaces(),
                "stateful sets": apps.list_stateful_set_for_all_namespaces(),
                "budgets": policy.list_pod_disruption_budget_for_all_namespaces(),
                "jobs": batch.list_job_for_all_namespaces(),
            }
            return {name: len(listing.items) for name, listing in lists.items()}

        await stage.fault("stale-gfd-label", "gpu-1")
        await stage.client.create(smoke_job("gpu-2", "cat", "/host/etc/hostname"))
        await stage.until("the Job has run", lambda: stage.events("job-ran"))
        counts = await asyncio.to_thread(read)
        assert counts["nodes"] == 4
        assert all(counts.values()), counts

    play(tmp_path, story)
