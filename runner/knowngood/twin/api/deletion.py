"""Deletion: preconditions, grace, finalizers, propagation."""

from __future__ import annotations

import json
from dataclasses import dataclass

from knowngood.twin.api import crds, meta
from knowngood.twin.api.cluster import Actor, Cluster, Options, Outcome
from knowngood.twin.api.conversion import present
from knowngood.twin.api.errors import bad_request, conflict, not_found
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.api.writes import is_finished
from knowngood.twin.values import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN, "Background": ""}
_DEFAULT_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE's body and query say. Grace in seconds; None where nothing was said."""

    grace: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    @classmethod
    def read(cls, body: Object, options: Options) -> DeleteOptions:
        """Read a DeleteOptions object."""
        preconditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy") or ""
        if body.get("orphanDependents") is not None and not propagation:
            propagation = "Orphan" if body["orphanDependents"] else "Background"
        if propagation and propagation not in _FINALIZERS:
            raise bad_request(f"unknown propagationPolicy {propagation!r}")
        grace = body.get("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or grace < 0):
            raise bad_request("gracePeriodSeconds must be a number of at least 0")
        return cls(
            grace=grace,
            propagation=propagation,
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            dry_run=options.dry_run or "All" in (body.get("dryRun") or ()),
        )


class Deletion:
    """Deletes objects of one cluster: at once, or by marking them and waiting for who must agree."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def delete(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        actor: Actor,
        options: DeleteOptions,
        *,
        verb: str = "delete",
    ) -> Outcome:
        """Delete one object. 404 where there is none, 409 where a precondition doesn't hold."""
        before = self._cluster.store.get(resource.key, namespace, name)
        if before is None:
            raise not_found(resource.plural, resource.group, name)
        _check_preconditions(resource, before, options)
        obj: Object = json.loads(before.encoded)
        _mark(resource, obj, options)
        finished = is_finished(resource, obj)
        if options.dry_run:
            return Outcome(Stored(obj, before.version), removed=finished)
        if finished:
            if resource.key == "/pods" and not meta.deleting(before.obj):
                self._cluster.store.put(resource.key, obj)  # watchers see it marked before they see it gone
            stored = self._cluster.store.remove(resource.key, namespace, name)
            if resource.kind == crds.CRD_KIND:
                self._cluster.withdraw(stored.obj)
        elif obj == before.obj:
            return Outcome(before)  # asked for before, and nothing new
        else:
            stored = self._cluster.store.put(resource.key, obj)
        self._cluster.record(verb, actor, stored.obj, removed=finished)
        return Outcome(present(resource, stored), removed=finished)

    def remove_finalizer(self, resource: ResourceType, stored: Stored, finalizer: str, actor: Actor) -> None:
        """Take one finalizer off; the object goes if it was the last thing that held it."""
        obj: Object = json.loads(stored.encoded)
        finalizers = [one for one in obj["metadata"].get("finalizers", ()) if one != finalizer]
        obj["metadata"]["finalizers"] = finalizers
        if not finalizers:
            del obj["metadata"]["finalizers"]
        if resource.key == "/namespaces" and finalizer == "kubernetes":
            obj["spec"]["finalizers"] = []
        self.store_or_finish(resource, obj, actor)

    def store_or_finish(self, resource: ResourceType, obj: Object, actor: Actor) -> None:
        """Keep the changed object, or let it go where nothing holds it any longer."""
        finished = is_finished(resource, obj)
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        stored = self._cluster.store.put(resource.key, obj)
        if finished:
            stored = self._cluster.store.remove(resource.key, namespace, name)
            if resource.kind == crds.CRD_KIND:
                self._cluster.withdraw(stored.obj)
        self._cluster.record("update", actor, stored.obj, removed=finished)


def _check_preconditions(resource: ResourceType, before: Stored, options: DeleteOptions) -> None:
    metadata = before.obj["metadata"]
    for label, wanted, found in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.resource_version, str(before.version)),
    ):
        if wanted and wanted != found:
            why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}"
            raise conflict(resource.plural, resource.group, metadata["name"], why)


def _mark(resource: ResourceType, obj: Object, options: DeleteOptions) -> None:
    """Write into the object that its deletion was asked for: time, grace, finalizers; in place."""
    metadata = obj["metadata"]
    grace = _grace(resource, obj, options)
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = meta.later(grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if metadata.get("generation"):
            metadata["generation"] += 1
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = meta.later(grace)
        metadata["deletionGracePeriodSeconds"] = grace
    finalizer = _FINALIZERS.get(options.propagation or _default_propagation(resource), "")
    finalizers = metadata.get("finalizers", [])
    if options.propagation:  # a later wish replaces an earlier one
        finalizers = [one for one in finalizers if one not in {FOREGROUND, ORPHAN}]
    if finalizer and finalizer not in finalizers:
        finalizers = [*finalizers, finalizer]
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    if resource.key == "/namespaces":
        obj.setdefault("status", {})["phase"] = "Terminating"


def _default_propagation(resource: ResourceType) -> str:
    """Jobs keep the old default, which leaves their pods behind; all else is collected."""
    return "Orphan" if resource.key == "batch/jobs" else "Background"


def _grace(resource: ResourceType, obj: Object, options: DeleteOptions) -> int:
    """Return the seconds a pod is given; all else goes at once, as do pods that no kubelet runs."""
    if resource.key != "/pods":
        return 0
    spec, phase = obj["spec"], obj.get("status", {}).get("phase")
    if not spec.get("nodeName") or phase in {"Succeeded", "Failed"}:
        return 0
    if options.grace is not None:
        return options.grace
    return int(spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S))
