"""Binding: how a scheduler puts a pod onto a node."""

from __future__ import annotations

from knowngood.twin.api import meta
from knowngood.twin.api.cluster import Actor, Cluster, Options
from knowngood.twin.api.errors import bad_request, conflict
from knowngood.twin.api.requests import Target
from knowngood.twin.values import Object


def bind(cluster: Cluster, target: Target, binding: Object, actor: Actor, options: Options) -> None:
    """Set the pod's node, once. 409 where it has one already or is being deleted."""
    node = binding.get("target", {}).get("name", "")
    if not node:
        raise bad_request("target.name: Required value")
    before = cluster.find(target.resource, target.namespace, target.name)
    if meta.deleting(before.obj):
        raise conflict("pods", "", target.name, "pod is being deleted, cannot be assigned to a host")
    if before.obj["spec"].get("nodeName"):
        raise conflict("pods", "", target.name, f"pod {target.name} is already assigned to a node")
    status = before.obj.get("status") or {}
    others = [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": meta.now()}
    obj: Object = {
        **before.obj,
        "metadata": dict(before.obj["metadata"]),
        "spec": {**before.obj["spec"], "nodeName": node},
        "status": {**status, "conditions": [*others, scheduled]},
    }
    if not options.dry_run:
        cluster.store.put(target.resource.key, obj)
        cluster.record("update", actor, obj, subresource="binding")
