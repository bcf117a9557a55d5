"""Whether the cluster is at rest: what still moves, in words."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL
from knowngood.twin.behaviours.kube import (
    APPLICATION,
    CLUSTER_POLICY,
    DAEMON_SET,
    DEPLOYMENT,
    GPU,
    NODE,
    NVIDIA_DRIVER,
    STATEFUL_SET,
    name_of,
    namespace_of,
)


def settled(twin: Twin) -> list[str]:
    """What is not at rest yet; empty when all is."""
    return [*_gitops(twin), *_pods(twin), *_gpus(twin)]


def _gitops(twin: Twin) -> list[str]:
    if not twin.seed.gitops:
        return []
    found = []
    for app in twin.cache.all(APPLICATION):
        status = app.get("status") or {}
        if (status.get("sync") or {}).get("status") != "Synced":
            why = [c.get("message", "") for c in status.get("conditions") or ()]
            operation = (status.get("operationState") or {}).get("message", "")
            found.append(f"Application {name_of(app)} is not Synced {' '.join(why) or operation}".rstrip())
    return found


def _pods(twin: Twin) -> list[str]:
    found = []
    for ds in twin.cache.all(DAEMON_SET):
        status = ds.get("status") or {}
        wanted = status.get("desiredNumberScheduled")
        if wanted is None or status.get("numberReady") != wanted:
            found.append(f"DaemonSet {name_of(ds)} has {status.get('numberReady', 0)} of {wanted} pods ready")
    for kind in (DEPLOYMENT, STATEFUL_SET):
        for obj in twin.cache.all(kind):
            wanted, ready = obj["spec"].get("replicas", 1), (obj.get("status") or {}).get("readyReplicas", 0)
            if wanted != ready:
                found.append(
                    f"{kind[1]} {namespace_of(obj)}/{name_of(obj)} has {ready} of {wanted} pods ready"
                )
    return found


def _gpus(twin: Twin) -> list[str]:
    """Where drivers are declared, each GPU node has its GPUs and each object is ready."""
    found = []
    drivers = list(twin.cache.all(NVIDIA_DRIVER))
    for obj in (*drivers, *twin.cache.all(CLUSTER_POLICY)):
        if (obj.get("status") or {}).get("state") != "ready":
            found.append(f"{obj['kind']} {name_of(obj)} is not ready")
    for node in twin.cache.all(NODE) if drivers else ():
        seed = twin.seed.node(name_of(node))
        have = (node["status"].get("allocatable") or {}).get(GPU, "0")
        owned = OWNER_LABEL in node["metadata"]["labels"]
        if seed and owned and int(have) != seed.gpus:
            found.append(f"node {name_of(node)} has {have} of {seed.gpus} GPUs allocatable")
    return found
