"""The scale subresource: how many replicas, for built-in workloads and custom kinds."""

from __future__ import annotations

import json
from typing import Any

from knowngood.twin.api import json_path
from knowngood.twin.api.errors import bad_request
from knowngood.twin.api.patches import json_patch, merge_patch
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.api.writes import JSON_PATCH
from knowngood.twin.values import Object

_BUILT_IN = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
}


def show(resource: ResourceType, obj: Object) -> Object:
    """Return the Scale of an object."""
    paths = resource.scale or _BUILT_IN
    metadata = {
        name: obj["metadata"][name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if name in obj["metadata"]
    }
    status: Object = {"replicas": json_path.find(obj, paths["statusReplicasPath"]) or 0}
    labels = obj.get("spec", {}).get("selector", {}).get("matchLabels") if not resource.custom else None
    if labels:
        status["selector"] = ",".join(f"{key}={value}" for key, value in labels.items())
    replicas = json_path.find(obj, paths["specReplicasPath"]) or 0
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": replicas},
        "status": status,
    }


def wanted(resource: ResourceType, obj: Object, body: Any, content_type: str) -> int:
    """Return the replicas that a PUT or PATCH of the Scale asks for."""
    scale = show(resource, obj)
    if content_type == JSON_PATCH:
        scale = json_patch(scale, body)
    elif isinstance(body, dict):
        scale = merge_patch(scale, body)
    replicas = scale.get("spec", {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request("spec.replicas must be a number of at least 0")
    return replicas


def scaled(resource: ResourceType, stored: Stored, replicas: int) -> Object:
    """Return a copy of the object with so many replicas."""
    obj: Object = json.loads(stored.encoded)
    *parents, field = (resource.scale or _BUILT_IN)["specReplicasPath"].strip(".").split(".")
    holder = obj
    for name in parents:
        holder = holder.setdefault(name, {})
    holder[field] = replicas
    return obj
