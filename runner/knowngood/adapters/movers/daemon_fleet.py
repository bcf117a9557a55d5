"""The class daemon-driver where one object declares it for all nodes: its pods are re-templated, none is restarted."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.adapters.cluster import facts
from knowngood.adapters.cluster.reader import live_value
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers.rollout import ending
from knowngood.model.field import Field
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover


class DaemonFleet:
    """One such component on one cluster."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def state(self, moving: Moving) -> FleetState:
        """What the declaring object asks for; what runs is each node's own."""
        of = moving.declared_by
        paths = [*moving.spec.fields.get(of.kind, {})] if of else []
        if of is None or not paths:
            return FleetState(trouble="no object declares it for all nodes")
        return FleetState(declared=live_value(self._kube, Field(moving.component, "", paths[0], of)))

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """Nothing beside what is asked of the nodes and of the declaring object."""
        return ()

    def look(self, moving: Moving) -> Look:
        """Whether every DaemonSet that has a node carries the version: the next pod anywhere takes it.

        A setting beside it shows in no image: it is there when the DaemonSets are observed, and proven node by node.
        """
        pods = moving.spec.pods
        if pods is None:
            return Look(done="it has no pods")
        found = [
            d
            for d in self._kube.list(
                path("apps/v1", "daemonsets", "", self._cluster.namespace_of(pods.operator))
            )
            if facts.has_label(d["spec"]["template"], pods.label)
        ]
        wanted = [d for d in found if (d.get("status") or {}).get("desiredNumberScheduled")]
        if not wanted:
            return Look(waiting=f"no DaemonSet with pods {pods.label} has a node")
        late = sorted(why for d in wanted if (why := _late(d, moving)))
        return Look(waiting="; ".join(late)) if late else Look(done=f"{len(wanted)} DaemonSets carry it")

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """Nothing but what every look at the nodes finds."""
        return ()


def _late(daemon_set: Object, moving: Moving) -> str:
    """Why a DaemonSet does not carry what moves, "" where it does."""
    metadata, spec = daemon_set["metadata"], moving.spec
    if ending(daemon_set):
        return f"DaemonSet {metadata['name']} is being deleted"
    observed = int((daemon_set.get("status") or {}).get("observedGeneration") or 0)
    if observed < int(metadata.get("generation") or 0):
        return f"DaemonSet {metadata['name']} has been changed just now"
    image = facts.image_of(daemon_set["spec"]["template"]["spec"], spec.pods.container if spec.pods else "")
    if spec.beside or facts.carries(image, moving.after):
        return ""
    return f"DaemonSet {metadata['name']} has {image}"
