"""Writes the event log: what anybody did to nodes and their pods."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    NODE,
    POD,
    labels_of,
    name_of,
    namespace_of,
    node_of,
    uid_of,
)
from knowngood.twin.values import Object

EVICTED = "EvictionByEvictionAPI"


class Recorder:
    """Listens to the cache for nodes and pods, and to the API server's audit for who it was."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._nodes: dict[str, Object] = {}
        self._evicted: set[str] = set()
        self._driver_gone: set[str] = set()
        self._last_writer: dict[str, str] = {}

    async def start(self) -> None:
        """Follow nodes and pods."""
        await self._twin.cache.ensure(NODE, POD)
        for node in self._twin.cache.all(NODE):
            self._nodes[name_of(node)] = node
        self._twin.cache.listen(NODE, self._node_changed)
        self._twin.cache.listen(POD, self._pod_changed)

    def audit(self, record: Object) -> None:
        """One accepted write of the API server in this process."""
        if record["kind"] == "Node":
            self._last_writer[record["name"]] = record["userAgent"] or record["user"]
        if record["kind"] != "Pod" or record["verb"] not in {"delete", "evict"} or not record["object"]:
            return  # of a cluster that isn't ours the answer to an eviction says nothing of the pod
        pod, who = record["object"], record["userAgent"] or record["user"]
        if record["verb"] == "evict":
            self._pod_evicted(pod, who)
        self._driver_deleted(pod, who)

    def _node_changed(self, event: str, node: Object) -> None:
        name = name_of(node)
        before = self._nodes.get(name, node)
        self._nodes[name] = node
        who = self._last_writer.get(name, "")
        if event == "DELETED":
            return
        was, now = bool(before["spec"].get("unschedulable")), bool(node["spec"].get("unschedulable"))
        if was != now:
            self._twin.events.write("cordoned" if now else "uncordoned", name, by=who)
        old, new = _taints(before), _taints(node)
        for taint in sorted(new - old):
            self._twin.events.write("tainted", name, taint=taint, by=who)
        for taint in sorted(old - new):
            self._twin.events.write("untainted", name, taint=taint, by=who)

    def _pod_changed(self, event: str, pod: Object) -> None:
        if not pod["metadata"].get("deletionTimestamp") and event != "DELETED":
            return
        # A real API server marks an evicted pod; ours tells by its audit.
        for entry in pod.get("status", {}).get("conditions") or ():
            if entry["type"] == "DisruptionTarget" and entry.get("reason") == EVICTED:
                self._pod_evicted(pod, "")
        self._driver_deleted(pod, "")

    def _pod_evicted(self, pod: Object, who: str) -> None:
        if uid_of(pod) in self._evicted or not node_of(pod):
            return
        self._evicted.add(uid_of(pod))
        self._twin.events.write(
            "pod-evicted",
            node_of(pod),
            namespace=namespace_of(pod),
            pod=name_of(pod),
            tenant=self._twin.tenant_of(namespace_of(pod)),
            by=who,
        )

    def _driver_deleted(self, pod: Object, who: str) -> None:
        if labels_of(pod).get(COMPONENT_LABEL) != DRIVER_COMPONENT or uid_of(pod) in self._driver_gone:
            return
        self._driver_gone.add(uid_of(pod))
        cause = self._twin.causes.pop(uid_of(pod), "deleted")
        self._twin.events.write("driver-pod-deleted", node_of(pod), pod=name_of(pod), cause=cause, by=who)


def _taints(node: Object) -> set[str]:
    taints = node["spec"].get("taints") or ()
    return {f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints}
