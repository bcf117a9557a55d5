"""The operators' pods of each node, how long they have been as they are, and what declares the operators. Reads only.

Ages are by the API server's stamps and our clock: minutes count here, not seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from knowngood.adapters.cluster import actors, facts
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers.olm_operator import Operator, name_of, status_of, troubles
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Moving, Specs
from knowngood.model.values import Values
from knowngood.planner.moving import SUBSCRIPTION

VALIDATOR = "nvidia-operator-validator"
REFUSED = ("ReconcileFailed", "ConflictingNodeSelector")
"""Reasons of a controller's Error condition that no waiting mends; OperandNotReady is only notReady once more."""


@dataclass(frozen=True, slots=True)
class Container:
    """One of a pod. `restarts`: over the pod's life; `ended`: its last end, RFC 3339, "" where that is not told."""

    name: str
    restarts: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Operand:
    """A pod of a DaemonSet on a node. `state`: ready, or why not; `age`: seconds since it is so.

    `started`: when its first container did, RFC 3339, "" if it did not. `undone`: init containers without success.
    """

    daemonset: str
    uid: str
    state: str
    age: float
    containers: tuple[Container, ...] = ()
    started: str = ""
    undone: tuple[str, ...] = ()

    @property
    def restarts(self) -> int:
        """Of all its containers, over the pod's life: what `kubectl get pods` shows."""
        return sum(one.restarts for one in self.containers)


@dataclass(frozen=True, slots=True)
class OnNode:
    """What the operators run on one node. `missing`: DaemonSets that select it and have no pod there.

    `driver_started`: when the GPU driver's container did; "" where it does not run. `parked`: label=value.
    `boot`: the id of the running boot; `ready_since`: when the node became Ready, RFC 3339; "" where that is not told.
    """

    operands: tuple[Operand, ...] = ()
    missing: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    driver_started: str = ""
    boot: str = ""
    ready_since: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """An operator of OLM that a cluster declares: its installed version's phase, and seconds since it is in it.

    `version` is "" where none is installed; `trouble`: why nothing can be told; `notes`: a Subscription's conditions.
    """

    component: str
    where: str
    version: str = ""
    phase: str = ""
    reason: str = ""
    age: float = 0.0
    trouble: str = ""
    notes: tuple[str, ...] = ()


def namespaces(cluster: Cluster, specs: Specs) -> tuple[str, ...]:
    """Where the operators that a release names run their pods."""
    found = [cluster.operator_namespace]
    found += [cluster.namespace_of(spec.pods.operator) for spec in specs.values() if spec.pods]
    found += [d.object.namespace for d in cluster.declarations if d.object.kind == SUBSCRIPTION]
    return tuple(dict.fromkeys(filter(None, found)))


def on_nodes(
    kube: Kube, spaces: Sequence[str], nodes: Sequence[str], now: datetime | None = None
) -> dict[str, OnNode]:
    """What runs on each of these nodes, by three lists a namespace however many nodes there are."""
    at = now or datetime.now(UTC)
    objects = facts.nodes_named(kube, nodes)
    sets = [d for space in spaces for d in kube.list(path("apps/v1", "daemonsets", "", space))]
    pods: dict[str, list[Object]] = {}
    for pod in (p for space in spaces for p in kube.list(path("v1", "pods", "", space), keep=_slim)):
        pods.setdefault(str(pod["spec"].get("nodeName") or ""), []).append(pod)
    return {name: of_node(objects[name], sets, pods.get(name, ()), at) for name in nodes if name in objects}


def of_node(node: Object, sets: Sequence[Object], pods: Sequence[Object], now: datetime) -> OnNode:
    """One node. Pure."""
    owned = [(owner, pod) for pod in pods if (owner := _owner(pod))]
    here = {owner for owner, _ in owned}
    labels = node["metadata"].get("labels") or {}
    missing = [name_of(d) for d in sets if name_of(d) not in here and _selects(d, labels)]
    drivers = [pod for _, pod in owned if facts.is_driver_pod(pod)]
    return OnNode(
        operands=tuple(sorted((_operand(o, p, now) for o, p in owned), key=lambda x: (x.daemonset, x.uid))),
        missing=tuple(sorted(missing)),
        parked=tuple(actors.parked(node)),
        driver_started=max((_started(pod, facts.DRIVER_CONTAINER) for pod in drivers), default=""),
        boot=str((status_of(node).get("nodeInfo") or {}).get("bootID") or ""),
        ready_since=_ready_since(node),
    )


def declared(kube: Kube, cluster: Cluster, specs: Specs, now: datetime | None = None) -> list[Declared]:
    """The operators that a Subscription declares."""
    at = now or datetime.now(UTC)
    found = []
    for one in cluster.declarations:
        spec = specs.get(one.component)
        if one.object.kind == SUBSCRIPTION and spec is not None:
            found.append(_declared(kube, Moving(one.component, "", "", spec, one.object), at))
    return found


def refused(kube: Kube, cluster: Cluster) -> Iterator[str]:
    """What a declared object's own controller says it can't do. Its state `notReady` alone says nothing: with OnDelete
    it is that as long as one pod lags."""
    refs: dict[tuple[str, str], ObjectRef] = {}
    for one in cluster.declarations:
        rings = [ring.name for ring in cluster.rings] if "{ring}" in one.object.name else [""]
        refs |= {(one.object.kind, ref.name): ref for ring in rings if (ref := one.object.of_ring(ring))}
    for ref in (r for r in refs.values() if r.kind != SUBSCRIPTION and "." in r.api_version):
        obj = kube.find(kube.locate(ref.api_version, ref.kind, ref.name, ref.namespace))
        if obj is None:
            yield f"{ref} is gone"
            continue
        for condition in status_of(obj).get("conditions") or ():
            error = (condition.get("type"), condition.get("status")) == ("Error", "True")
            if error and condition.get("reason") in REFUSED:
                yield f"{ref}: {condition.get('reason')} {condition.get('message') or ''}".strip()


def _declared(kube: Kube, moving: Moving, now: datetime) -> Declared:
    blank = Declared(moving.component, str(moving.declared_by))
    try:
        operator = Operator.of(kube, moving)
    except UsageError as error:
        return replace(blank, trouble=str(error))
    sub = operator.subscription()
    if sub is None:
        return replace(blank, trouble="it is gone")
    installed = str(status_of(sub).get("installedCSV") or "")
    csv = next((found for found in operator.versions() if name_of(found) == installed), None)
    notes = tuple(troubles(sub).values())
    if csv is None:
        return replace(blank, trouble=f"{installed or 'no version'} is not there", notes=notes)
    status = status_of(csv)
    return Declared(
        component=moving.component,
        where=str(operator),
        version=operator.version(installed),
        phase=str(status.get("phase") or ""),
        reason=f"{status.get('reason') or ''}: {status.get('message') or ''}".strip(": "),
        age=_age(status.get("lastTransitionTime"), now),
        notes=notes,
    )


def _operand(owner: str, pod: Object, now: datetime) -> Operand:
    status = pod.get("status") or {}
    stamps = (c.get("lastTransitionTime") for c in status.get("conditions") or () if c.get("type") == "Ready")
    containers = status.get("containerStatuses") or ()
    inits = status.get("initContainerStatuses") or ()
    return Operand(
        daemonset=owner,
        uid=str(pod["metadata"].get("uid") or ""),
        state=facts.pod_state(pod),
        age=_age(next(stamps, None) or pod["metadata"].get("creationTimestamp"), now),
        containers=tuple(_container(c) for c in containers),
        started=min((_started(pod, str(c["name"])) for c in containers), default=""),
        undone=tuple(str(c["name"]) for c in inits if not _succeeded(c)),
    )


def _container(status: Object) -> Container:
    last = (status.get("lastState") or {}).get("terminated") or {}
    restarts, ended = int(status.get("restartCount") or 0), str(last.get("finishedAt") or "")
    return Container(str(status.get("name") or ""), restarts, ended)


def _ready_since(node: Object) -> str:
    conditions = status_of(node).get("conditions") or ()
    ready = (c for c in conditions if (c.get("type"), c.get("status")) == ("Ready", "True"))
    return str(next((c.get("lastTransitionTime") for c in ready), None) or "")


def _started(pod: Object, container: str) -> str:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == container:
            return str(((status.get("state") or {}).get("running") or {}).get("startedAt") or "")
    return ""


def _succeeded(status: Values) -> bool:
    return ((status.get("state") or {}).get("terminated") or {}).get("exitCode") == 0


def _owner(pod: Object) -> str:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(o["name"]) for o in owners if o.get("controller") and o.get("kind") == "DaemonSet"), "")


def _selects(daemonset: Object, labels: Mapping[str, str]) -> bool:
    """Whether its nodeSelector takes the node. One that goes by affinity, too, is not foretold."""
    spec = daemonset["spec"]["template"]["spec"]
    if (spec.get("affinity") or {}).get("nodeAffinity"):
        return False
    wanted = spec.get("nodeSelector") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _age(stamp: Any, now: datetime) -> float:
    """Seconds since an RFC 3339 time; 0 where there is none, or it is ahead of our clock."""
    try:
        return max(0.0, (now - datetime.fromisoformat(str(stamp))).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _slim(pod: Object) -> Object:
    """A pod without what nobody looks at."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    kept = ("name", "uid", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp")
    parts = ("phase", "conditions", "containerStatuses", "initContainerStatuses")
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"nodeName": spec.get("nodeName")},
        "status": {key: status[key] for key in parts if key in status},
    }
