"""Which pod of a node must go before its driver restarts. Pure: pods are Kubernetes objects as plain dicts.

kubectl's filters, with three differences. Only users of GPU or RDMA go, since the driver's restart hurts nobody else.
An emptyDir is no obstacle (each training pod has one for /dev/shm), but never takes a DaemonSet's pod along. And a pod
that no controller would bring back blocks, whatever flags are given: somebody would lose their notebook.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.matrix import Tenant
from knowngood.model.names import NAMESPACE
from knowngood.model.values import Values

Pod = Values

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
GPU_RESOURCES = ("nvidia.com/gpu", "nvidia.com/mig-", "nvidia.com/pgpu", "amd.com/gpu")
RDMA_RESOURCES = ("rdma/", "nvidia.com/hostdev", "nvidia.com/resibp", "mellanox.com/", "openshift.io/")
"""Prefixes of extended resources. `openshift.io/` is what the SR-IOV operator names its pools."""
RESOURCES = {"gpu": GPU_RESOURCES, "rdma": RDMA_RESOURCES}
DEVICE_PATHS = {
    "gpu": ("/dev/nvidia", "/dev/gdrdrv", "/run/nvidia", "/var/run/nvidia"),
    "rdma": ("/dev/infiniband", "/dev/gdrdrv"),
}
ALL_USERS = ("gpu", "rdma")
EVERYBODY = "all"
"""As a user: whoever works on the node, since it boots."""
RUNTIME_CLASSES = ("nvidia", "nvidia-cdi", "nvidia-legacy")
"""Runtime classes whose containers may hold GPUs that they never asked for (NVIDIA_VISIBLE_DEVICES)."""
CLIENT = ("nvidia.com/gpu.deploy.client", "true")
"""A node selector by which a DaemonSet leaves before the driver does: the operator takes the label off (26.7)."""
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", NAMESPACE)
SYSTEM_PREFIXES = ("openshift-", "kube-")
GANG_KEYS = (
    ("PodGroup", "pod-group-name"),  # KAI and Run:ai, an annotation
    ("PodGroup", "scheduling.x-k8s.io/pod-group"),
    ("PodGroup", "pod-group.scheduling.sigs.k8s.io"),
    ("PodGroup", "scheduling.k8s.io/group-name"),  # Volcano, an annotation
    ("Workload", "kueue.x-k8s.io/pod-group-name"),
    ("JobSet", "jobset.sigs.k8s.io/jobset-name"),
    ("LeaderWorkerSet", "leaderworkerset.sigs.k8s.io/name"),
    ("PyTorchJob", "training.kubeflow.org/job-name"),
)
"""Labels or annotations that make pods one gang: one rank gone stops them all."""


class Action(StrEnum):
    """What happens to a pod."""

    EVICT = "evict"
    WAIT = "wait"  # it is on its way out: wait until it is gone
    SKIP = "skip"
    BLOCK = "block"  # the node can't be drained while it is there


@dataclass(frozen=True, slots=True)
class Owner:
    """What a disruption is counted in: the gang or the controller's owner that a pod belongs to."""

    tenant: str  # "" where the namespace is no tenant's
    namespace: str
    kind: str
    name: str
    gang: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Decision:
    """One pod's fate. `deadline`: seconds its tenant's budgets are waited for."""

    namespace: str
    name: str
    uid: str
    action: Action
    reason: str
    owner: Owner
    deadline: float


def decide(
    pods: Iterable[Pod],
    tenants: Sequence[Tenant],
    operators: Collection[str],
    deadline: float,
    users: Collection[str] = ALL_USERS,
) -> tuple[Decision, ...]:
    """Decide on all pods of one node. `users`: whom the move would hurt, of ALL_USERS or EVERYBODY.

    `operators` are the namespaces of the GPU and network operators, whose pods are theirs to move; `deadline`
    (seconds) holds for namespaces that are no tenant's.
    """
    by_namespace = {n: t for t in tenants for n in t.namespaces}
    decisions = []
    for pod in pods:
        metadata = pod.get("metadata") or {}
        tenant = by_namespace.get(metadata.get("namespace", ""))
        action, reason = _fate(pod, tenant is not None, operators, users)
        decisions.append(
            Decision(
                namespace=str(metadata.get("namespace", "")),
                name=str(metadata.get("name", "")),
                uid=str(metadata.get("uid", "")),
                action=action,
                reason=reason,
                owner=owner_of(pod, tenant.name if tenant else ""),
                deadline=min(tenant.eviction_deadline, deadline) if tenant else deadline,
            )
        )
    return tuple(decisions)


def _fate(
    pod: Pod, is_tenants: bool, operators: Collection[str], users: Collection[str]
) -> tuple[Action, str]:
    metadata = pod.get("metadata") or {}
    namespace = str(metadata.get("namespace", ""))
    controller = _controller(pod)
    if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return Action.SKIP, "finished"
    if MIRROR_ANNOTATION in (metadata.get("annotations") or {}) or controller.get("kind") == "Node":
        return Action.SKIP, "static: the kubelet's own"
    if not is_tenants and (namespace in operators or is_system(namespace)):
        return Action.SKIP, f"namespace {namespace} is not ours to touch"
    if controller.get("kind") == "DaemonSet":
        return _fate_of_daemon(pod, users)
    use = uses(pod, users) or ("the node boots" if EVERYBODY in users else "")
    if not use:
        named = [user.upper() for user in sorted(users)] or ["what moves"]
        return Action.SKIP, f"uses neither {' nor '.join(named)}" if len(named) > 1 else f"uses no {named[0]}"
    if metadata.get("deletionTimestamp"):
        return Action.WAIT, f"on its way out ({use})"
    if not controller:
        return Action.BLOCK, f"no controller would bring it back ({use})"
    return Action.EVICT, use


def _fate_of_daemon(pod: Pod, users: Collection[str]) -> tuple[Action, str]:
    """A DaemonSet's pod would come back at once. One that holds a module blocks, unless it leaves by itself.

    Only what surely holds it counts: agents mount `/dev` to look at disks.
    """
    spec = pod.get("spec") or {}
    key, value = CLIENT
    if (spec.get("nodeSelector") or {}).get(key) == value:
        return Action.SKIP, "a DaemonSet's that leaves before the driver does"
    use = _asks_for(spec, users)
    if not use:
        return Action.SKIP, "a DaemonSet's: it would come back at once"
    return (
        Action.BLOCK,
        f"a DaemonSet's that holds the driver ({use}): give it the node selector {key}: {value!r}",
    )


def is_system(namespace: str) -> bool:
    """Whether a namespace belongs to the cluster, not to people."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith(SYSTEM_PREFIXES)


def uses(pod: Pod, users: Collection[str] = ALL_USERS) -> str:
    """What of the GPU or RDMA a pod uses; "" if nothing. What may be either counts as both."""
    paths = tuple(path for user in users for path in DEVICE_PATHS.get(user, ()))
    spec = pod.get("spec") or {}
    if asked := _asks_for(spec, users):
        return asked
    for volume in spec.get("volumes") or ():
        path = str((volume.get("hostPath") or {}).get("path") or "")
        if path == "/dev" or path.startswith(paths):
            return f"host path {path}"
    return ""


def _asks_for(spec: Values, users: Collection[str]) -> str:
    """What of the GPU or RDMA a pod asks for: a resource, a claim, a runtime that gives it all GPUs; "" if nothing."""
    resources_of = tuple(name for user in users for name in RESOURCES.get(user, ()))
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        wanted = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        for name, amount in wanted.items():
            if name.startswith(resources_of) and str(amount) != "0":
                return f"{name}: {amount}"
    if spec.get("resourceClaims"):
        return "a device claim"
    if "gpu" in users and spec.get("runtimeClassName") in RUNTIME_CLASSES:
        return f"runtime class {spec['runtimeClassName']}"
    return ""


def owner_of(pod: Pod, tenant: str = "") -> Owner:
    """The workload a pod belongs to: its gang, else its controller (a ReplicaSet's Deployment), else itself."""
    metadata = pod.get("metadata") or {}
    namespace = str(metadata.get("namespace", ""))
    labels = metadata.get("labels") or {}
    marks = {**(metadata.get("annotations") or {}), **labels}
    for kind, key in GANG_KEYS:
        if marks.get(key):
            return Owner(tenant, namespace, kind, str(marks[key]), gang=True)
    controller = _controller(pod)
    kind, name = str(controller.get("kind") or "Pod"), str(controller.get("name") or metadata.get("name", ""))
    template = str(labels.get("pod-template-hash") or "")
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        kind, name = "Deployment", name.removesuffix(f"-{template}")
    return Owner(tenant, namespace, kind, name)


def workloads(decisions: Iterable[Decision]) -> dict[Owner, int]:
    """How many pods of each workload are disturbed: evicted, or already leaving."""
    counted: dict[Owner, int] = {}
    for decision in decisions:
        if decision.action in {Action.EVICT, Action.WAIT}:
            counted[decision.owner] = counted.get(decision.owner, 0) + 1
    return counted


def _controller(pod: Pod) -> Values:
    for reference in (pod.get("metadata") or {}).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return {}
