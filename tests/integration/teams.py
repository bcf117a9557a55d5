"""Teams with clusters and repositories of their own: what each of them has, and what each of them types."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from tests.first_hour import (
    CLUSTER_POLICY,
    GPU,
    NETWORK,
    NIC_POLICY,
    TOLERATIONS,
    application,
    kustomization,
    obj,
    repository_files,
)
from tests.integration.own_cluster import Team

from knowngood.model.values import Object

SPACE = "openshift-gitops"


def truth(release: str, declare: Object, platform: str = "openshift") -> Object:
    """A cluster of three nodes with what Git declares there, as the twin is told it."""
    return {
        "profile": "xe7740-h200nvl",
        "release": release,
        "traits": {
            "platform": platform,
            "infrastructure": "bare-metal",
            "network": "ovn-kubernetes",
            "disconnected": "false",
            "topology": "one-control-plane",
        },
        "nodes": {"controlPlane": ["cp-1"], "gpu": ["gpu-1", "gpu-2"]},
        "rings": [
            {"name": "ring-0", "nodes": ["gpu-1"], "batch": 1},
            {"name": "ring-1", "nodes": ["gpu-2"], "batch": 1},
        ],
        "tenants": [
            {
                "name": "vision",
                "namespaces": ["vision"],
                "evictionDeadlineSeconds": 120,
                "workloads": [
                    {
                        "name": "serve",
                        "kind": "Deployment",
                        "replicas": 2,
                        "gpusPerPod": 1,
                        "minAvailable": 1,
                    }
                ],
            }
        ],
        "gitops": {
            "repo": "https://git.example.com/ops/clusters.git",
            "branch": "main",
            "applications": [{"name": "any", "namespace": SPACE, "path": "any"}],
        },
        "declare": declare,
    }


def declared(path: str, kind: str, name: str, namespace: str = "") -> Object:
    """Where a truth says that something is declared; the twin's Git is the team's, so any file does."""
    api = {
        "ClusterPolicy": "nvidia.com/v1",
        "NVIDIADriver": "nvidia.com/v1alpha1",
        "NicClusterPolicy": "mellanox.com/v1alpha1",
        "Subscription": "operators.coreos.com/v1alpha1",
    }[kind]
    obj = {"apiVersion": api, "kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}
    return {"file": f"any/{kind.lower()}-{name}.yaml", "path": path, "object": obj}


ANSWERS: Object = {
    "probeImage": f"mirror.example.com/knowngood/probe@sha256:{'5' * 64}",
    "traits": {"infrastructure": "bare-metal", "network": "ovn-kubernetes", "disconnected": "false"},
    "tenants": [{"name": "vision", "namespaces": ["vision"], "evictionDeadlineSeconds": 60}],
}
OPERATORS_BY_OLM = {
    "gpu-operator": declared(
        "spec.startingCSV", "Subscription", "gpu-operator-certified", "nvidia-gpu-operator"
    ),
    "network-operator": declared(
        "spec.startingCSV", "Subscription", "nvidia-network-operator", "nvidia-network-operator"
    ),
}
ONCE = {
    "nvidia-driver": declared("spec.driver.version", "ClusterPolicy", "gpu-cluster-policy"),
    "doca-ofed": declared("spec.ofedDriver.version", "NicClusterPolicy", "nic-cluster-policy"),
}


def seeds(repo: str) -> Mapping[str, Object | str]:
    """A kustomize base, an overlay with a patch, an app of apps."""
    return repository_files(repo)


def plain(repo: str) -> Mapping[str, Object | str]:
    """Manifests below a folder that Argo CD reads with all its subfolders; one file holds both rings' drivers."""
    folder = "clusters/prod"
    drivers = [obj("nvidia.com/v1alpha1", "NVIDIADriver", ring, driver(ring)) for ring in RINGS]
    return {
        "argocd/prod.yaml": application("prod", folder, repo=repo, directory={"recurse": True}),
        f"{folder}/gpu/drivers.yaml": "# Both rings. Ask ops before you touch a version.\n"
        + "---\n".join(yaml.safe_dump(one, sort_keys=False) for one in drivers),
        f"{folder}/gpu/policy.yaml": obj(
            "nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy", by_drivers()
        ),
        f"{folder}/gpu/subscription.yaml": installed(GPU, "nvidia-gpu-operator", "26.7.0", "v26.7"),
        f"{folder}/network/subscription.yaml": installed(
            NETWORK, "nvidia-network-operator", "26.4.1", "v26.4"
        ),
        f"{folder}/network/policy.yaml": {**NIC_POLICY, "spec": ofed("doca3.4.1-26.04-1.1.0.0-1")},
    }


def helm(repo: str) -> Mapping[str, Object | str]:
    """A chart of the team's own with subcharts; its Application gives it two values files, one from elsewhere."""
    gpu, network = "charts/platform/charts/gpu", "charts/platform/charts/network"
    made = {
        **CLUSTER_POLICY["spec"],
        "driver": {"enabled": True, "repository": "nvcr.io/nvidia", "image": "driver"},
    }
    made["driver"]["version"] = "VERSION"
    policy = yaml.safe_dump({**CLUSTER_POLICY, "spec": made}, sort_keys=False)
    subscriptions = {
        f"{gpu}/templates/subscription.yaml": installed(GPU, "nvidia-gpu-operator", "25.10.1", "v25.10"),
        f"{network}/templates/subscription.yaml": installed(
            NETWORK, "nvidia-network-operator", "25.10.0", "v25.10"
        ),
        f"{network}/templates/policy.yaml": NIC_POLICY,
    }
    return {
        "argocd/platform.yaml": application(
            "platform",
            "charts/platform",
            repo=repo,
            helm={"valueFiles": ["values.yaml", "../../clusters/prod/values.yaml"]},
        ),
        "charts/platform/Chart.yaml": {"apiVersion": "v2", "name": "platform", "version": "1.4.0"},
        "charts/platform/values.yaml": {"gpu": {"driver": {"version": "570.211.01"}}},
        "clusters/prod/values.yaml": "gpu:\n  driver:\n    version: 580.105.08 # as QA left it\n",
        f"{gpu}/Chart.yaml": {"apiVersion": "v2", "name": "gpu", "version": "0.1.0"},
        f"{gpu}/templates/policy.yaml": policy.replace("VERSION", "{{ .Values.driver.version | quote }}"),
        f"{network}/Chart.yaml": {"apiVersion": "v2", "name": "network", "version": "0.1.0"},
        **subscriptions,
    }


def upstream(repo: str) -> Mapping[str, Object | str]:
    """No OLM: Helm brought the operator. An overlay whose component holds the drivers; a chart by its Application."""
    drivers = {f"components/drivers/{ring}.yaml": driver(ring) for ring in RINGS}
    kai = application("kai-scheduler", "", repo="https://charts.example.com", space="argocd")
    kai["spec"]["source"] = {"repoURL": "https://charts.example.com", "chart": "kai-scheduler"}
    kai["spec"]["source"]["targetRevision"] = "v0.12.16"
    kai["spec"]["destination"]["namespace"] = "kai-scheduler"
    component = kustomization(*(f"{ring}.yaml" for ring in RINGS), kind="Component")
    return {
        "argocd/gpu.yaml": application("gpu", "overlays/prod", repo=repo, space="argocd"),
        "argocd/kai.yaml": kai,
        "overlays/prod/kustomization.yaml": kustomization(components=["../../components/drivers"]),
        "components/drivers/kustomization.yaml": {
            **component,
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        },
        **{
            file: obj(
                "nvidia.com/v1alpha1", "NVIDIADriver", file.rpartition("/")[2].removesuffix(".yaml"), spec
            )
            for file, spec in drivers.items()
        },
    }


RINGS = ("ring-0", "ring-1")


def driver(ring: str) -> Object:
    """One ring's driver."""
    return {
        "driverType": "gpu",
        "repository": "nvcr.io/nvidia",
        "image": "driver",
        "version": "580.173.02",
        "kernelModuleType": "open",
        "upgradePolicy": {"autoUpgrade": False},
        "nodeSelector": {"knowngood.dev/ring": ring},
        "tolerations": TOLERATIONS,
    }


def by_drivers() -> Object:
    """A ClusterPolicy that leaves the driver to the objects of rings."""
    driver = {"enabled": True, "useNvidiaDriverCRD": True, "upgradePolicy": {"autoUpgrade": False}}
    return {**CLUSTER_POLICY["spec"], "driver": driver}


def ofed(version: str) -> Object:
    """A NicClusterPolicy's spec with another version."""
    spec = NIC_POLICY["spec"]
    return {
        **spec,
        "ofedDriver": {**spec["ofedDriver"], "version": version, "upgradePolicy": {"autoUpgrade": False}},
    }


def installed(sub: Object, space: str, version: str, channel: str) -> Object:
    """A Subscription at another version."""
    csv = f"{sub['spec']['startingCSV'].partition('.v')[0]}.v{version}"
    spec = {**sub["spec"], "startingCSV": csv, "channel": channel}
    return {**sub, "metadata": {**sub["metadata"], "namespace": space}, "spec": spec}


def by_ring(name: str = "{ring}") -> Object:
    """Where a truth says that each ring has its own driver."""
    found = declared("spec.version", "NVIDIADriver", name)
    return {"nvidia-driver": {**found, "file": "any/driver-{ring}.yaml"}}


TEAMS = {
    "plain": Team(
        truth=truth("r580", {**OPERATORS_BY_OLM, **by_ring(), "doca-ofed": ONCE["doca-ofed"]}),
        files=plain,
        roots=({"name": "root", "namespace": SPACE, "path": "argocd"},),
        typed={"release": "r580", **ANSWERS},
        to="r595",
    ),
    "helm": Team(
        truth=truth("h200-4.18-r580.105", {**OPERATORS_BY_OLM, **ONCE}),
        files=helm,
        roots=({"name": "root", "namespace": SPACE, "path": "argocd"},),
        typed={"release": "h200-4.18-r580.105", **ANSWERS},
        to="h200-4.18-r580",
    ),
    "upstream": Team(
        truth=truth("k8s-1.34-r580", by_ring(), platform="kubernetes"),
        files=upstream,
        roots=({"name": "root", "namespace": "argocd", "path": "argocd"},),
        typed={"release": "k8s-1.34-r580", **ANSWERS},
        to="k8s-1.34-r595",
    ),
    "seeds": Team(
        truth=truth("h200-4.18-r580.105", {**OPERATORS_BY_OLM, **ONCE}),
        files=seeds,
        roots=({"name": "root", "namespace": SPACE, "path": "argocd"},),
        typed={"release": "h200-4.18-r580.105", **ANSWERS},
        to="h200-4.18-r580",
    ),
}
