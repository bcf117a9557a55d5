"""The columns `kubectl get` shows for built-in kinds. Priority 1 columns are for `-o wide`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from knowngood.twin.api import durations, meta
from knowngood.twin.values import Object

NONE, UNKNOWN = "<none>", "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how it is called, what it shows, whether only `-o wide` shows it."""

    name: str
    show: Callable[[Object], Any]
    wide: bool = False
    type: str = "string"


def age(obj: Object) -> str:
    """Return how old the object is."""
    return durations.since(obj["metadata"].get("creationTimestamp"))


NAME = Column("Name", lambda obj: obj["metadata"]["name"])
AGE = Column("Age", age)


def _get(path: str, default: Any = "") -> Callable[[Object], Any]:
    """Return a reader of one field; `default` where it is absent or empty."""
    parts = path.split(".")

    def read(obj: Object) -> Any:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None or value == "" else value

    return read


def _count(path: str) -> Callable[[Object], int]:
    read = _get(path, ())
    return lambda obj: len(read(obj))


def _field(name: str, path: str, default: Any = "", *, wide: bool = False) -> Column:
    return Column(name, _get(path, default), wide)


def _number(name: str, path: str) -> Column:
    return Column(name, _get(path, 0), type="integer")


def _statuses(pod: Object) -> list[Object]:
    found: list[Object] = pod.get("status", {}).get("containerStatuses") or []
    return found


def pod_status(pod: Object) -> str:
    """Return what the STATUS column of a pod says: a waiting or terminated reason before the phase."""
    status = pod.get("status", {})
    text: str = status.get("reason") or status.get("phase", "Unknown")
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        state = container.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        if (
            "terminated" in state
            or state.get("waiting", {}).get("reason", "PodInitializing") != "PodInitializing"
        ):
            reason = state.get("terminated", state.get("waiting", {})).get("reason", "Error")
            text = f"Init:{reason}"
        else:
            text = f"Init:{index}/{len(pod['spec'].get('initContainers', ()))}"
        break
    else:
        for container in reversed(_statuses(pod)):
            state = container.get("state", {})
            reason = state.get("waiting", {}).get("reason") or state.get("terminated", {}).get("reason")
            text = reason or text
    if meta.deleting(pod):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return text


def _pod_ready(pod: Object) -> str:
    ready = sum(bool(one.get("ready")) for one in _statuses(pod))
    return f"{ready}/{len(pod['spec']['containers'])}"


def node_status(node: Object) -> str:
    """Return what the STATUS column of a node says."""
    conditions = node.get("status", {}).get("conditions") or ()
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), None)
    texts = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if node.get("spec", {}).get("unschedulable"):
        texts.append("SchedulingDisabled")
    return ",".join(texts)


_ROLE_LABEL = "node-role.kubernetes.io/"


def _node_roles(node: Object) -> str:
    labels = node["metadata"].get("labels", {})
    return (
        ",".join(sorted(key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)))
        or NONE
    )


def _address(kind: str) -> Callable[[Object], str]:
    def read(node: Object) -> str:
        addresses = node.get("status", {}).get("addresses") or ()
        return next((one["address"] for one in addresses if one["type"] == kind), NONE)

    return read


def _replicas(obj: Object) -> str:
    ready = obj.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{obj['spec'].get('replicas', 1)}"


def _completions(job: Object) -> str:
    wanted = job["spec"].get("completions", job["spec"].get("parallelism", 1))
    return f"{job.get('status', {}).get('succeeded', 0)}/{wanted}"


def _job_status(job: Object) -> str:
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in {"Complete", "Failed", "Suspended"}:
            return str(condition["type"])
    return "Terminating" if meta.deleting(job) else "Running"


def _job_duration(job: Object) -> str:
    status = job.get("status", {})
    return durations.between(status.get("startTime"), status.get("completionTime"))


def _ports(service: Object) -> str:
    ports = service["spec"].get("ports", ())
    return ",".join(f"{one['port']}/{one.get('protocol', 'TCP')}" for one in ports) or NONE


def _pairs(path: str) -> Callable[[Object], str]:
    read = _get(path, {})
    return lambda obj: ",".join(f"{key}={value}" for key, value in read(obj).items()) or NONE


def _images(obj: Object) -> str:
    return ",".join(one.get("image", "") for one in obj["spec"]["template"]["spec"]["containers"])


def _container_names(obj: Object) -> str:
    return ",".join(one["name"] for one in obj["spec"]["template"]["spec"]["containers"])


_TEMPLATE_COLUMNS = (
    Column("Containers", _container_names, wide=True),
    Column("Images", _images, wide=True),
    Column("Selector", _pairs("spec.selector.matchLabels"), wide=True),
)


def _event_age(event: Object) -> str:
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return durations.since(stamp)


def _event_object(event: Object) -> str:
    target = event.get("involvedObject", {})
    return f"{target.get('kind', '').lower()}/{target.get('name', '')}"


def _role_ref(obj: Object) -> str:
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


def _quota(obj: Object) -> str:
    used = obj.get("status", {}).get("used", {})
    return ", ".join(f"{key}: {used.get(key, 0)}/{hard}" for key, hard in obj["spec"].get("hard", {}).items())


def _claim_capacity(obj: Object) -> str:
    return str(obj.get("status", {}).get("capacity", {}).get("storage", ""))


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", pod_status),
        Column("Restarts", lambda pod: str(sum(one.get("restartCount", 0) for one in _statuses(pod)))),
        AGE,
        _field("IP", "status.podIP", NONE, wide=True),
        _field("Node", "spec.nodeName", NONE, wide=True),
        _field("Nominated Node", "status.nominatedNodeName", NONE, wide=True),
        Column("Readiness Gates", lambda _: NONE, wide=True),
    ),
    "Node": (
        NAME,
        Column("Status", node_status),
        Column("Roles", _node_roles),
        AGE,
        _field("Version", "status.nodeInfo.kubeletVersion"),
        Column("Internal-IP", _address("InternalIP"), wide=True),
        Column("External-IP", _address("ExternalIP"), wide=True),
        _field("OS-Image", "status.nodeInfo.osImage", UNKNOWN, wide=True),
        _field("Kernel-Version", "status.nodeInfo.kernelVersion", UNKNOWN, wide=True),
        _field("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", UNKNOWN, wide=True),
    ),
    "Namespace": (NAME, _field("Status", "status.phase"), AGE),
    "ConfigMap": (NAME, Column("Data", lambda obj: _count("data")(obj) + _count("binaryData")(obj)), AGE),
    "Secret": (NAME, _field("Type", "type"), Column("Data", _count("data")), AGE),
    "ServiceAccount": (NAME, Column("Secrets", _count("secrets")), AGE),
    "Service": (
        NAME,
        _field("Type", "spec.type"),
        _field("Cluster-IP", "spec.clusterIP", NONE),
        Column("External-IP", lambda _: NONE),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", _pairs("spec.selector"), wide=True),
    ),
    "Event": (
        Column("Last Seen", _event_age),
        _field("Type", "type"),
        _field("Reason", "reason"),
        Column("Object", _event_object),
        _field("Source", "source.component", wide=True),
        _field("Message", "message"),
        Column("Count", _get("count", 1), wide=True),
        Column("Name", lambda obj: obj["metadata"]["name"], wide=True),
    ),
    "PersistentVolumeClaim": (
        NAME,
        _field("Status", "status.phase"),
        _field("Volume", "spec.volumeName"),
        Column("Capacity", _claim_capacity),
        Column("Access Modes", lambda obj: ",".join(obj["spec"].get("accessModes", ()))),
        _field("StorageClass", "spec.storageClassName"),
        AGE,
    ),
    "Deployment": (
        NAME,
        Column("Ready", _replicas),
        _number("Up-to-date", "status.updatedReplicas"),
        _number("Available", "status.availableReplicas"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    "ReplicaSet": (
        NAME,
        _number("Desired", "spec.replicas"),
        _number("Current", "status.replicas"),
        _number("Ready", "status.readyReplicas"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    "DaemonSet": (
        NAME,
        _number("Desired", "status.desiredNumberScheduled"),
        _number("Current", "status.currentNumberScheduled"),
        _number("Ready", "status.numberReady"),
        _number("Up-to-date", "status.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable"),
        Column("Node Selector", _pairs("spec.template.spec.nodeSelector")),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    "StatefulSet": (NAME, Column("Ready", _replicas), AGE, *_TEMPLATE_COLUMNS[:2]),
    "ControllerRevision": (NAME, _number("Revision", "revision"), AGE),
    "Job": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _completions),
        Column("Duration", _job_duration),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    "CronJob": (
        NAME,
        _field("Schedule", "spec.schedule"),
        Column("Suspend", lambda obj: str(bool(obj["spec"].get("suspend")))),
        Column("Active", _count("status.active")),
        Column("Last Schedule", lambda obj: durations.since(obj.get("status", {}).get("lastScheduleTime"))),
        AGE,
    ),
    "PodDisruptionBudget": (
        NAME,
        Column("Min Available", lambda obj: str(obj["spec"].get("minAvailable", "N/A"))),
        Column("Max Unavailable", lambda obj: str(obj["spec"].get("maxUnavailable", "N/A"))),
        _number("Allowed Disruptions", "status.disruptionsAllowed"),
        AGE,
    ),
    "Lease": (NAME, _field("Holder", "spec.holderIdentity"), AGE),
    "CustomResourceDefinition": (
        NAME,
        Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"]),
    ),
    "Role": (NAME, Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"])),
    "ClusterRole": (NAME, Column("Created At", lambda obj: obj["metadata"]["creationTimestamp"])),
    "RoleBinding": (NAME, Column("Role", _role_ref), AGE),
    "ClusterRoleBinding": (NAME, Column("Role", _role_ref), AGE),
    "StorageClass": (
        NAME,
        _field("Provisioner", "provisioner"),
        _field("ReclaimPolicy", "reclaimPolicy"),
        _field("VolumeBindingMode", "volumeBindingMode"),
        AGE,
    ),
    "PriorityClass": (
        NAME,
        _number("Value", "value"),
        Column("Global-Default", lambda obj: bool(obj.get("globalDefault"))),
        AGE,
    ),
    "NetworkPolicy": (NAME, Column("Pod-Selector", _pairs("spec.podSelector.matchLabels")), AGE),
    "ResourceQuota": (NAME, Column("Request", _quota), AGE),
}
