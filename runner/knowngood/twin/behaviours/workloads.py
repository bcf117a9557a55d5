"""Deployment, ReplicaSet and StatefulSet controllers, as much of them as tenants' workloads need.

A Deployment's update is a RollingUpdate by a quarter, as it is where nothing else is said: so many pods more than
wanted (rounded up), so many fewer (rounded down).
"""

from __future__ import annotations

import copy

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    DEPLOYMENT,
    ENDED,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
    Key,
    condition,
    controller_of,
    deleting,
    digest,
    is_true,
    key_of,
    labels_of,
    merge_conditions,
    name_of,
    namespace_of,
    node_of,
    owner_reference,
    phase_of,
    random_suffix,
)
from knowngood.twin.values import Object

HASH_LABEL = "pod-template-hash"


class Deployments(Controller):
    """Keeps one ReplicaSet a template."""

    name = "deployment-controller"
    watches = (DEPLOYMENT, REPLICA_SET)

    def listen(self) -> None:
        """A Deployment or one of its ReplicaSets changed."""
        self.every(DEPLOYMENT, key_of)
        self.every(REPLICA_SET, lambda rs: _owner_key(rs, "Deployment"), soon=True)

    async def reconcile(self, key: Key) -> None:
        """Create and scale ReplicaSets; write the status."""
        deployment = self.cache.get(DEPLOYMENT, key[1], key[0])
        if deployment is None or deleting(deployment):
            return
        current = digest(deployment["spec"]["template"])
        sets = self.cache.owned(REPLICA_SET, deployment)
        new = next((rs for rs in sets if labels_of(rs).get(HASH_LABEL) == current), None)
        replicas = int(deployment["spec"].get("replicas", 1))
        old = [rs for rs in sets if rs is not new and _size(rs)]
        more = -(-replicas // 4)
        room = min(replicas, max(replicas + more - sum(map(_size, old)), 0))
        if new is None:
            new = await self.api.create(_replica_set(deployment, current, room))
            sets = [*sets, new]
        elif _size(new) != room:
            await self.api.patch(new, {"spec": {"replicas": room}})
        kept = max(replicas - replicas // 4 - _ready(new), 0)
        for rs in old:
            left = min(_size(rs), kept)
            kept -= left
            if left != _size(rs):
                await self.api.patch(rs, {"spec": {"replicas": left}})
        await self._status(deployment, new, sets, replicas)

    async def _status(self, deployment: Object, new: Object, sets: list[Object], replicas: int) -> None:
        total = sum(int((rs.get("status") or {}).get("replicas", 0)) for rs in sets)
        ready = sum(int((rs.get("status") or {}).get("readyReplicas", 0)) for rs in sets)
        good = ready >= replicas
        old = deployment.get("status") or {}
        words = ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        if not good:
            words = ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        status: Object = {
            "replicas": total,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(replicas - ready, 0),
            "updatedReplicas": int((new.get("status") or {}).get("replicas", 0)),
            "observedGeneration": deployment["metadata"].get("generation", 1),
        }
        same = all(old.get(name) == value for name, value in status.items())
        if same and old.get("conditions"):
            return
        conditions = [
            {
                **condition("Available", good, *words),
                "lastUpdateTime": condition("x", status=True)["lastTransitionTime"],
            },
            {
                **condition("Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet is up"),
                "lastUpdateTime": condition("x", status=True)["lastTransitionTime"],
            },
        ]
        status["conditions"] = merge_conditions(old.get("conditions") or (), conditions)
        await self.api.status(deployment, status)


class ReplicaSets(Controller):
    """Keeps so many pods of a template."""

    name = "replicaset-controller"
    watches = (REPLICA_SET, POD)

    def listen(self) -> None:
        """A ReplicaSet or one of its pods changed."""
        self.every(REPLICA_SET, key_of)
        self.every(POD, lambda pod: _owner_key(pod, "ReplicaSet"), soon=True)

    async def reconcile(self, key: Key) -> None:
        """Create or delete pods; write the status."""
        rs = self.cache.get(REPLICA_SET, key[1], key[0])
        if rs is None or deleting(rs):
            return
        pods = self.cache.owned(POD, rs)
        alive = [p for p in pods if not deleting(p) and phase_of(p) not in ENDED]
        wanted = int(rs["spec"].get("replicas", 1))
        for _ in range(wanted - len(alive)):
            name = f"{name_of(rs)}-{random_suffix()}"
            alive.append(await self.api.create(_pod(rs, name)))
        if surplus := max(len(alive) - wanted, 0):
            # Those that do not run yet go first.
            alive.sort(key=lambda p: (bool(node_of(p)), is_true(p, "Ready")))
            for pod in alive[:surplus]:
                await self.api.delete(pod)
        await _count_status(self, rs, alive)


class StatefulSets(Controller):
    """Keeps numbered pods; a lost one comes back under its name. Pods start in parallel."""

    name = "statefulset-controller"
    watches = (STATEFUL_SET, POD)

    def listen(self) -> None:
        """A StatefulSet or one of its pods changed."""
        self.every(STATEFUL_SET, key_of)
        self.every(POD, lambda pod: _owner_key(pod, "StatefulSet"), soon=True)

    async def reconcile(self, key: Key) -> None:
        """Create or delete pods; write the status."""
        stateful = self.cache.get(STATEFUL_SET, key[1], key[0])
        if stateful is None or deleting(stateful):
            return
        pods = {name_of(p): p for p in self.cache.owned(POD, stateful)}
        names = [f"{key[1]}-{i}" for i in range(int(stateful["spec"].get("replicas", 1)))]
        for name in names:
            if name not in pods:
                pods[name] = await self.api.create(_pod(stateful, name))
        for name, pod in pods.items():
            if not deleting(pod) and (name not in names or phase_of(pod) in ENDED):
                await self.api.delete(pod)
        await _count_status(self, stateful, [p for p in pods.values() if not deleting(p)])


async def _count_status(controller: Controller, owner: Object, pods: list[Object]) -> None:
    ready = sum(is_true(p, "Ready") for p in pods)
    status: Object = {
        "replicas": len(pods),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": owner["metadata"].get("generation", 1),
    }
    if owner["kind"] == "ReplicaSet":
        status["fullyLabeledReplicas"] = len(pods)
    else:
        status |= {"currentReplicas": len(pods), "updatedReplicas": len(pods)}
    old = owner.get("status") or {}
    if any(old.get(name) != value for name, value in status.items()):
        await controller.api.status(owner, status)


def _size(rs: Object) -> int:
    return int(rs["spec"].get("replicas", 1))


def _ready(rs: Object) -> int:
    return int((rs.get("status") or {}).get("readyReplicas", 0))


def _owner_key(obj: Object, kind: str) -> Key | None:
    owner = controller_of(obj)
    return (namespace_of(obj), owner["name"]) if owner and owner["kind"] == kind else None


def _replica_set(deployment: Object, current: str, replicas: int) -> Object:
    spec = deployment["spec"]
    template = copy.deepcopy(spec["template"])
    labels = {**(template.get("metadata", {}).get("labels") or {}), HASH_LABEL: current}
    template.setdefault("metadata", {})["labels"] = labels
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = current
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{current}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }


def _pod(owner: Object, name: str) -> Object:
    template = copy.deepcopy(owner["spec"]["template"])
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace_of(owner),
            "labels": metadata.get("labels") or {},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template["spec"],
    }
