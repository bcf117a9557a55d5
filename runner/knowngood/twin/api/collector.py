"""What happens by itself: owners' garbage, emptied namespaces, custom kinds that come and go, budgets' status.

A new namespace gets its `default` service account and the cluster's certificate.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque

from knowngood.twin.api import meta
from knowngood.twin.api.cluster import Actor, Cluster, Location, Options, owner_uids
from knowngood.twin.api.crds import CRD_KEY, is_established
from knowngood.twin.api.deletion import FOREGROUND, ORPHAN, DeleteOptions, Deletion
from knowngood.twin.api.disruption import BUDGETS, PODS, Disruption
from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Change, Stored
from knowngood.twin.api.writes import Writes
from knowngood.twin.values import Object

_log = logging.getLogger(__name__)

NAMESPACES = "/namespaces"
ESTABLISH_S = 0.02  # from a definition to its kind, real seconds: long enough for a client to be too early
ROOT_CA = "kube-root-ca.crt"
_FURNITURE = {("/serviceaccounts", "default"), ("/configmaps", ROOT_CA)}
GARBAGE = Actor("system:serviceaccount:kube-system:generic-garbage-collector", "kube-controller-manager")
NAMESPACE_CONTROLLER = Actor(
    "system:serviceaccount:kube-system:namespace-controller", "kube-controller-manager"
)
PUBLISHER = Actor("system:serviceaccount:kube-system:root-ca-cert-publisher", "kube-controller-manager")
DEFINITIONS = Actor("system:apiserver", "kube-apiserver")


class Collector:
    """Reacts to changes of one cluster, each handled soon after it happened, in order."""

    def __init__(self, cluster: Cluster, writes: Writes, deletion: Deletion, disruption: Disruption) -> None:
        self.certificate = ""  # of the authority, PEM; the server knows it once it has started
        self._cluster = cluster
        self._writes = writes
        self._deletion = deletion
        self._disruption = disruption
        self._changes: deque[Change] = deque()
        self._wake = asyncio.Event()
        cluster.store.subscribe(self._note)

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            budgets: set[str] = set()
            touched: set[str] = set()
            while self._changes:
                change = self._changes.popleft()
                if change.key in {PODS, BUDGETS}:
                    budgets.add(change.now.obj["metadata"]["namespace"])
                touched.add(change.now.obj["metadata"].get("namespace", ""))
                try:
                    self._react(change)
                except Exception:  # one object's trouble must not stop the rest
                    _log.exception("collector: %s %s", change.key, change.now.obj["metadata"]["name"])
                if len(self._changes) % 50 == 0:
                    await asyncio.sleep(0)  # let requests in between
            for namespace in sorted(budgets):
                self._disruption.refresh(namespace)
            for namespace in sorted(touched - {""}):
                self._writes.quotas.refresh(namespace)

    def _react(self, change: Change) -> None:
        obj = change.now.obj
        location = (change.key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if change.key == CRD_KEY and change.type == "ADDED" and not is_established(obj):
            asyncio.get_running_loop().call_later(ESTABLISH_S, self._establish, location)
        if change.key == NAMESPACES and change.type == "ADDED":
            self.furnish(location[2])
        if change.type == "DELETED":
            if (change.key, location[2]) in _FURNITURE:
                self.furnish(location[1])
            self._owner_is_gone(obj)
            self._look_at_container(change)
        else:
            if _has_new_owners(change):
                self._check_owners(location)
            if meta.deleting(obj):
                self._go_on_deleting(location, obj)

    def furnish(self, namespace: str) -> None:
        """Give a namespace what every namespace has, unless it is there or the namespace is going."""
        certificate: Object = {"data": {"ca.crt": self.certificate}}
        for kind, name, content in (("ServiceAccount", "default", {}), ("ConfigMap", ROOT_CA, certificate)):
            resource = self._cluster.resources.of_kind("v1", kind)
            if resource is None or self._cluster.store.get(resource.key, namespace, name):
                continue
            try:
                body = {"metadata": {"name": name}, **content}
                self._writes.create(resource, namespace, body, PUBLISHER, Options())
            except ApiError as error:
                if error.code not in {403, 404}:  # the namespace is going, or gone
                    raise

    def furnish_all(self) -> None:
        """The same for all that are there."""
        for stored in self._cluster.store.items(NAMESPACES):
            self.furnish(stored.obj["metadata"]["name"])

    def _establish(self, location: Location) -> None:
        stored, resource = self._cluster.at(location), self._cluster.resource_at(CRD_KEY)
        if stored is not None and resource is not None and not is_established(stored.obj):
            self._writes.establish(resource, stored, DEFINITIONS)

    def _owner_is_gone(self, obj: Object) -> None:
        for dependent in sorted(self._cluster.dependents.get(obj["metadata"]["uid"], ())):
            self._check_owners(dependent)
        for uid in owner_uids(obj):
            self._look_at_foreground_owner(uid)

    def _look_at_foreground_owner(self, uid: str) -> None:
        location = self._cluster.uids.get(uid)
        stored = self._cluster.at(location) if location else None
        if location and stored and meta.deleting(stored.obj):
            self._go_on_deleting(location, stored.obj)

    def _check_owners(self, location: Location) -> None:
        """Delete a dependent whose owners are all gone or waiting for it; else drop what refers to nothing."""
        stored, resource = self._cluster.at(location), self._cluster.resource_at(location[0])
        if stored is None or resource is None:
            return
        references = stored.obj["metadata"].get("ownerReferences", ())
        alive = [one for one in references if one["uid"] in self._cluster.uids]
        waiting = [one for one in alive if self._waits_for_dependents(one["uid"])]
        if not references or (len(alive) == len(references) and not waiting):
            return
        if len(alive) == len(waiting):
            if not meta.deleting(stored.obj):
                foreground = waiting and self._cluster.dependents.get(stored.obj["metadata"]["uid"])
                self._delete(resource, stored, "Foreground" if foreground else "Background")
            return
        obj: Object = json.loads(stored.encoded)
        obj["metadata"]["ownerReferences"] = [one for one in alive if one not in waiting]
        self._deletion.store_or_finish(resource, obj, GARBAGE)

    def _waits_for_dependents(self, uid: str) -> bool:
        stored = self._cluster.at(self._cluster.uids[uid])
        if stored is None:
            return False
        return meta.deleting(stored.obj) and FOREGROUND in stored.obj["metadata"].get("finalizers", ())

    def _delete(
        self, resource: ResourceType, stored: Stored, propagation: str, actor: Actor = GARBAGE
    ) -> None:
        metadata = stored.obj["metadata"]
        options = DeleteOptions(propagation=propagation, uid=metadata["uid"])
        try:
            self._deletion.delete(resource, metadata.get("namespace", ""), metadata["name"], actor, options)
        except ApiError as error:
            if error.code not in {404, 409}:  # gone, or replaced: nothing left to do
                raise

    def _go_on_deleting(self, location: Location, obj: Object) -> None:
        finalizers = obj["metadata"].get("finalizers", ())
        if ORPHAN in finalizers:
            self._orphan(location)
        elif FOREGROUND in finalizers:
            self._foreground(location)
        elif location[0] == NAMESPACES:
            self._empty_namespace(location[2])
        elif location[0] == CRD_KEY and finalizers:
            self._empty_kind(location)

    def _dependents(self, uid: str) -> list[tuple[Location, Stored]]:
        found = ((where, self._cluster.at(where)) for where in sorted(self._cluster.dependents.get(uid, ())))
        return [(where, stored) for where, stored in found if stored is not None]

    def _orphan(self, location: Location) -> None:
        stored, resource = self._cluster.at(location), self._cluster.resource_at(location[0])
        if stored is None or resource is None:
            return
        uid = stored.obj["metadata"]["uid"]
        for where, dependent in self._dependents(uid):
            kind = self._cluster.resource_at(where[0])
            if kind is not None:
                obj: Object = json.loads(dependent.encoded)
                references = [one for one in obj["metadata"]["ownerReferences"] if one["uid"] != uid]
                obj["metadata"]["ownerReferences"] = references
                self._deletion.store_or_finish(kind, obj, GARBAGE)
        self._deletion.remove_finalizer(resource, stored, ORPHAN, GARBAGE)

    def _foreground(self, location: Location) -> None:
        stored, resource = self._cluster.at(location), self._cluster.resource_at(location[0])
        if stored is None or resource is None:
            return
        uid = stored.obj["metadata"]["uid"]
        for where, _ in self._dependents(uid):
            self._check_owners(where)
        blocking = [
            one
            for _, dependent in self._dependents(uid)
            for one in dependent.obj["metadata"]["ownerReferences"]
            if one["uid"] == uid and one.get("blockOwnerDeletion")
        ]
        stored = self._cluster.at(location)
        if not blocking and stored is not None:
            self._deletion.remove_finalizer(resource, stored, FOREGROUND, GARBAGE)

    def _look_at_container(self, change: Change) -> None:
        """Something went: perhaps its namespace or its kind was only waiting for that."""
        namespace = change.now.obj["metadata"].get("namespace")
        holder = self._cluster.store.get(NAMESPACES, "", namespace) if namespace else None
        if namespace and holder is not None and meta.deleting(holder.obj):
            self._empty_namespace(namespace)
        group, _, plural = change.key.partition("/")
        crd = self._cluster.store.get(CRD_KEY, "", f"{plural}.{group}")
        if crd is not None and meta.deleting(crd.obj):
            self._empty_kind((CRD_KEY, "", f"{plural}.{group}"))

    def _empty_namespace(self, name: str) -> None:
        holder = self._cluster.store.get(NAMESPACES, "", name)
        if holder is None:
            return
        # First the pods, then what they might still need: a volume's claim, a secret, a network policy.
        kinds = [one for one in self._cluster.resources.stored() if one.namespaced]
        left = self._delete_all([one for one in kinds if one.key == PODS], name)
        if left:
            return
        left = self._delete_all(kinds, name)
        if not left and holder.obj.get("spec", {}).get("finalizers"):
            namespaces = self._cluster.resource_at(NAMESPACES)
            if namespaces is not None:
                self._deletion.remove_finalizer(namespaces, holder, "kubernetes", NAMESPACE_CONTROLLER)

    def _delete_all(self, kinds: list[ResourceType], namespace: str) -> int:
        """Ask for the deletion of all that a namespace holds of these kinds; return how much is still there."""
        left = 0
        for resource in kinds:
            for stored in self._cluster.store.items(resource.key, namespace):
                if not meta.deleting(stored.obj):
                    kind = self._cluster.resource_at(resource.key) or resource
                    self._delete(kind, stored, "Background", NAMESPACE_CONTROLLER)
                name = stored.obj["metadata"]["name"]
                left += self._cluster.store.get(resource.key, namespace, name) is not None
        return left

    def _empty_kind(self, location: Location) -> None:
        crd, resource = self._cluster.at(location), self._cluster.resource_at(CRD_KEY)
        if crd is None or resource is None:
            return
        key = f"{crd.obj['spec']['group']}/{crd.obj['spec']['names']['plural']}"
        kind = self._cluster.resource_at(key)
        for stored in self._cluster.store.items(key) if kind is not None else ():
            if kind is not None and not meta.deleting(stored.obj):
                self._delete(kind, stored, "Background")
        if not self._cluster.store.items(key):
            finalizer = crd.obj["metadata"]["finalizers"][0]
            self._deletion.remove_finalizer(resource, crd, finalizer, GARBAGE)


def _has_new_owners(change: Change) -> bool:
    owners = owner_uids(change.now.obj)
    return bool(owners) and (change.before is None or owner_uids(change.before.obj) != owners)
