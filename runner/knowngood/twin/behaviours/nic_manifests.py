"""The Network Operator's DaemonSets, as objects. Names, labels and containers are upstream's, 26.4 to 26.7. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knowngood.twin.behaviours.daemonsets import BUILT_IN_TOLERATIONS
from knowngood.twin.behaviours.kube import (
    NIC_CLUSTER_POLICY,
    NIC_PCI_LABEL,
    OSTREE_LABEL,
    kind_of,
    labels_of,
    matches,
    name_of,
    untolerated,
)
from knowngood.twin.values import Object

OFED_LABEL = "nvidia.com/ofed-driver"
OWNER_LABEL = "ds-owner"
STATE_LABEL = "nvidia.network-operator.state"
WAIT_LABEL = "network.nvidia.com/operator.mofed.wait"
OFED_CONTAINER = "mofed-container"
TOOLKIT_CONTAINER = "openshift-driver-toolkit-ctr"
SHARED = "shared-doca-driver-toolkit"
OFED_STATE, RDMA_STATE = "state-OFED", "state-RDMA-device-plugin"
SECTIONS = {OFED_STATE: "ofedDriver", RDMA_STATE: "rdmaSharedDevicePlugin"}
GRACE_S = 300
"""A DOCA pod's termination grace where its policy names none: unloading takes its time."""

_OS = "feature.node.kubernetes.io/system-os_release"
OS_NAME, OS_VERSION = f"{_OS}.ID", f"{_OS}.VERSION_ID"
KERNEL = "feature.node.kubernetes.io/kernel-version.full"
ARCH = "kubernetes.io/arch"
NEEDED = (OS_NAME, OS_VERSION, KERNEL, ARCH)
GPU_TOLERATION: Object = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
LOOKED_PAST: tuple[Object, ...] = (
    GPU_TOLERATION,
    *BUILT_IN_TOLERATIONS,
    {"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"},
)
"""Taints that keep no node from being counted, whatever the policy tolerates. A node that is down is not counted."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True, order=True)
class NicPool:
    """Nodes of one operating system and kernel: they share a DaemonSet. build: OSTREE_VERSION, "" without it."""

    os: str
    version: str
    kernel: str
    arch: str
    build: str = ""


def short_hash(text: str) -> str:
    """The operator's hash in names: FNV-1a of 32 bits as a decimal, in letters that make no words."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in str(value).encode())


def owner_of(policy: Object) -> str:
    """The value of `ds-owner`: NicClusterPolicy, or nnp-<name>."""
    return "NicClusterPolicy" if kind_of(policy) == NIC_CLUSTER_POLICY else f"nnp-{name_of(policy)}"


def selector_of(policy: Object) -> dict[str, str]:
    """The policy's own nodeSelector; a NicClusterPolicy has none."""
    return dict(policy["spec"].get("nodeSelector") or {})


def selects(policy: Object, node: Object) -> bool:
    """Whether the policy is for a node, by labels alone."""
    labels = labels_of(node)
    return labels.get(NIC_PCI_LABEL) == "true" and matches({"matchLabels": selector_of(policy)}, labels)


def pools(policy: Object, nodes: Iterable[Object], *, openshift: bool) -> list[NicPool]:
    """The pools of a policy. A node with a taint that it does not tolerate counts for none of them."""
    tolerated = {"tolerations": [*(policy["spec"].get("tolerations") or ()), *LOOKED_PAST]}
    found: dict[tuple[str, str, str], NicPool] = {}
    for node in nodes:
        labels = labels_of(node)
        if not selects(policy, node) or any(label not in labels for label in NEEDED):
            continue
        if untolerated(tolerated, node, ("NoSchedule", "NoExecute", "PreferNoSchedule")):
            continue
        build = labels.get(OSTREE_LABEL, "") if openshift else ""
        pool = NicPool(labels[OS_NAME], labels[OS_VERSION], labels[KERNEL], labels[ARCH], build)
        found.setdefault((pool.os, pool.version, pool.kernel), pool)
    return sorted(found.values())


def image_of(section: Object, pool: NicPool) -> str:
    """The DOCA image of a pool: a digest as it is, else the version with kernel (precompiled), OS and architecture."""
    version = str(section.get("version", ""))
    name = f"{section.get('repository', '')}/{section['image']}"
    if version.startswith("sha256:"):
        return f"{name}@{version}"
    kernel = f"{pool.kernel}-" if section.get("forcePrecompiled") else ""
    return f"{name}:{version}-{kernel}{pool.os}{pool.version}-{pool.arch}"


def suffix_of(policy: Object, version: str) -> str:
    """What a policy's objects have in their names: its name, from operator 26.7 the name's hash."""
    if kind_of(policy) == NIC_CLUSTER_POLICY:
        return ""
    major, _, rest = version.partition(".")
    numbers = [int(n) if n.isdigit() else 0 for n in (major, rest.partition(".")[0])]
    return f"-{short_hash(name_of(policy)) if numbers >= [26, 7] else name_of(policy)}"


def ofed_daemon_set(policy: Object, pool: NicPool, namespace: str, suffix: str) -> Object:
    """The DOCA-OFED DaemonSet of one pool. On OpenShift it brings a driver toolkit, and nodes of that build only."""
    section = policy["spec"]["ofedDriver"]
    toolkit = bool(pool.build) and not _built(section)
    env = list(section.get("env") or ())
    container: Object = {
        "name": OFED_CONTAINER,
        "image": image_of(section, pool),
        "securityContext": {"privileged": True},
        "env": env,
        "volumeMounts": [{"name": "run-mlnx-ofed", "mountPath": "/run/mellanox/drivers"}],
    }
    pod: Object = {
        "nodeSelector": {
            NIC_PCI_LABEL: "true",
            OS_NAME: pool.os,
            OS_VERSION: pool.version,
            KERNEL: pool.kernel,
            **({OSTREE_LABEL: pool.build} if toolkit else {}),
            **selector_of(policy),
        },
        "tolerations": _tolerations(policy),
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_ALONE]}},
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "ofed-driver",
        "terminationGracePeriodSeconds": section.get("terminationGracePeriodSeconds", GRACE_S),
        "containers": [container],
        "volumes": [{"name": "run-mlnx-ofed", "hostPath": {"path": "/run/mellanox/drivers", "type": ""}}],
    }
    if toolkit:
        container["env"] = [{"name": "DTK_OCP_DRIVER_BUILD", "value": "true"}, *env]
        pod["containers"].append({"name": TOOLKIT_CONTAINER, "image": toolkit_image(pool.build), "env": env})
        # An emptyDir: drains that delete emptyDir data meet it.
        pod["volumes"].append({"name": SHARED, "emptyDir": {}})
    app = f"mofed-{pool.os}{pool.version}-{short_hash(pool.kernel)}{suffix}"
    labels = {"app": app, OFED_LABEL: "", OWNER_LABEL: owner_of(policy)}
    found = _daemon_set(f"{app}-ds", namespace, {**labels, "kernel": pool.kernel}, pod, "OnDelete")
    found["metadata"]["labels"] = {**labels, "mofed-ds-format-version": "1", STATE_LABEL: OFED_STATE}
    return found


def rdma_daemon_set(policy: Object, namespace: str, suffix: str) -> Object:
    """The shared RDMA device plugin: only on nodes whose wait label says that nobody waits for DOCA-OFED."""
    section = policy["spec"]["rdmaSharedDevicePlugin"]
    cluster = kind_of(policy) == NIC_CLUSTER_POLICY
    app = f"rdma-shared-dp{'' if cluster else f'-{name_of(policy)}'}"
    image = f"{section.get('repository', '')}/{section['image']}:{section.get('version', '')}"
    pod: Object = {
        "nodeSelector": {NIC_PCI_LABEL: "true", WAIT_LABEL: "false", **selector_of(policy)},
        "tolerations": _tolerations(policy),
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "containers": [
            {"name": "rdma-shared-dp", "image": image, "securityContext": {"privileged": True}},
        ],
    }
    labels = {"app": app, OWNER_LABEL: owner_of(policy)}
    found = _daemon_set(f"rdma-shared-dp-ds{suffix}", namespace, labels, pod, "RollingUpdate")
    found["metadata"]["labels"] = {OWNER_LABEL: owner_of(policy), STATE_LABEL: RDMA_STATE}
    return found


def toolkit_image(build: str) -> str:
    """The driver toolkit of an RHCOS build, as the imagestream names it."""
    return f"image-registry.openshift-image-registry.svc:5000/openshift/driver-toolkit:{build}"


_ALONE: Object = {
    "labelSelector": {"matchExpressions": [{"key": OFED_LABEL, "operator": "Exists"}]},
    "topologyKey": "kubernetes.io/hostname",
}


def _built(section: Object) -> bool:
    """Whether the image brings its modules: then nothing is compiled."""
    return bool(section.get("forcePrecompiled")) or str(section.get("version", "")).startswith("sha256:")


def _tolerations(policy: Object) -> list[Object]:
    return [*(policy["spec"].get("tolerations") or ()), GPU_TOLERATION]


def _daemon_set(name: str, namespace: str, labels: dict[str, str], pod: Object, strategy: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": labels["app"]}},
            "updateStrategy": {"type": strategy},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
