"""Teams with clusters and repositories of their own: what each of them has, and what each of them types."""

from __future__ import annotations

from collections.abc import Mapping

from tests.first_hour import repository_files
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


TEAMS = {
    "seeds": Team(
        truth=truth("h200-4.18-r580.105", {**OPERATORS_BY_OLM, **ONCE}),
        files=seeds,
        roots=({"name": "root", "namespace": SPACE, "path": "argocd"},),
        typed={"release": "h200-4.18-r580.105", **ANSWERS},
        to="h200-4.18-r580",
    ),
}
