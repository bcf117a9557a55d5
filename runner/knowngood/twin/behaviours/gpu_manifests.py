"""The DaemonSets of the GPU Operator, as objects. Names, labels and containers are upstream's."""

from __future__ import annotations

from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    OSTREE_LABEL,
    daemon_set,
    digest,
    name_of,
    owner_reference,
)
from knowngood.twin.values import Object

OWNER_LABEL = "nvidia.com/gpu-operator.driver.owner"
DEPLOY = "nvidia.com/gpu.deploy."
MANAGED = {"app.kubernetes.io/managed-by": "gpu-operator"}
DRIVER_CONTAINER = "nvidia-driver-ctr"
MANAGER_CONTAINER = "k8s-driver-manager"
MANAGER_VERSION = "v0.12.0"
DIGEST_ENV = "DRIVER_CONFIG_DIGEST"
VERSION_ENV = "DRIVER_VERSION"
TYPE_ENV = "KERNEL_MODULE_TYPE"

# DaemonSet name -> (deploy label, container), in the order in which the operands wait for each other.
OPERANDS = {
    "nvidia-container-toolkit-daemonset": ("container-toolkit", "nvidia-container-toolkit-ctr"),
    "nvidia-device-plugin-daemonset": ("device-plugin", "nvidia-device-plugin"),
    "gpu-feature-discovery": ("gpu-feature-discovery", "gpu-feature-discovery"),
    "nvidia-dcgm-exporter": ("dcgm-exporter", "nvidia-dcgm-exporter"),
    "nvidia-operator-validator": ("operator-validator", "nvidia-operator-validator"),
}
PARKED_LABELS = tuple(f"{DEPLOY}{name}" for name, _ in OPERANDS.values())
DEPLOY_LABELS = (f"{DEPLOY}driver", *PARKED_LABELS)
SYSTEM_TOLERATION: Object = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def owned(owner: Object) -> Object:
    """The ownerReference to an NVIDIADriver or ClusterPolicy."""
    return owner_reference(owner)


def driver_image(driver: Object, os_tag: str) -> str:
    """repository/image:version-os, as the operator composes it; a digest is used as it is."""
    spec = driver["spec"]
    image = "/".join(part for part in (spec.get("repository"), spec.get("image", "driver")) if part)
    version = str(spec.get("version", ""))
    return f"{image}@{version}" if version.startswith("sha256:") else f"{image}:{version}-{os_tag}"


def driver_digest(driver: Object, os_tag: str) -> str:
    """What decides between the fast path and a reload: images, environment, module type, OS."""
    spec = driver["spec"]
    parts = {
        "image": driver_image(driver, os_tag),
        "manager": spec.get("manager") or MANAGER_VERSION,
        "env": spec.get("env") or [],
        "type": spec.get("kernelModuleType", "auto"),
        "rdma": spec.get("rdma") or {},
        "gds": spec.get("gds") or {},
        "gdrcopy": spec.get("gdrcopy") or {},
        "os": os_tag,
    }
    return digest(parts, 32)


def driver_daemon_set(driver: Object, namespace: str, os_tag: str, ostree: str) -> Object:
    """The driver DaemonSet of one NVIDIADriver, for the nodes with that OSTREE_VERSION."""
    spec = driver["spec"]
    name = f"nvidia-gpu-driver-{os_tag}-{digest(name_of(driver), 10)}"
    env = [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": DIGEST_ENV, "value": driver_digest(driver, os_tag)},
        {"name": VERSION_ENV, "value": str(spec.get("version", ""))},
        {"name": TYPE_ENV, "value": str(spec.get("kernelModuleType", "auto"))},
        *(spec.get("env") or ()),
    ]
    manager = {
        "name": MANAGER_CONTAINER,
        "image": f"{spec.get('repository', 'nvcr.io/nvidia')}/k8s-driver-manager:{MANAGER_VERSION}",
        "command": ["driver-manager"],
        "args": ["uninstall_driver"],
        "env": env[:2],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "run-nvidia", "mountPath": "/run/nvidia"}],
    }
    container = {
        "name": DRIVER_CONTAINER,
        "image": driver_image(driver, os_tag),
        "command": ["nvidia-driver"],
        "args": ["init"],
        "env": env,
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "run-nvidia", "mountPath": "/run/nvidia"},
            {"name": "shared-nvidia-driver-toolkit", "mountPath": "/mnt/shared-nvidia-driver-toolkit"},
        ],
    }
    labels = {"app": name, COMPONENT_LABEL: DRIVER_COMPONENT, "nvidia.com/precompiled": "false"}
    pod: Object = {
        "nodeSelector": {f"{DEPLOY}driver": "true", OWNER_LABEL: name_of(driver), OSTREE_LABEL: ostree},
        "tolerations": [SYSTEM_TOLERATION, *(spec.get("tolerations") or ())],
        "hostPID": True,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "nvidia-gpu-driver",
        "initContainers": [manager],
        "containers": [container],
        "volumes": [
            {"name": "run-nvidia", "hostPath": {"path": "/run/nvidia", "type": "DirectoryOrCreate"}},
            # On OpenShift the driver pod has an emptyDir: drains that delete emptyDir data meet it.
            {"name": "shared-nvidia-driver-toolkit", "emptyDir": {}},
        ],
    }
    return daemon_set(name, namespace, labels, pod, "OnDelete", MANAGED)


def operand_daemon_sets(policy: Object, namespace: str, version: str) -> list[Object]:
    """The operands' DaemonSets of the ClusterPolicy, those that it enables."""
    spec = policy["spec"]
    switches = {
        "nvidia-container-toolkit-daemonset": "toolkit",
        "nvidia-device-plugin-daemonset": "devicePlugin",
        "gpu-feature-discovery": "gfd",
        "nvidia-dcgm-exporter": "dcgmExporter",
    }
    daemon_sets = spec.get("daemonsets") or {}
    tolerations = [SYSTEM_TOLERATION, *(daemon_sets.get("tolerations") or ())]
    found = []
    for name, (label, container) in OPERANDS.items():
        section = spec.get(switches.get(name, "validator")) or {}
        if section.get("enabled", True) is False:
            continue
        image = f"nvcr.io/nvidia/cloud-native/{container}:{section.get('version') or f'v{version}'}"
        pod: Object = {
            "nodeSelector": {f"{DEPLOY}{label}": "true"},
            "tolerations": tolerations,
            "priorityClassName": "system-node-critical",
            "initContainers": [
                {"name": "driver-validation", "image": image, "command": ["nvidia-validator"]}
            ],
            "containers": [{"name": container, "image": image, "securityContext": {"privileged": True}}],
        }
        strategy = daemon_sets.get("updateStrategy") or "RollingUpdate"
        found.append(daemon_set(name, namespace, {"app": name}, pod, strategy, MANAGED))
    return found
