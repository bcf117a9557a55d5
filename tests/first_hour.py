"""An ordinary cluster as a team has it on its first day: a kustomize base, an overlay, and what `oc adm inspect` shows.

GPU Operator 25.10 under one ClusterPolicy, values in `cluster-config/base/operators`, Applications in `argocd/`, the
tenants' work in `applications/`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from knowngood.model.values import Object

CONFIG = "cluster-config"
OPERATORS = f"{CONFIG}/base/operators"
OVERLAY = f"{CONFIG}/overlays/prod"
POLICY = f"{OPERATORS}/gpu-operator/cluster-policy.yaml"
REPO = "https://git.example.com/ops/clusters.git"
CERTIFIED = {"source": "certified-operators", "sourceNamespace": "openshift-marketplace"}


def subscription(name: str, channel: str, csv: str, **source: str) -> Object:
    spec = {"channel": channel, "name": name, "installPlanApproval": "Manual", "startingCSV": csv, **source}
    return obj("operators.coreos.com/v1alpha1", "Subscription", name, spec)


def obj(api: str, kind: str, name: str, spec: Object | None = None, **metadata: object) -> Object:
    found: Object = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}}
    return found | ({"spec": spec} if spec is not None else {})


def kustomization(*resources: str, **more: object) -> Object:
    api = "kustomize.config.k8s.io/v1beta1"
    found = {"resources": list(resources)} if resources else {}
    return {"apiVersion": api, "kind": "Kustomization", **found, **more}


TOLERATIONS = [
    {"key": key, "operator": "Exists", "effect": "NoSchedule"}
    for key in ("nvidia.com/gpu", "knowngood.dev/maintenance", "knowngood.dev/quarantine")
]
"""What `doctor` asks Git for, before a cluster is taken into its first run."""
GPU = subscription("gpu-operator-certified", "v25.10", "gpu-operator-certified.v25.10.1", **CERTIFIED)
NETWORK = subscription("nvidia-network-operator", "v25.10", "nvidia-network-operator.v25.10.0", **CERTIFIED)
CLUSTER_POLICY = obj(
    "nvidia.com/v1",
    "ClusterPolicy",
    "gpu-cluster-policy",
    {
        "operator": {"defaultRuntime": "crio", "use_ocp_driver_toolkit": True},
        "daemonsets": {"updateStrategy": "RollingUpdate", "tolerations": TOLERATIONS},
        **{
            part: {"enabled": True}
            for part in ("toolkit", "devicePlugin", "dcgm", "dcgmExporter", "gfd", "nodeStatusExporter")
        },
        "driver": {
            "enabled": True,
            "repository": "nvcr.io/nvidia",
            "image": "driver",
            "version": "580.105.08",
        },
    },
)
NIC_POLICY = obj(
    "mellanox.com/v1alpha1",
    "NicClusterPolicy",
    "nic-cluster-policy",
    {
        "ofedDriver": {
            "repository": "nvcr.io/nvidia/mellanox",
            "image": "doca-driver",
            "version": "doca3.2.0-25.10-1.2.8.0-2",
        },
        "tolerations": TOLERATIONS,
    },
)
PATCH = yaml.safe_dump(
    {
        **{k: NIC_POLICY[k] for k in ("apiVersion", "kind", "metadata")},
        "spec": {"ofedDriver": {"version": "doca3.2.0-25.10-1.2.8.0-2"}},
    }
)


def application(
    name: str,
    path: str,
    *resources: Object,
    repo: str = REPO,
    space: str = "openshift-gitops",
    **more: object,
) -> Object:
    source = {"repoURL": repo, "targetRevision": "main", "path": path, **more}
    spec = {
        "project": "default",
        "source": source,
        "destination": {"server": "https://kubernetes.default.svc"},
        "syncPolicy": {"automated": {"selfHeal": True}},
    }
    made = obj("argoproj.io/v1alpha1", "Application", name, spec, namespace=space)
    rows = []
    for one in resources:
        group, _, version = one["apiVersion"].rpartition("/")
        rows.append(
            {"group": group, "version": version, "kind": one["kind"], "name": one["metadata"]["name"]}
        )
    return made | ({"status": {"resources": rows, "sync": {"status": "Synced"}}} if rows else {})


def repository_files(repo: str = REPO) -> dict[str, Object]:
    """Path to what the file holds."""
    return {
        f"{CONFIG}/base/kustomization.yaml": kustomization("operators"),
        f"{OPERATORS}/kustomization.yaml": kustomization("gpu-operator", "network-operator"),
        f"{OPERATORS}/gpu-operator/kustomization.yaml": kustomization(
            "subscription.yaml", "cluster-policy.yaml"
        ),
        f"{OPERATORS}/gpu-operator/subscription.yaml": {
            **GPU,
            "metadata": {**GPU["metadata"], "namespace": "nvidia-gpu-operator"},
        },
        POLICY: CLUSTER_POLICY,
        f"{OPERATORS}/network-operator/kustomization.yaml": kustomization("subscription.yaml", "policy.yaml"),
        f"{OPERATORS}/network-operator/subscription.yaml": {
            **NETWORK,
            "metadata": {**NETWORK["metadata"], "namespace": "nvidia-network-operator"},
        },
        f"{OPERATORS}/network-operator/policy.yaml": NIC_POLICY,
        f"{OVERLAY}/kustomization.yaml": kustomization("../../base", patches=[{"patch": PATCH}]),
        "applications/vision/settings.yaml": obj("v1", "ConfigMap", "serving", namespace="vision")
        | {"data": {"model": "small"}},
        "argocd/cluster-config.yaml": application("cluster-config", OVERLAY, repo=repo),
        "argocd/vision.yaml": application("vision", "applications/vision", repo=repo),
    }


def checkout(folder: Path, **more: Object) -> Path:
    """The repository, with one commit on `main`."""
    for name, held in {**repository_files(), **more}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(held, sort_keys=False))
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), (*who, "commit", "-q", "-m", "as it is")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def inspected(folder: Path, repo: str = REPO) -> Path:
    """What the cluster shows, as `oc adm inspect` writes it down."""
    folder.mkdir()
    control, gpu = "node-role.kubernetes.io/control-plane", {"nvidia.com/gpu.present": "true"}
    info = {"status": {"nodeInfo": {"kernelVersion": "5.14.0-427.70.1.el9_4.x86_64"}}}
    nodes = [obj("v1", "Node", "cp-1", labels={control: ""}) | info]
    for number, ring in ((1, "ring-0"), (2, "ring-1"), (3, "ring-1")):
        labels = {**gpu, "knowngood.dev/ring": ring}
        nodes.append(obj("v1", "Node", f"gpu-{number}", labels=labels) | info)
    version = {"desired": {"version": "4.18.52"}, "history": [{"state": "Completed", "version": "4.18.52"}]}
    gpu_sub = {**GPU, "metadata": {**GPU["metadata"], "namespace": "nvidia-gpu-operator"}}
    net_sub = {**NETWORK, "metadata": {**NETWORK["metadata"], "namespace": "nvidia-network-operator"}}
    csv = "operators.coreos.com/v1alpha1"
    items = [
        *nodes,
        obj("v1", "Namespace", "kube-system", uid="0c4e9f3a-1111-4222-8333-444455556666"),
        obj("v1", "Namespace", "vision"),
        obj("v1", "ResourceQuota", "gpus", {"hard": {"requests.nvidia.com/gpu": "8"}}, namespace="vision"),
        obj("config.openshift.io/v1", "ClusterVersion", "version", {}) | {"status": version},
        CLUSTER_POLICY,
        NIC_POLICY,
        gpu_sub,
        net_sub,
        obj(
            csv,
            "ClusterServiceVersion",
            GPU["spec"]["startingCSV"],
            {"version": "25.10.1"},
            namespace="nvidia-gpu-operator",
        ),
        obj(
            csv,
            "ClusterServiceVersion",
            NETWORK["spec"]["startingCSV"],
            {"version": "25.10.0"},
            namespace="nvidia-network-operator",
        ),
        application("cluster-config", OVERLAY, GPU, NETWORK, CLUSTER_POLICY, NIC_POLICY, repo=repo),
        application("vision", "applications/vision", repo=repo),
    ]
    (folder / "all.yaml").write_text(yaml.safe_dump({"kind": "List", "items": items}))
    return folder
