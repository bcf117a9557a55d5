"""The DaemonSet controller: one pod a matching node, by labels, taints and the update strategy.

As upstream: an OnDelete pod takes the new template on any restart; a pod is deleted at once when its node leaves
the selector; a NoSchedule taint keeps a new pod away but not the old one.
"""

from __future__ import annotations

import copy

from knowngood.twin.behaviours.census import HASH_LABEL, NOWHERE, Census, Placement
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DRIVER_COMPONENT,
    ENDED,
    NODE,
    POD,
    Key,
    controller_of,
    deleting,
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
from knowngood.twin.behaviours.revisions import Revisions, revision
from knowngood.twin.behaviours.rooms import traits_of
from knowngood.twin.values import Object

Work = tuple[Key, str]  # a DaemonSet, and one of its nodes; "" for its sums

BUILT_IN_TOLERATIONS: tuple[Object, ...] = (
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"},
)


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
    watches = (DAEMON_SET, NODE, POD, CONTROLLER_REVISION)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._censuses: dict[str, Census] = {}  # by DaemonSet's uid
        self._traits: dict[str, object] = {}  # of each node, those that decide what belongs there
        self._templates: dict[str, Object] = {}  # by DaemonSet's uid, as the placements were worked out
        self._revisions = Revisions(twin)

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
            self._census(uid).replace_template(revision(daemon_set))
            for node in self.cache.all(NODE):
                self._place(daemon_set, node)
        return (key_of(daemon_set), "")

    def _census(self, uid: str) -> Census:
        return self._censuses.setdefault(uid, Census())

    def _node_changed(self, event: str, node: Object) -> None:
        before = self._traits.pop(name_of(node), None)
        if event != "DELETED":
            self._traits[name_of(node)] = traits_of(node)
            if before == traits_of(node):
                return
        for daemon_set in self.cache.all(DAEMON_SET):
            if event == "DELETED":
                self._census(uid_of(daemon_set)).place(name_of(node), None)
                self.enqueue((key_of(daemon_set), name_of(node)))
            elif uid_of(daemon_set) in self._templates:
                self._place(daemon_set, node)

    def _place(self, daemon_set: Object, node: Object) -> None:
        """Work out what a node should have; where that is another thing than before there is work to do."""
        census, name = self._census(uid_of(daemon_set)), name_of(node)
        wanted = _placement(daemon_set, node)
        if census.knows(name) and census.placement(name) == wanted:
            return
        census.place(name, wanted)
        _, stay = wanted
        # Where a pod runs that may stay nothing is done, as upstream: even the sums are those of before.
        if not (stay and census.pods_on(name)):
            self.enqueue((key_of(daemon_set), name))
            self.enqueue_soon((key_of(daemon_set), ""))

    def _pod_changed(self, event: str, pod: Object) -> None:
        owner = controller_of(pod)
        if owner is None or owner["kind"] != "DaemonSet":
            return
        census, node = self._census(owner["uid"]), target_node(pod)
        if event == "DELETED":
            census.leave(node, pod)
        else:
            census.take(node, pod)
        key = (namespace_of(pod), owner["name"])
        self.enqueue((key, node))
        self.enqueue_soon((key, ""))

    async def reconcile(self, key: Work) -> None:
        """Create and delete pods of one node, or roll where asked and write the status."""
        (namespace, name), node = key
        daemon_set = self.cache.get(DAEMON_SET, name, namespace)
        if daemon_set is None or deleting(daemon_set):
            return
        await self._revisions.keep(daemon_set)
        if node:
            await self._node(daemon_set, node)
        else:
            await self._roll(daemon_set)
            await self._status(daemon_set)

    async def _node(self, daemon_set: Object, name: str) -> None:
        census, node = self._census(uid_of(daemon_set)), self.cache.get(NODE, name)
        should_run, may_stay = census.placement(name)
        pods = census.pods_on(name)
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

    async def _delete(self, pod: Object, cause: str) -> None:
        if labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT and cause == "left-selector":
            self.twin.causes[pod["metadata"]["uid"]] = cause
        await self.api.delete(pod)

    async def _roll(self, daemon_set: Object) -> None:
        """RollingUpdate: replace one outdated pod at a time, and only while all others are ready."""
        if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
            return
        census = self._census(uid_of(daemon_set))
        old = census.outdated()
        broken = [p for p in old if not is_true(p, "Ready")]
        if broken:
            await self._delete(broken[0], "rolled")
        elif old and census.sum.sound == census.sum.pods:
            await self._delete(old[0], "rolled")

    async def _status(self, daemon_set: Object) -> None:
        count = self._census(uid_of(daemon_set)).sum
        status = {
            "desiredNumberScheduled": count.wanted,
            "currentNumberScheduled": count.current,
            "numberMisscheduled": count.astray,
            "numberReady": count.ready,
            "numberAvailable": count.ready,
            "numberUnavailable": count.wanted - count.ready,
            "updatedNumberScheduled": count.updated,
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
