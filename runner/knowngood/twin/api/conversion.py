"""Objects in another version than the one they are kept in."""

from __future__ import annotations

from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object

# core/v1 Event (kept) -> events.k8s.io/v1 Event
_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_EVENTS_API = "events.k8s.io/v1"


def present(resource: ResourceType, stored: Stored) -> Stored:
    """Return the stored object as the resource's version shows it."""
    if stored.obj["apiVersion"] == resource.api_version:
        return stored
    return Stored(_convert(stored.obj, resource.api_version), stored.version)


def to_storage(resource: ResourceType, obj: Object, stored_version: str) -> Object:
    """Return the object as it is kept; `stored_version` is the apiVersion of that."""
    return obj if resource.api_version == stored_version else _convert(obj, stored_version)


def _convert(obj: Object, api_version: str) -> Object:
    """Custom kinds differ in their apiVersion only (conversion strategy None)."""
    result = {**obj, "apiVersion": api_version}
    if api_version == _EVENTS_API:
        result = _renamed(result, _EVENT_FIELDS)
        result.setdefault("eventTime", obj.get("firstTimestamp") or obj["metadata"].get("creationTimestamp"))
    elif obj["apiVersion"] == _EVENTS_API:
        result = _renamed(result, {new: old for old, new in _EVENT_FIELDS.items()})
    return result


def _renamed(obj: Object, names: dict[str, str]) -> Object:
    return {names.get(name, name): value for name, value in obj.items()}
