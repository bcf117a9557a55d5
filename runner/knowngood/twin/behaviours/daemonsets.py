"""The DaemonSet controller: one pod a matching node, by labels, taints and the update strategy.

As upstream: an OnDelete pod takes the new template on any restart; a pod is deleted at once when its node leaves
the selector; a NoSchedule taint keeps a new pod away but not the old one.
"""

from __future__ import annotations

import copy

from knowngood.twin.behaviours.context import Controller, Twin
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
    owner_reference,
    phase_of,
    random_suffix,
    uid_of,
    untolerated,
)

Placement = tuple[bool, bool]  # a pod should run there; one that runs may stay
Work = tuple[Key, str]  # a DaemonSet, and one of its nodes; "" for its sums

NOWHERE: Placement = (False, False)
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
    """Works on one node of one DaemonSet at a time, and on a DaemonSet's sums: its rolling and its status."""

    name = "daemonset-controller"
    watches = (DAEMON_SET, NODE, POD)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._pods: dict[str, dict[str, dict[str, Object]]] = {}  # DaemonSet's uid -> node -> pods by uid
        self._placed: dict[str, dict[str, Placement]] = {}  # DaemonSet's uid -> node -> what it should have
        self._templates: dict[str, Object] = {}  # by DaemonSet's uid, as the placements were worked out

    def listen(self) -> None:
        """A DaemonSet, one of its pods, or any node changed."""
        self.cache.listen(POD, self._pod_changed)
        for pod in self.cache.all(POD):
            self._pod_changed("ADDED", pod)
        self.cache.listen(NODE, self._node_changed)
        self.every(DAEMON_SET, self._changed)

    def _changed(self, daemon_set: Object) -> Work:
        """Place anew where the template is another one; the sums are due in any case."""
        uid, template = uid_of(daemon_set), daemon_set["spec"]["template"]
        if self._templates.get(uid) != template:
            self._templates[uid] = template
            self._placed[uid] = {}
            for node in self.cache.all(NODE):
                self._place(daemon_set, node)
        return (key_of(daemon_set), "")

    def _node_changed(self, event: str, node: Object) -> None:
        for daemon_set in self.cache.all(DAEMON_SET):
            if event == "DELETED":
                self._placed.get(uid_of(daemon_set), {}).pop(name_of(node), None)
                self.enqueue((key_of(daemon_set), name_of(node)))
            elif uid_of(daemon_set) in self._placed:
                self._place(daemon_set, node)

    def _place(self, daemon_set: Object, node: Object) -> None:
        """Work out what a node should have; where that is another thing than before there is work to do."""
        placed, name = self._placed[uid_of(daemon_set)], name_of(node)
        wanted = _placement(daemon_set, node)
        if placed.get(name) != wanted:
            placed[name] = wanted
            self.enqueue((key_of(daemon_set), name))
            self.enqueue_soon((key_of(daemon_set), ""))

    def _pod_changed(self, event: str, pod: Object) -> None:
        owner = controller_of(pod)
        if owner is None or owner["kind"] != "DaemonSet":
            return
        nodes = self._pods.setdefault(owner["uid"], {})
        pods = nodes.setdefault(target_node(pod), {})
        if event == "DELETED":
            pods.pop(uid_of(pod), None)
        else:
            pods[uid_of(pod)] = pod
        key = (namespace_of(pod), owner["name"])
        self.enqueue((key, target_node(pod)))
        self.enqueue_soon((key, ""))

    async def reconcile(self, key: Work) -> None:
        """Create and delete pods of one node, or roll where asked and write the status."""
        (namespace, name), node = key
        daemon_set = self.cache.get(DAEMON_SET, name, namespace)
        if daemon_set is None or deleting(daemon_set):
            return
        if node:
            await self._node(daemon_set, node)
        else:
            await self._roll(daemon_set)
            await self._status(daemon_set)

    async def _node(self, daemon_set: Object, name: str) -> None:
        uid = uid_of(daemon_set)
        node = self.cache.get(NODE, name)
        should_run, may_stay = self._placed.get(uid, {}).get(name, NOWHERE)
        pods = list(self._pods.get(uid, {}).get(name, {}).values())
        for pod in pods:
            if deleting(pod):
                continue
            if not may_stay:
                await self._delete(pod, "left-selector" if node else "node gone")
            elif phase_of(pod) in ENDED:
                await self._delete(pod, "ended")
        # A new pod waits until the old one is really gone.
        if should_run and not pods and node is not None:
            await self.api.create(_pod(daemon_set, node))

    def _mine(self, daemon_set: Object) -> list[Object]:
        nodes = self._pods.get(uid_of(daemon_set), {})
        return [pod for pods in nodes.values() for pod in pods.values()]

    def _wanted(self, daemon_set: Object) -> set[str]:
        """The nodes that should have a pod, or may keep the one they have."""
        uid = uid_of(daemon_set)
        pods = self._pods.get(uid, {})
        placed = self._placed.get(uid, {})
        return {name for name, (run, stay) in placed.items() if run or (stay and pods.get(name))}

    async def _delete(self, pod: Object, cause: str) -> None:
        if labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT and cause == "left-selector":
            self.twin.causes[pod["metadata"]["uid"]] = cause
        await self.api.delete(pod)

    async def _roll(self, daemon_set: Object) -> None:
        """RollingUpdate: replace one outdated pod at a time, and only while all others are ready."""
        if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
            return
        pods = self._mine(daemon_set)
        current = revision(daemon_set)
        old = [p for p in pods if labels_of(p).get(HASH_LABEL) != current and not deleting(p)]
        broken = [p for p in old if not is_true(p, "Ready")]
        if broken:
            await self._delete(broken[0], "rolled")
        elif old and all(is_true(p, "Ready") and not deleting(p) for p in pods):
            await self._delete(old[0], "rolled")

    async def _status(self, daemon_set: Object) -> None:
        pods, wanted = self._mine(daemon_set), self._wanted(daemon_set)
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


def _placement(daemon_set: Object, node: Object) -> Placement:
    """Whether a pod should run there, and whether one that runs may stay."""
    spec = daemon_set["spec"]["template"]["spec"]
    if not matches_node(spec, node):
        return NOWHERE
    spec = {**spec, "tolerations": [*(spec.get("tolerations") or ()), *BUILT_IN_TOLERATIONS]}
    stay = not untolerated(spec, node, ("NoExecute",))
    return stay and not untolerated(spec, node, ("NoSchedule",)), stay


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
