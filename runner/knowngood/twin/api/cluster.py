"""The state every part of the API server shares: objects, served kinds, the event log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from knowngood.twin.api import crds, meta
from knowngood.twin.api.conversion import present
from knowngood.twin.api.errors import not_found
from knowngood.twin.api.resources import Resources, ResourceType
from knowngood.twin.api.store import Change, Name, Store, Stored
from knowngood.twin.api.webhooks import Webhook
from knowngood.twin.values import Object

EventLog = Callable[[Object], None]
PODS = "/pods"
Location = tuple[str, str, str]  # storage key, namespace, name


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes. `sent`: the body of the request at hand, for the event log."""

    user: str
    agent: str = ""
    groups: tuple[str, ...] = ()
    sent: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is meant: the query parameters every write takes."""

    dry_run: bool = False
    validation: str = "Warn"
    manager: str = "unknown"
    force: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write left behind. `removed`: the object is gone; `warnings` go into headers."""

    stored: Stored
    warnings: tuple[str, ...] = ()
    created: bool = False
    removed: bool = False


class Cluster:
    """Objects and served kinds, with the indexes that garbage collection needs."""

    def __init__(self, event_log: EventLog | None = None) -> None:
        self.store = Store()
        self.resources = Resources()
        self.dependents: dict[str, set[Location]] = {}
        self.uids: dict[str, Location] = {}
        self._by_node: dict[str, set[Name]] = {}  # the pods bound to each
        self._stored_versions: dict[str, str] = {}
        self.redefined: dict[str, int] = {}
        """By storage key: the store's version when a definition was last replaced."""
        self.webhooks: dict[tuple[str, str], Webhook] = {}
        self._event_log = event_log
        self.store.subscribe(self._index)

    def find(self, resource: ResourceType, namespace: str, name: str) -> Stored:
        """Return the object in the resource's version; ApiError 404 where there is none."""
        stored = self.store.get(resource.key, namespace, name)
        if stored is None:
            raise not_found(resource.plural, resource.group, name)
        return present(resource, stored)

    def pods_on(self, node: str) -> list[Stored]:
        """Return the pods bound to a node, ordered by namespace and name: what agents of nodes ask for."""
        found = (self.store.get(PODS, *name) for name in sorted(self._by_node.get(node, ())))
        return [pod for pod in found if pod is not None]

    def at(self, location: Location) -> Stored | None:
        """Return the object at a location, as it is kept."""
        return self.store.get(*location)

    def resource_at(self, key: str) -> ResourceType | None:
        """Return a resource of a storage key; kinds no longer served have none."""
        wanted = self._stored_versions.get(key)
        served = [one for one in self.resources if one.key == key and one.persisted]
        for resource in served:
            if wanted in {None, resource.api_version}:
                return resource
        return served[0] if served else None

    def stored_version(self, resource: ResourceType) -> str:
        """Return the apiVersion that objects of this kind are kept in."""
        if resource.key == "/events":
            return "v1"
        return self._stored_versions.get(resource.key, resource.api_version)

    def serve(self, crd: Object) -> None:
        """Serve what a CustomResourceDefinition declares, in place of what it declared before."""
        spec = crd["spec"]
        self.resources.remove(spec["group"], spec["names"]["plural"])
        for resource in crds.resources_of(crd):
            self.redefined[resource.key] = self.store.version
            self.resources.add(resource)
            self._stored_versions[resource.key] = f"{spec['group']}/{crds.stored_version(crd)}"

    def withdraw(self, crd: Object) -> None:
        """Serve the definition's kind no longer."""
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        self.resources.remove(group, plural)
        self._stored_versions.pop(f"{group}/{plural}", None)
        self.store.drop(f"{group}/{plural}")

    def record(
        self, verb: str, actor: Actor, obj: Object, *, subresource: str = "", removed: bool = False
    ) -> None:
        """Tell the event log of an accepted write: who, what it sent and what became of the object."""
        if self._event_log is None:
            return
        metadata = obj["metadata"]
        self._event_log(
            {
                "time": meta.now_micro(),
                "verb": verb,
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "user": actor.user,
                "userAgent": actor.agent,
                "subresource": subresource,
                "removed": removed,
                "object": obj,
                "request": actor.sent,
            }
        )

    def _index(self, change: Change) -> None:
        """Keep uids and owner references findable."""
        location = (change.key, *_name(change.now.obj))
        if change.key == PODS:
            self._index_pod(change)
        if change.before is not None:
            for uid in owner_uids(change.before.obj):
                holders = self.dependents.get(uid, set())
                holders.discard(location)
                if not holders:
                    self.dependents.pop(uid, None)
        if change.type == "DELETED":
            self.uids.pop(change.now.obj["metadata"]["uid"], None)
            return
        self.uids[change.now.obj["metadata"]["uid"]] = location
        for uid in owner_uids(change.now.obj):
            self.dependents.setdefault(uid, set()).add(location)

    def _index_pod(self, change: Change) -> None:
        """A pod is bound once: it comes to a node, and leaves it when it goes."""
        node, name = change.now.obj["spec"].get("nodeName"), _name(change.now.obj)
        if node and change.type == "DELETED":
            self._by_node.get(node, set()).discard(name)
        elif node:
            self._by_node.setdefault(node, set()).add(name)


def _name(obj: Object) -> Name:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def owner_uids(obj: Object) -> list[str]:
    """Return the uids of the object's owners."""
    return [one["uid"] for one in obj["metadata"].get("ownerReferences", ())]
