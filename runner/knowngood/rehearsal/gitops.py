"""The GitOps repository a rehearsal starts from: what Argo CD would hold for this cluster at rest.

Objects are plain dicts by path; `adapters.stage` writes them as YAML and commits them. Their fields follow
the operators' CRDs: nvidia.com NVIDIADriver v1alpha1 and ClusterPolicy v1 (GPU Operator 26.7.0),
mellanox.com NicClusterPolicy v1alpha1 (Network Operator 26.4).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster, Declaration, Profile, Release, Ring
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT, RING_LABEL
from knowngood.model.values import Object

MIRROR = "mirror.example.com/nvidia"
"""The air gap's mirror; nothing is ever pulled in a rehearsal."""

DRIVER = "nvidia-driver"
GPU_TAINT = "nvidia.com/gpu"


def tolerations() -> list[Object]:
    """What operands must tolerate, or a driver pod deleted under our taint never returns."""
    return [
        {"key": key, "operator": "Exists", "effect": "NoSchedule"}
        for key in (GPU_TAINT, MAINTENANCE_TAINT, QUARANTINE_TAINT)
    ]


def files(cluster: Cluster, profile: Profile, release: Release) -> dict[str, Object]:
    """Path in the repository to the object kept there. UsageError: the twin can't play this cluster."""
    declaration = _driver_declaration(cluster)
    policy = PurePosixPath(declaration.file.replace("{ring}", "x")).with_name("clusterpolicy.yaml")
    objects: dict[str, Object] = {str(policy): cluster_policy()}
    for ring in cluster.rings:
        path = declaration.file.replace("{ring}", ring.name)
        objects[path] = nvidia_driver(declaration, ring, release)
    if "doca-ofed" in release.components:
        objects[_network_file(cluster, policy)] = nic_cluster_policy(release, profile)
    return objects


def nvidia_driver(declaration: Declaration, ring: Ring, release: Release) -> Object:
    """One ring's NVIDIADriver: explicit version, autoUpgrade written out (from 26.7 omitted means on)."""
    name = declaration.object.of_ring(ring.name).name
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"name": name},
        "spec": {
            "default": False,
            "driverType": "gpu",
            "repository": MIRROR,
            "image": "driver",
            "version": release.components[DRIVER],
            "kernelModuleType": release.components.get("kernel-module-type", "open"),
            "nodeSelector": {RING_LABEL: ring.name},
            "upgradePolicy": {"autoUpgrade": False},
            "tolerations": tolerations(),
        },
    }


def cluster_policy() -> Object:
    """The GPU Operator's ClusterPolicy; drivers come from NVIDIADriver objects."""
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "gpu-cluster-policy"},
        "spec": {
            "operator": {"use_ocp_driver_toolkit": True},
            "daemonsets": {"tolerations": tolerations(), "updateStrategy": "RollingUpdate"},
            "driver": {
                "enabled": True,
                "useNvidiaDriverCRD": True,
                "upgradePolicy": {"autoUpgrade": False},
            },
            "toolkit": {"enabled": True},
            "devicePlugin": {"enabled": True},
            "dcgm": {"enabled": True},
            "dcgmExporter": {"enabled": True},
            "gfd": {"enabled": True},
            "nodeStatusExporter": {"enabled": False},
        },
    }


def nic_cluster_policy(release: Release, profile: Profile) -> Object:
    """The Network Operator's NicClusterPolicy: DOCA-OFED at the release's version."""
    return {
        "apiVersion": "mellanox.com/v1alpha1",
        "kind": "NicClusterPolicy",
        "metadata": {
            "name": "nic-cluster-policy",
        },
        "spec": {
            "ofedDriver": {
                "repository": MIRROR,
                "image": "doca-driver",
                "version": release.components["doca-ofed"],
                "upgradePolicy": {"autoUpgrade": False},
            },
            "tolerations": tolerations(),
        },
    }


def _driver_declaration(cluster: Cluster) -> Declaration:
    for declaration in cluster.declarations:
        if declaration.component == DRIVER:
            if declaration.kind == "NVIDIADriver" and "{ring}" in declaration.file:
                return declaration
            break
    raise UsageError(
        f"cluster {cluster.name} does not declare {DRIVER} by one NVIDIADriver a ring; the twin needs that",
        where=cluster.where,
        hint="give declare.nvidia-driver a file with {ring} in it and object.kind NVIDIADriver",
    )


def _network_file(cluster: Cluster, policy: PurePosixPath) -> str:
    """NicClusterPolicy's path: in the application whose folder is `network`, else beside ClusterPolicy."""
    for application in cluster.gitops.applications:
        path = PurePosixPath(application.path)
        if path.name == "network":
            return str(path / "nicclusterpolicy.yaml")
    return str(policy.with_name("nicclusterpolicy.yaml"))
