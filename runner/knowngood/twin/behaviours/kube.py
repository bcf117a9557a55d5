"""What every controller asks of Kubernetes objects: kinds, keys, selectors, tolerations, conditions, devices."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from knowngood.twin.values import Object, Values

Kind = tuple[str, str]
Key = tuple[str, str]  # namespace ("" for cluster scope), name

NODE: Kind = ("v1", "Node")
POD: Kind = ("v1", "Pod")
CONFIG_MAP: Kind = ("v1", "ConfigMap")
NAMESPACE: Kind = ("v1", "Namespace")
JOB: Kind = ("batch/v1", "Job")
SERVICE: Kind = ("v1", "Service")
DAEMON_SET: Kind = ("apps/v1", "DaemonSet")
DEPLOYMENT: Kind = ("apps/v1", "Deployment")
REPLICA_SET: Kind = ("apps/v1", "ReplicaSet")
STATEFUL_SET: Kind = ("apps/v1", "StatefulSet")
CONTROLLER_REVISION: Kind = ("apps/v1", "ControllerRevision")
BUDGET: Kind = ("policy/v1", "PodDisruptionBudget")
POD_GROUP: Kind = ("scheduling.run.ai/v2alpha2", "PodGroup")
NVIDIA_DRIVER: Kind = ("nvidia.com/v1alpha1", "NVIDIADriver")
CLUSTER_POLICY: Kind = ("nvidia.com/v1", "ClusterPolicy")
NIC_CLUSTER_POLICY: Kind = ("mellanox.com/v1alpha1", "NicClusterPolicy")
NIC_NODE_POLICY: Kind = ("mellanox.com/v1alpha1", "NicNodePolicy")
APPLICATION: Kind = ("argoproj.io/v1alpha1", "Application")

GPU = "nvidia.com/gpu"
GROUP_ANNOTATION = "pod-group-name"
OS_ID_LABEL = "feature.node.kubernetes.io/system-os_release.ID"
OS_VERSION_LABEL = "feature.node.kubernetes.io/system-os_release.VERSION_ID"
OSTREE_LABEL = "feature.node.kubernetes.io/system-os_release.OSTREE_VERSION"
KERNEL_LABEL = "feature.node.kubernetes.io/kernel-version.full"
GPU_PCI_LABEL = "feature.node.kubernetes.io/pci-10de.present"
NIC_PCI_LABEL = "feature.node.kubernetes.io/pci-15b3.present"
HOSTNAME_LABEL = "kubernetes.io/hostname"
COMPONENT_LABEL = "app.kubernetes.io/component"
DRIVER_COMPONENT = "nvidia-driver"
ENDED = ("Succeeded", "Failed")


def stamp() -> str:
    """Now, as Kubernetes writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """Seconds since the epoch of a Kubernetes time."""
    return datetime.fromisoformat(text).timestamp()


def name_of(obj: Object) -> str:
    """metadata.name."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """metadata.namespace, "" for cluster scope."""
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    """metadata.uid."""
    return str(obj["metadata"]["uid"])


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    return namespace_of(obj), name_of(obj)


def kind_of(obj: Object) -> Kind:
    """apiVersion and kind."""
    return str(obj["apiVersion"]), str(obj["kind"])


def labels_of(obj: Object) -> Mapping[str, str]:
    """metadata.labels, perhaps empty."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> Mapping[str, str]:
    """metadata.annotations, perhaps empty."""
    return obj["metadata"].get("annotations") or {}


def deleting(obj: Object) -> bool:
    """Whether somebody asked for its deletion."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def phase_of(pod: Object) -> str:
    """A pod's phase."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def node_of(pod: Object) -> str:
    """The node a pod is bound to, or ""."""
    return str(pod["spec"].get("nodeName") or "")


def controller_of(obj: Object) -> Object | None:
    """The controlling ownerReference."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: Object = owner
            return found
    return None


def owned_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` controls it."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == uid_of(owner)


def owner_reference(owner: Object) -> Object:
    """What a child writes about its controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition(kind: str, status: bool | str, reason: str = "", message: str = "") -> Object:
    """A status condition, changed now."""
    text = status if isinstance(status, str) else str(status)
    return {"type": kind, "status": text, "reason": reason, "message": message, "lastTransitionTime": stamp()}


def is_true(obj: Object, kind: str) -> bool:
    """Whether the object's status condition of that type is True."""
    for entry in obj.get("status", {}).get("conditions") or ():
        if entry["type"] == kind:
            return bool(entry["status"] == "True")
    return False


def merge_conditions(old: Iterable[Object], new: Iterable[Object]) -> list[Object]:
    """Conditions by type; where the status did not change the old transition time stays."""
    merged = {entry["type"]: entry for entry in old}
    for entry in new:
        before = merged.get(entry["type"])
        merged[entry["type"]] = entry
        if before and before["status"] == entry["status"]:
            since = before.get("lastTransitionTime") or stamp()
            merged[entry["type"]] = {**entry, "lastTransitionTime": since}
    return list(merged.values())


def matches(selector: Values | None, labels: Mapping[str, str]) -> bool:
    """A LabelSelector against labels; None selects nothing, an empty one everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or ())


def matches_node(spec: Object, node: Object) -> bool:
    """A pod spec's nodeSelector and required node affinity against a node."""
    labels = labels_of(node)
    if any(labels.get(k) != v for k, v in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": name_of(node)}
    return any(
        all(_expression(e, labels) for e in term.get("matchExpressions") or ())
        and all(_expression(e, fields) for e in term.get("matchFields") or ())
        for term in required["nodeSelectorTerms"]
        if term.get("matchExpressions") or term.get("matchFields")
    )


def _expression(entry: Values, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(entry["key"]), entry.get("values") or ()
    match entry["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > int(next(iter(values)))
        case "Lt":
            return value is not None and value.isdigit() and int(value) < int(next(iter(values)))
    return False


def tolerates(tolerations: Iterable[Object], taint: Object) -> bool:
    """Whether any toleration covers the taint."""
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def untolerated(spec: Object, node: Object, effects: Iterable[str]) -> list[Object]:
    """The node's taints of those effects that the pod spec does not tolerate."""
    wanted = set(effects)
    taints = node["spec"].get("taints") or ()
    return [t for t in taints if t["effect"] in wanted and not tolerates(spec.get("tolerations") or (), t)]


def requests(spec: Object) -> dict[str, int]:
    """Extended resources a pod spec asks for (devices, counted); CPU and memory are never short here."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        for resource, amount in asked.items():
            if "/" in resource:
                total[resource] = total.get(resource, 0) + quantity(amount)
    return total


def quantity(amount: Any) -> int:
    """A whole quantity: 8, "8", "1k". Fractions are rounded down."""
    return _parsed(str(amount))


@lru_cache(maxsize=4096)
def _parsed(amount: str) -> int:
    match = re.fullmatch(r"(\d+)(?:\.\d+)?([kMG]?)", amount)
    return int(match[1]) * {"": 1, "k": 1000, "M": 10**6, "G": 10**9}[match[2]] if match else 0


def digest(value: Any, length: int = 10) -> str:
    """A short stable hash of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def random_suffix() -> str:
    """Five letters, as the API server appends them."""
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))


def environment(pod: Object, container: Object) -> dict[str, str]:
    """A container's env with downward API fields resolved; secret and config map sources are left out."""
    values: dict[str, str] = {}
    for entry in container.get("env") or ():
        source = (entry.get("valueFrom") or {}).get("fieldRef")
        if source:
            values[entry["name"]] = field_value(pod, source["fieldPath"])
        elif "valueFrom" not in entry:
            values[entry["name"]] = str(entry.get("value", ""))
    return values


def field_value(pod: Object, path: str) -> str:
    """A downward API field: metadata.*, spec.nodeName, status.podIP, labels['x'], annotations['x']."""
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str((pod["metadata"].get(match[1]) or {}).get(match[2], ""))
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def service_account(name: str, namespace: str) -> Object:
    """An account for pods; without it their creation is refused."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }


def daemon_set(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    pod: Object,
    strategy: str,
    pod_labels: Mapping[str, str] | None = None,
) -> Object:
    """A DaemonSet whose pods are found by their label `app`; `pod_labels` are more for them."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": {"app": labels["app"]}},
            "updateStrategy": {"type": strategy},
            "template": {"metadata": {"labels": {**labels, **(pod_labels or {})}}, "spec": pod},
        },
    }
