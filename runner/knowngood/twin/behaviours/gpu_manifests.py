"""The GPU Operator's names and labels, and the DaemonSets of its operands. Names and containers are upstream's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from knowngood.twin.behaviours.kube import daemon_set
from knowngood.twin.values import Object

OWNER_LABEL = "nvidia.com/gpu-operator.driver.owner"
PRESENT_LABEL = "nvidia.com/gpu.present"
MIG_CAPABLE_LABEL = "nvidia.com/mig.capable"
DEPLOY = "nvidia.com/gpu.deploy."
DRIVER_CONTAINER = "nvidia-driver-ctr"
TOOLKIT_CONTAINER = "openshift-driver-toolkit-ctr"
MANAGER_CONTAINER = "k8s-driver-manager"
DIGEST_ENV = "DRIVER_CONFIG_DIGEST"
TYPE_ENV = "KERNEL_MODULE_TYPE"
SYSTEM_TOLERATION: Object = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand. section: its part of the ClusterPolicy; waits: its init containers, in their order.

    deploy: which `nvidia.com/gpu.deploy.*` label selects its nodes; image: whose tag `IMAGES` has.
    """

    state: str
    section: str
    deploy: str
    container: str
    image: str
    waits: tuple[str, ...] = ("toolkit-validation",)
    part_of: str = ""
    also: Mapping[str, str] | None = None  # more labels that its nodes must have


# In the order in which the operator makes them.
OPERANDS: Mapping[str, Operand] = {
    "nvidia-container-toolkit-daemonset": Operand(
        "state-container-toolkit",
        "toolkit",
        "container-toolkit",
        "nvidia-container-toolkit-ctr",
        "container-toolkit",
        ("driver-validation",),
    ),
    "nvidia-operator-validator": Operand(
        "state-operator-validation",
        "validator",
        "operator-validator",
        "nvidia-operator-validator",
        "gpu-operator",
        ("driver-validation", "toolkit-validation", "cuda-validation", "plugin-validation"),
        "gpu-operator",
    ),
    "nvidia-device-plugin-daemonset": Operand(
        "state-device-plugin", "devicePlugin", "device-plugin", "nvidia-device-plugin", "k8s-device-plugin"
    ),
    "nvidia-device-plugin-mps-control-daemon": Operand(
        "state-mps-control-daemon",
        "devicePlugin",
        "device-plugin",
        "mps-control-daemon-ctr",
        "k8s-device-plugin",
        ("toolkit-validation", "mps-control-daemon-mounts"),
        also={"nvidia.com/mps.capable": "true"},
    ),
    "nvidia-dcgm": Operand("state-dcgm", "dcgm", "dcgm", "nvidia-dcgm-ctr", "dcgm"),
    "nvidia-dcgm-exporter": Operand(
        "state-dcgm-exporter", "dcgmExporter", "dcgm-exporter", "nvidia-dcgm-exporter", "dcgm-exporter"
    ),
    "gpu-feature-discovery": Operand(
        "gpu-feature-discovery",
        "gfd",
        "gpu-feature-discovery",
        "gpu-feature-discovery",
        "k8s-device-plugin",
        part_of="nvidia-gpu",
    ),
    "nvidia-mig-manager": Operand(
        "state-mig-manager", "migManager", "mig-manager", "nvidia-mig-manager", "k8s-mig-manager"
    ),
}
# Repository and tag of each image, by release of the operator. Of a release that is not here the tag is its own
# version, so that its operands are other ones, as they would be.
IMAGES: Mapping[str, Mapping[str, str]] = {
    "26.7": {
        "container-toolkit": "nvcr.io/nvidia/k8s/container-toolkit:v1.20.0",
        "k8s-device-plugin": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
        "dcgm": "nvcr.io/nvidia/cloud-native/dcgm:4.6.0-1-ubi10",
        "dcgm-exporter": "nvcr.io/nvidia/k8s/dcgm-exporter:4.6.0-4.8.3-distroless",
        "k8s-mig-manager": "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.15.0",
        "k8s-driver-manager": "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v0.12.0",
    }
}
# Set on every GPU node, whatever of them is deployed; the MIG manager's only where a GPU can be partitioned.
DEPLOY_LABELS = tuple(
    f"{DEPLOY}{name}"
    for name in (
        "client",
        "container-toolkit",
        "dcgm",
        "dcgm-exporter",
        "device-plugin",
        "driver",
        "gpu-feature-discovery",
        "node-status-exporter",
        "operator-validator",
    )
)
MIG_MANAGER_LABEL = f"{DEPLOY}mig-manager"
PARKED_LABELS = tuple(dict.fromkeys(f"{DEPLOY}{operand.deploy}" for operand in OPERANDS.values()))


def image_of(section: Object, name: str, version: str) -> str:
    """What a part of a spec asks for, or the operator's own image of that name."""
    if section.get("image"):
        parts = (section.get("repository"), section["image"])
        tag = str(section.get("version") or "")
        at = "@" if tag.startswith("sha256:") else ":"
        return "/".join(part for part in parts if part) + (f"{at}{tag}" if tag else "")
    own = IMAGES.get(version.rpartition(".")[0], {}).get(name) or f"nvcr.io/nvidia/{name}:v{version}"
    return f"{own.rpartition(':')[0]}:{section['version']}" if section.get("version") else own


def enabled(policy: Object, operand: Operand) -> bool:
    """Whether the ClusterPolicy wants it: yes, where it says nothing."""
    section = policy["spec"].get(operand.section) or {}
    return section.get("enabled", True) is not False


def brings_drivers(policy: Object) -> bool:
    """Whether drivers are the ClusterPolicy's own, and neither NVIDIADrivers' nor the hosts'."""
    driver = policy["spec"].get("driver") or {}
    return not driver.get("useNvidiaDriverCRD") and driver.get("enabled", True) is not False


def tolerations(policy: Object) -> list[Object]:
    """Of all that the ClusterPolicy deploys. Its own list takes the place of the built-in one."""
    return (policy["spec"].get("daemonsets") or {}).get("tolerations") or [SYSTEM_TOLERATION]


def operand_daemon_sets(policy: Object, namespace: str, version: str) -> list[Object]:
    """The operands' DaemonSets of the ClusterPolicy, those that it enables."""
    return [
        _operand(name, operand, policy, namespace, version)
        for name, operand in OPERANDS.items()
        if enabled(policy, operand)
    ]


def _operand(name: str, operand: Operand, policy: Object, namespace: str, version: str) -> Object:
    spec = policy["spec"]
    image = image_of(spec.get(operand.section) or {}, operand.image, version)
    validator = image_of(spec.get("validator") or {}, "gpu-operator", version)
    waits = [
        {"name": wait, "image": validator if wait.endswith("validation") else image} for wait in operand.waits
    ]
    pod: Object = {
        "nodeSelector": {f"{DEPLOY}{operand.deploy}": "true", **(operand.also or {})},
        "tolerations": tolerations(policy),
        "priorityClassName": "system-node-critical",
        "initContainers": [{**wait, "command": ["nvidia-validator"]} for wait in waits],
        "containers": [{"name": operand.container, "image": image, "securityContext": {"privileged": True}}],
    }
    strategy = (spec.get("daemonsets") or {}).get("updateStrategy") or "RollingUpdate"
    more = {"app.kubernetes.io/part-of": operand.part_of} if operand.part_of else {}
    return daemon_set(name, namespace, {"app": name}, pod, strategy, more)
