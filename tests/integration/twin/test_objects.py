"""What the twin seeds and writes is what strict clients and the vendors' own definitions accept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes
import kubernetes_validate
import pytest
import yaml
from tests.integration.twin.stage import Stage, play, smoke_job

from knowngood.twin import crds
from knowngood.twin.behaviours.kube import Object

VENDOR = Path(__file__).parents[4] / "shared" / "crds"
CUSTOM = (
    ("nvidia.com/v1alpha1", "NVIDIADriver"),
    ("nvidia.com/v1", "ClusterPolicy"),
    ("argoproj.io/v1alpha1", "Application"),
    ("scheduling.run.ai/v2alpha2", "PodGroup"),
    ("machineconfiguration.openshift.io/v1", "MachineConfigPool"),
    ("config.openshift.io/v1", "ClusterVersion"),
    ("mellanox.com/v1alpha1", "NicClusterPolicy"),
)
BUILT_IN = (
    ("v1", "Node"),
    ("v1", "Pod"),
    ("v1", "Namespace"),
    ("v1", "ConfigMap"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("policy/v1", "PodDisruptionBudget"),
)


def vendor_schemas() -> dict[tuple[str, str], Any]:
    """The published schema of each custom kind and version."""
    found = {}
    for file in VENDOR.glob("*.yaml"):
        spec = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            found[key] = version["schema"]["openAPIV3Schema"]
    return found


async def everything(stage: Stage, kinds: tuple[tuple[str, str], ...]) -> list[Object]:
    """All objects of these kinds."""
    lists = await asyncio.gather(*(stage.client.list(kind) for kind in kinds))
    return [obj for listing in lists for obj in listing.items]


def test_custom_objects_are_valid_by_the_vendors_definitions(tmp_path: Path) -> None:
    if not VENDOR.is_dir():
        pytest.skip(f"the vendors' definitions are not at {VENDOR.name}: they are not part of the project")
    schemas = vendor_schemas()
    seen: set[str] = set()

    async def story(stage: Stage) -> None:
        nic = {
            "apiVersion": "mellanox.com/v1alpha1",
            "kind": "NicClusterPolicy",
            "metadata": {"name": "nic-cluster-policy"},
            "spec": {
                "ofedDriver": {"image": "doca-driver", "repository": "mirror.example.com", "version": "25.10"}
            },
        }
        (stage.repository.folder / "nic.yaml").write_text(yaml.safe_dump(nic), encoding="utf-8")
        await stage.sync(stage.repository.push("network"))
        await stage.until("its DaemonSets", lambda: len(stage.pods("nvidia-network-operator")) == 4)
        for obj in await everything(stage, CUSTOM):
            schema = schemas[(obj["apiVersion"], obj["kind"])]
            jsonschema.Draft202012Validator(schema).validate(_without_nulls(obj, schema))
            seen.add(obj["kind"])

    play(tmp_path, story)
    assert seen == {kind for _, kind in CUSTOM}


def _without_nulls(value: Any, schema: Any) -> Any:
    """`nullable: true` is OpenAPI, not JSON Schema: such fields are left out of the comparison."""
    if not isinstance(value, dict):
        return (
            [_without_nulls(v, schema.get("items", {})) for v in value] if isinstance(value, list) else value
        )
    properties = schema.get("properties", {})
    return {
        key: _without_nulls(inner, properties.get(key, {}))
        for key, inner in value.items()
        if not (inner is None and properties.get(key, {}).get("nullable"))
    } | {key: [] for key, inner in value.items() if inner is None and properties.get(key, {}).get("nullable")}


def test_our_definitions_know_the_kinds_by_the_vendors_names() -> None:
    if not VENDOR.is_dir():
        pytest.skip(f"the vendors' definitions are not at {VENDOR.name}: they are not part of the project")
    for ours in crds.all_crds(openshift=True):
        file = VENDOR / f"{ours['spec']['group']}_{ours['spec']['names']['plural']}.yaml"
        if not file.exists():
            file = VENDOR / f"{ours['spec']['group']}_{ours['spec']['names']['singular']}.yaml"
        theirs = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for field in ("kind", "plural", "singular", "listKind"):
            assert ours["spec"]["names"][field] == theirs["spec"]["names"][field]
        assert ours["spec"]["scope"] == theirs["spec"]["scope"]
        assert ours["spec"]["versions"][0]["name"] in {v["name"] for v in theirs["spec"]["versions"]}
        mine, vendors = (bool(d["spec"]["versions"][0].get("subresources")) for d in (ours, theirs))
        assert mine == vendors, f"{file.name}: status subresource"


def test_built_in_objects_are_complete_by_the_published_schemas(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        for obj in await everything(stage, BUILT_IN):
            kubernetes_validate.validate(obj, "1.31", strict=True)

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
