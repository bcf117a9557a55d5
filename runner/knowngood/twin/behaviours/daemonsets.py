"""The DaemonSet controller: one pod a matching node, by labels, taints and the update strategy.

As upstream: an OnDelete pod takes the new template on any restart; a pod is deleted at once when its node leaves
the selector; a NoSchedule taint keeps a new pod away but not the old one.
"""

from __future__ import annotations

import copy

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DAEMON_SET,
    DRIVER_COMPONENT,
    ENDED,
    NODE,
    POD,
    Key,
    Object,
    controller_of,
    deleting,
    digest,
    is_true,
    key_of,
    labels_of,
    matches_node,
    name_of,
    namespace_of,
    node_of,
    owned_by,
    owner_reference,
    phase_of,
    random_suffix,
    untolerated,
)

HASH_LABEL = "controller-revision-hash"
BUILT_IN_TOLERATIONS: tuple[Object, ...] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)


def revision(daemon_set: Object) -> str:
    """The hash of its pod template, as on its pods' label."""
    return digest(daemon_set["spec"]["template"])


def target_node(pod: Object) -> str:
    """The node that a daemon pod is meant for, bound or not yet."""
    if node_of(pod):
        return node_of(pod)
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for entry in term.get("matchFields") or ():
            return str(entry["values"][0])
    return ""


class DaemonSets(Controller):
    """Works on one DaemonSet at a time."""

    name = "daemonset-controller"
    watches = (DAEMON_SET, NODE, POD)

    def listen(self) -> None:
        """A DaemonSet, one of its pods, or any node changed."""
        self.every(DAEMON_SET, key_of)
        self.every(POD, _owner_key)
        self.cache.listen(NODE, self._node_changed)

    def _node_changed(self, _event: str, _node: Object) -> None:
        for daemon_set in self.cache.all(DAEMON_SET):
            self.enqueue(key_of(daemon_set))

    async def reconcile(self, key: Key) -> None:
        """Create and delete pods, roll where asked, write the status."""
        daemon_set = self.cache.get(DAEMON_SET, key[1], key[0])
        if daemon_set is None or deleting(daemon_set):
            return
        pods: dict[str, list[Object]] = {}
        for pod in self.cache.all(POD, key[0]):
            if owned_by(pod, daemon_set):
                pods.setdefault(target_node(pod), []).append(pod)
        wanted: set[str] = set()
        for node in self.cache.all(NODE):
            name = name_of(node)
            should_run, may_stay = self._placement(daemon_set, node)
            mine = pods.pop(name, [])
            if should_run or (may_stay and mine):
                wanted.add(name)
            await self._node(daemon_set, node, mine, should_run=should_run, may_stay=may_stay)
        for orphans in pods.values():
            for pod in orphans:
                await self._delete(pod, "node gone")
        await self._roll(daemon_set)
        await self._status(daemon_set, wanted)

    def _placement(self, daemon_set: Object, node: Object) -> tuple[bool, bool]:
        """Whether a pod should run there, and whether one that runs may stay."""
        spec = daemon_set["spec"]["template"]["spec"]
        if not matches_node(spec, node):
            return False, False
        spec = {**spec, "tolerations": [*(spec.get("tolerations") or ()), *BUILT_IN_TOLERATIONS]}
        stay = not untolerated(spec, node, ("NoExecute",))
        return stay and not untolerated(spec, node, ("NoSchedule",)), stay

    async def _node(
        self, daemon_set: Object, node: Object, pods: list[Object], *, should_run: bool, may_stay: bool
    ) -> None:
        alive = [p for p in pods if not deleting(p)]
        for pod in alive:
            if not may_stay:
                await self._delete(pod, "left-selector")
            elif phase_of(pod) in ENDED:
                await self._delete(pod, "ended")
        # A new pod waits until the old one is really gone.
        if should_run and not pods:
            await self.api.create(_pod(daemon_set, node))

    async def _delete(self, pod: Object, cause: str) -> None:
        if labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT and cause == "left-selector":
            self.twin.causes[pod["metadata"]["uid"]] = cause
        await self.api.delete(pod)

    async def _roll(self, daemon_set: Object) -> None:
        """RollingUpdate: replace one outdated pod at a time, and only while all others are ready."""
        if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
            return
        pods = [p for p in self.cache.all(POD, namespace_of(daemon_set)) if owned_by(p, daemon_set)]
        current = revision(daemon_set)
        old = [p for p in pods if labels_of(p).get(HASH_LABEL) != current and not deleting(p)]
        broken = [p for p in old if not is_true(p, "Ready")]
        if broken:
            await self._delete(broken[0], "rolled")
        elif old and all(is_true(p, "Ready") and not deleting(p) for p in pods):
            await self._delete(old[0], "rolled")

    async def _status(self, daemon_set: Object, wanted: set[str]) -> None:
        pods = [p for p in self.cache.all(POD, namespace_of(daemon_set)) if owned_by(p, daemon_set)]
        mine = [p for p in pods if target_node(p) in wanted and not deleting(p)]
        ready = sum(is_true(p, "Ready") for p in mine)
        current = revision(daemon_set)
        status = {
            "desiredNumberScheduled": len(wanted),
            "currentNumberScheduled": len(mine),
            "numberMisscheduled": len([p for p in pods if target_node(p) not in wanted]),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": len(wanted) - ready,
            "updatedNumberScheduled": sum(labels_of(p).get(HASH_LABEL) == current for p in mine),
            "observedGeneration": daemon_set["metadata"].get("generation", 1),
        }
        old = daemon_set.get("status") or {}
        if any(old.get(name) != value for name, value in status.items()):
            await self.api.status(daemon_set, status)


def _owner_key(pod: Object) -> Key | None:
    owner = controller_of(pod)
    return (namespace_of(pod), owner["name"]) if owner and owner["kind"] == "DaemonSet" else None


def _pod(daemon_set: Object, node: Object) -> Object:
    template = copy.deepcopy(daemon_set["spec"]["template"])
    metadata = template.get("metadata") or {}
    spec = template["spec"]
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    only = {"key": "metadata.name", "operator": "In", "values": [name_of(node)]}
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [{"matchFields": [only]}]
    }
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *BUILT_IN_TOLERATIONS]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name_of(daemon_set)}-{random_suffix()}",
            "namespace": namespace_of(daemon_set),
            "labels": {**(metadata.get("labels") or {}), HASH_LABEL: revision(daemon_set)},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(daemon_set)],
        },
        "spec": spec,
    }
