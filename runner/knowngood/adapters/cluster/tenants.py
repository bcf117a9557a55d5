"""The tenants' workloads: what a disruption is counted in, and whether they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from knowngood.adapters.cluster import facts, slim
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.model.matrix import Tenant
from knowngood.model.node import GpuUse, Workload
from knowngood.model.values import Object, Values
from knowngood.planner.eviction import Owner, owner_of
from knowngood.planner.gpu_work import gpus_of

CONTROLLERS = (
    ("Deployment", "apps/v1", "deployments"),
    ("StatefulSet", "apps/v1", "statefulsets"),
    ("Job", "batch/v1", "jobs"),
)


@dataclass(slots=True)
class _Count:
    desired: int = 0
    ready: int = 0
    nodes: set[str] = field(default_factory=set)
    ready_nodes: set[str] = field(default_factory=set)

    def workload(self, o: Owner) -> Workload:
        """What was counted for one owner."""
        nodes, ready_nodes = tuple(sorted(self.nodes)), tuple(sorted(self.ready_nodes))
        who = (o.tenant, o.namespace, o.kind, o.name)
        return Workload(*who, self.desired, self.ready, nodes, o.gang, ready_nodes)


def workloads(kube: Kube, tenants: Sequence[Tenant]) -> tuple[Workload, ...]:
    """All workloads of all tenants, ready or not, by namespace and name. A gang of several controllers is one."""
    counted: dict[Owner, _Count] = {}
    for tenant in tenants:
        for namespace in tenant.namespaces:
            _count(kube, tenant.name, namespace, counted)
    return tuple(c.workload(o) for o, c in sorted(counted.items(), key=lambda item: str(item[0])))


def gpu_use(kube: Kube, tenants: Sequence[Tenant], nodes: Sequence[str]) -> dict[str, GpuUse]:
    """GPUs that tenants' pods use on these nodes: a list a node or a namespace, whichever are fewer.

    Of a pod four figures are kept.
    """
    found = dict.fromkeys(nodes, GpuUse())
    namespaces = [n for t in tenants for n in t.namespaces]
    for pod in _pods(kube, nodes, namespaces):
        node, gpus = pod["node"], pod["gpus"]
        if node in found and gpus and pod["namespace"] in namespaces:
            ready = found[node].ready + (gpus if pod["ready"] else 0.0)
            found[node] = GpuUse(ready, found[node].asked + gpus)
    return found


def _pods(kube: Kube, nodes: Sequence[str], namespaces: Sequence[str]) -> Iterator[Object]:
    if len(nodes) < len(namespaces):
        for node in nodes:
            yield from kube.list(path("v1", "pods"), fields=f"spec.nodeName={node}", keep=_use)
        return
    for namespace in namespaces:
        yield from kube.list(path("v1", "pods", "", namespace), keep=_use)


def _use(pod: Values) -> Object:
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    node = "" if ended else str((pod.get("spec") or {}).get("nodeName") or "")
    namespace = str(pod["metadata"].get("namespace") or "")
    return {"namespace": namespace, "node": node, "gpus": gpus_of(pod), "ready": facts.is_ready(pod)}


def _count(kube: Kube, tenant: str, namespace: str, counted: dict[Owner, _Count]) -> None:
    controlled: set[Owner] = set()
    for kind, api, plural in CONTROLLERS:
        for item in kube.list(path(api, plural, "", namespace)):
            owner = owner_of(_as_pod(item, kind, namespace), tenant)
            controlled.add(owner)
            count = counted.setdefault(owner, _Count())
            desired, ready = _figures(item, kind)
            count.desired += desired
            count.ready += ready
    for pod in kube.list(path("v1", "pods", "", namespace), keep=slim.pod):
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
            continue
        owner = owner_of(pod, tenant)
        count = counted.setdefault(owner, _Count())
        if owner not in controlled:  # bare pods, or a controller of a kind we do not know
            count.desired += 1
            count.ready += facts.is_ready(pod)
        if node := (pod.get("spec") or {}).get("nodeName"):
            count.nodes.add(str(node))
            if facts.is_ready(pod):
                count.ready_nodes.add(str(node))


def _as_pod(item: Values, kind: str, namespace: str) -> Object:
    """A pod as this controller would make it, for `owner_of`."""
    template = (item["spec"].get("template") or {}).get("metadata") or {}
    reference = {"kind": kind, "name": item["metadata"]["name"], "controller": True}
    return {"metadata": {**template, "namespace": namespace, "ownerReferences": [reference]}}


def _figures(item: Values, kind: str) -> tuple[int, int]:
    """Desired and ready pods. A finished Job wants none."""
    spec, status = item["spec"], item.get("status") or {}
    if kind != "Job":
        return int(spec.get("replicas", 1)), int(status.get("readyReplicas") or 0)
    ended = any(
        c.get("type") in {"Complete", "Failed"} and c.get("status") == "True"
        for c in status.get("conditions") or ()
    )
    wanted = 0 if ended or spec.get("suspend") else int(spec.get("parallelism", 1))
    return wanted, int(status.get("ready") or 0)
