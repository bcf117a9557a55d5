"""What on a node keeps a module from being taken out from under it: its own way to the network, storage over it.

Asked before the node is claimed, through a pod that is in the host's network namespace. What can't be told is never
"nothing".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.adapters.cluster import facts, readouts, uplinks
from knowngood.adapters.cluster.readouts import Lines, first
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object
from knowngood.model.errors import Unreachable
from knowngood.model.mover import MoverSpec, Specs

UPLINK, STORAGE = "uplink", "storage"
STORAGE_MODULES = ("rpcrdma", "nvme_rdma", "nvmet_rdma", "ib_iser", "ib_isert", "ib_srp")
"""Kernel modules of NFS and block storage over RDMA; a mount or session counts in their refcnt."""
_USERS = {module: f"/sys/module/{module}/refcnt" for module in STORAGE_MODULES}
COMMAND = (
    *(
        "find",
        "-L",
        uplinks.ROUTES,
        uplinks.ROUTES6,
        "/sys/class/net",
        *_USERS.values(),
        "-maxdepth",
        "3",
        "(",
    ),
    *(
        "-name",
        "route",
        "-o",
        "-name",
        "ipv6_route",
        "-o",
        "-name",
        "refcnt",
        "-o",
        "-path",
        "*/device/uevent",
    ),
    *("-o", "-path", "*/lower_*/uevent", "-o", "-path", "*/master/uevent", ")"),
    *("-exec", "grep", "-sH", "", "{}", "+"),
)


class Guarded(Exception):
    """The node must not be touched; the message says why."""


def refuse(kube: Kube, name: str, pods: Sequence[Object], specs: Specs) -> None:
    """Guarded where what moves would take the node's own uplink; Unreachable where that can't be told, or is in use."""
    for component, spec in specs.items():
        if spec.guards:
            _refuse(kube, name, pods, component, spec)


def _refuse(kube: Kube, name: str, pods: Sequence[Object], component: str, spec: MoverSpec) -> None:
    read = _read(kube, pods, spec)
    module = spec.proof.module if spec.proof else ""
    if read is None:
        raise Unreachable(
            f"{name}: whether {component} carries its uplink can't be told: no pod of it answers"
        )
    if UPLINK in spec.guards:
        taken = uplinks.taken_down(read, module)
        if taken is None:
            raise Unreachable(f"{name}: whether {component} carries its uplink can't be told by its routes")
        if taken:
            raise Guarded(f"its default route is by {', '.join(taken)}, which {module} would take down")
    if STORAGE in spec.guards and (used := list(_in_use(read))):
        raise Unreachable(f"{name}: storage over {component} is in use: {', '.join(used)}; unmount it first")


def _in_use(read: Lines) -> Iterable[str]:
    for module, path in _USERS.items():
        users = first(read, path)
        if users not in {"", "0"}:
            yield f"{module} by {users}"


def _read(kube: Kube, pods: Iterable[Object], spec: MoverSpec) -> Lines | None:
    """The files, through the first of the mover's own pods that answers."""
    of = spec.pods
    for pod in pods:
        if of is None or not facts.has_label(pod, of.label) or not facts.is_ready(pod):
            continue
        metadata = pod["metadata"]
        try:
            ran = pod_exec.run(kube, metadata["namespace"], metadata["name"], of.container, COMMAND)
        except (ApiError, Unreachable):
            continue
        if ran.stdout:
            return readouts.parse_grep(ran.stdout)
    return None
