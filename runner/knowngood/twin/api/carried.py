"""What an update must agree with, and what it may not touch: versions, server metadata, status, finalizers."""

from __future__ import annotations

from knowngood.twin.api.errors import STALE, cause, conflict
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object


def check_preconditions(resource: ResourceType, before: Stored, obj: Object) -> None:
    """409 where the write means an older state, or another object of that name."""
    metadata = obj["metadata"]
    name, uid = before.obj["metadata"]["name"], before.obj["metadata"]["uid"]
    if metadata.get("resourceVersion", "") not in {"", str(before.version)}:
        raise conflict(resource.plural, resource.group, name, STALE)
    if metadata.get("uid", uid) != uid:
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {uid}"
        raise conflict(resource.plural, resource.group, name, why)


_SERVER_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
    "resourceVersion",
)


def carry_over(resource: ResourceType, old: Object, obj: Object, subresource: str) -> None:
    """Keep what this write may not touch: server metadata, and status or all but status. What is kept is shared."""
    if subresource == "status":
        status = obj.get("status")
        metadata = old["metadata"] if resource.custom else obj["metadata"]
        managed = obj["metadata"].get("managedFields")
        obj.clear()
        obj.update({**old, "metadata": dict(metadata)})
        if managed is not None:
            obj["metadata"]["managedFields"] = managed
        obj.pop("status", None)
        if status is not None:
            obj["status"] = status
    elif resource.has("status"):
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = dict(old["status"]) if isinstance(old["status"], dict) else old["status"]
    for field in _SERVER_FIELDS:
        obj["metadata"].pop(field, None)
        if field in old["metadata"]:
            obj["metadata"][field] = old["metadata"][field]
    if "managedFields" not in obj["metadata"] and "managedFields" in old["metadata"]:
        obj["metadata"]["managedFields"] = old["metadata"]["managedFields"]


def check_finalizers(old: Object, obj: Object) -> list[Object]:
    """Return why no finalizer may be added any more: the object is going."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    added = set(obj["metadata"].get("finalizers", ())) - set(old["metadata"].get("finalizers", ()))
    if not added:
        return []
    why = (
        f"Forbidden: no new finalizers can be added if the object is being deleted, found new {sorted(added)}"
    )
    return [cause("FieldValueForbidden", "metadata.finalizers", why)]
