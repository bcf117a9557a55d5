"""Create, replace and patch: what happens to an object on its way into the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from knowngood.twin.api import admission, apply, carried, crds, meta, new_pods, patches, rules, webhooks
from knowngood.twin.api.cluster import Actor, Cluster, Options, Outcome
from knowngood.twin.api.conversion import present, to_storage
from knowngood.twin.api.errors import (
    already_exists,
    bad_request,
    cause,
    invalid,
    unsupported_media,
)
from knowngood.twin.api.quota import Quotas
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.api.strategic import strategic_merge
from knowngood.twin.values import Object

Guard = Callable[[ResourceType, Object, Actor], None]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCHES = frozenset({"application/apply-patch+yaml", "application/apply-patch+json"})

# Built-in kinds that count the generations of their spec.
_COUNTED = frozenset(
    {
        "Pod",
        "Deployment",
        "ReplicaSet",
        "DaemonSet",
        "StatefulSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "CustomResourceDefinition",
    }
)
# Kinds whose status a creator may set: the kubelet registers its node with one.
_STATUS_AT_CREATION = frozenset({"Node"})
# Built-in kinds that can't be replaced without saying which version is meant.
_CONDITIONAL_ONLY = frozenset({"Lease", "CustomResourceDefinition", "PodDisruptionBudget"})
_CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class Writes:
    """Every write but deletion, onto one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.quotas = Quotas(cluster)
        self.guard: Guard = lambda _resource, _obj, _actor: None  # refuses what its writer may not say

    def create(
        self,
        resource: ResourceType,
        namespace: str,
        body: Any,
        actor: Actor,
        options: Options,
        *,
        verb: str = "create",
    ) -> Outcome:
        """Store a new object. 409 where its name is taken."""
        obj = admission.check_shape(resource, body, namespace)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        _name(resource, metadata)
        for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(field, None)
        if resource.has("status") and resource.kind not in _STATUS_AT_CREATION:
            obj.pop("status", None)
        metadata["uid"] = meta.new_uid()
        metadata["creationTimestamp"] = meta.now()
        metadata.pop("generation", None)
        if _counts_generations(resource):
            metadata["generation"] = 1
        if self._cluster.store.get(resource.key, namespace, metadata["name"]) is not None:
            raise already_exists(resource.plural, resource.group, metadata["name"])
        warnings = admission.admit(resource, obj, options)
        admission.check_namespace(self._cluster, resource, obj)
        if resource.key == new_pods.PODS:
            new_pods.check(self._cluster, obj)
        self.quotas.check(resource, obj)
        self.guard(resource, obj, actor)
        webhooks.review(self._cluster.webhooks, resource, obj)
        if resource.kind == crds.CRD_KIND:
            crds.announce(obj)
        return self._store_new(resource, obj, actor, options, verb, warnings)

    def seed(self, resource: ResourceType, obj: Object, actor: Actor) -> Outcome:
        """Store an object as it is given, status and uid included; its namespace need not exist yet."""
        namespace = obj.get("metadata", {}).get("namespace", "") if resource.namespaced else ""
        obj = admission.check_shape(resource, meta.copy(obj), namespace)
        metadata = obj["metadata"]
        _name(resource, metadata)
        metadata.setdefault("uid", meta.new_uid())
        metadata.setdefault("creationTimestamp", meta.now())
        if _counts_generations(resource):
            metadata.setdefault("generation", 1)
        options = Options(validation="Strict", manager="seed")
        if self._cluster.store.get(resource.key, namespace, metadata["name"]) is not None:
            raise already_exists(resource.plural, resource.group, metadata["name"])
        admission.admit(resource, obj, options)
        if resource.kind == crds.CRD_KIND:
            crds.establish(obj)
        return self._store_new(resource, obj, actor, options, "create", ())

    def establish(self, resource: ResourceType, stored: Stored, actor: Actor) -> None:
        """Serve the kind of a definition, and say so in its status."""
        obj: Object = meta.copy(stored.obj)
        crds.establish(obj)
        self._store_next(resource, obj, actor, "update", "status", ())

    def _store_new(
        self,
        resource: ResourceType,
        obj: Object,
        actor: Actor,
        options: Options,
        verb: str,
        warnings: tuple[str, ...],
    ) -> Outcome:
        if resource.kind == crds.CRD_KIND:
            finalizers = obj["metadata"].setdefault("finalizers", [])
            if _CRD_CLEANUP not in finalizers:
                finalizers.append(_CRD_CLEANUP)
        if options.dry_run:
            return Outcome(Stored(obj, self._cluster.store.version), warnings, created=True)
        kept = to_storage(resource, obj, self._cluster.stored_version(resource))
        stored = self._cluster.store.put(resource.key, kept)
        if resource.kind == crds.CRD_KIND and crds.is_established(kept):
            self._cluster.serve(kept)
        self._cluster.record(verb, actor, kept)
        return Outcome(present(resource, stored), warnings, created=True)

    def replace(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        body: Any,
        actor: Actor,
        options: Options,
        subresource: str = "",
    ) -> Outcome:
        """PUT an object, or its status. 409 on a stale resourceVersion or another uid."""
        obj = admission.check_shape(resource, body, namespace, name)
        before = self._cluster.find(resource, namespace, name)
        if not obj["metadata"].get("resourceVersion"):
            if (resource.custom or resource.kind in _CONDITIONAL_ONLY) and not subresource:
                why = cause(
                    "FieldValueInvalid",
                    "metadata.resourceVersion",
                    "Invalid value: 0: must be specified for an update",
                )
                raise invalid(resource.kind, resource.group, name, [why])
            obj["metadata"]["resourceVersion"] = str(before.version)
        return self.update(resource, before, obj, actor, options, subresource=subresource, verb="update")

    def patch(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        patch: tuple[str, Any],
        actor: Actor,
        options: Options,
        subresource: str = "",
    ) -> Outcome:
        """Apply a patch, given as (content type, body), to an object or its status."""
        content_type, body = patch
        if content_type in APPLY_PATCHES:
            return self._apply(resource, namespace, name, body, actor, options, subresource)
        before = self._cluster.find(resource, namespace, name)
        patched = _patched(resource, before, content_type, body)
        obj = admission.check_shape(resource, patched, namespace, name)
        return self.update(resource, before, obj, actor, options, subresource=subresource, verb="patch")

    def _apply(
        self,
        resource: ResourceType,
        namespace: str,
        name: str,
        body: Any,
        actor: Actor,
        options: Options,
        subresource: str,
    ) -> Outcome:
        config = admission.check_shape(resource, body, namespace, name)
        if config["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        schema = admission.schema_of(resource)
        stored = self._cluster.store.get(resource.key, namespace, name)
        if stored is None:
            created = apply.apply(None, config, schema, options.manager, force=options.force)
            return self.create(resource, namespace, created, actor, options, verb="patch")
        before = present(resource, stored)
        wanted_version = config["metadata"].pop("resourceVersion", None)
        applied = apply.apply(
            before.obj, config, schema, options.manager, force=options.force, subresource=subresource
        )
        if wanted_version:
            applied["metadata"]["resourceVersion"] = wanted_version
        return self.update(
            resource, before, applied, actor, options, subresource=subresource, verb="patch", owned=True
        )

    def update(
        self,
        resource: ResourceType,
        before: Stored,
        obj: Object,
        actor: Actor,
        options: Options,
        *,
        subresource: str = "",
        verb: str = "update",
        owned: bool = False,
    ) -> Outcome:
        """Store the next state of an object. `owned`: its managedFields are up to date already."""
        old = before.obj
        carried.check_preconditions(resource, before, obj)
        carried.carry_over(resource, old, obj, subresource)
        known = old
        if before.version <= self._cluster.redefined.get(resource.key, -1):
            known = admission.forget_undeclared(resource, old, obj)
        warnings = admission.admit(resource, obj, options, known=known)
        causes = carried.check_finalizers(old, obj)
        if not resource.custom and not subresource:
            causes += rules.check_update(old, obj)
        if resource.kind == crds.CRD_KIND and not subresource:
            causes += crds.check_update(old, obj)
        if causes:
            raise invalid(resource.kind, resource.group, old["metadata"]["name"], causes)
        self.guard(resource, obj, actor)
        if not subresource:
            webhooks.review(self._cluster.webhooks, resource, obj)
        if resource.kind == crds.CRD_KIND and not subresource and crds.is_established(old):
            _keep_established(obj)
        if _counts_generations(resource) and not subresource and _generation_moved(resource, old, obj):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if not owned:
            apply.track(old, obj, admission.schema_of(resource), options.manager, subresource)
        if obj == old:
            return Outcome(before, warnings)
        if options.dry_run:
            return Outcome(Stored(obj, before.version), warnings)
        return self._store_next(resource, obj, actor, verb, subresource, warnings)

    def _store_next(
        self,
        resource: ResourceType,
        obj: Object,
        actor: Actor,
        verb: str,
        subresource: str,
        warnings: tuple[str, ...],
    ) -> Outcome:
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        kept = to_storage(resource, obj, self._cluster.stored_version(resource))
        stored = self._cluster.store.put(resource.key, kept)
        finished = is_finished(resource, kept)
        if finished:
            stored = self._cluster.store.remove(resource.key, namespace, name)
            if resource.kind == crds.CRD_KIND:
                self._cluster.withdraw(kept)
        elif resource.kind == crds.CRD_KIND and crds.is_established(kept):
            self._cluster.serve(kept)
        self._cluster.record(verb, actor, stored.obj, subresource=subresource, removed=finished)
        return Outcome(present(resource, stored), warnings, removed=finished)


def is_finished(resource: ResourceType, obj: Object) -> bool:
    """Whether nothing holds the object any longer: being deleted, no grace left, no finalizer."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if resource.key == "/namespaces":
        return not obj.get("spec", {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _name(resource: ResourceType, metadata: Object) -> None:
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = meta.generated_name(metadata["generateName"])
    if not metadata.get("name"):
        why = cause("FieldValueRequired", "metadata.name", "Required value: name or generateName is required")
        raise invalid(resource.kind, resource.group, "", [why])


def _patched(resource: ResourceType, before: Stored, content_type: str, body: Any) -> Any:
    """The object with the patch applied; of a merge patch it shares with the stored one what did not change.

    Admission changes objects in place, but nothing that equals what was admitted before. Definitions are its exception.
    """
    if content_type == JSON_PATCH:
        return patches.json_patch(before.obj, body)
    if not isinstance(body, dict):
        raise bad_request("the patch is not an object")
    if content_type == MERGE_PATCH and resource.kind != crds.CRD_KIND:
        return patches.merge_patch({**before.obj, "metadata": dict(before.obj["metadata"])}, body)
    target = meta.copy(before.obj)
    if content_type == MERGE_PATCH:
        return patches.merge_patch(target, body)
    if content_type == STRATEGIC_PATCH and not resource.custom:
        return strategic_merge(target, body, admission.schema_of(resource))
    accepted = [JSON_PATCH, MERGE_PATCH, *sorted(APPLY_PATCHES)]
    raise unsupported_media(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )


def _counts_generations(resource: ResourceType) -> bool:
    return resource.custom or resource.kind in _COUNTED


def _generation_moved(resource: ResourceType, old: Object, obj: Object) -> bool:
    """Built-in kinds count their spec; custom ones everything but metadata and a separate status."""
    if not resource.custom:
        return bool(old.get("spec") != obj.get("spec"))
    ignored = {"metadata", "apiVersion", "kind"} | ({"status"} if resource.has("status") else set())
    view: Callable[[Object], Object] = lambda one: {  # noqa: E731
        name: value for name, value in one.items() if name not in ignored
    }
    return view(old) != view(obj)


def _keep_established(obj: Object) -> None:
    """A version that objects were ever stored in stays named until a migration takes it out."""
    status = obj.get("status", {})
    before = {one["type"]: one["lastTransitionTime"] for one in status.get("conditions", ())}
    stored = status.get("storedVersions", [])
    crds.establish(obj)
    newer = [one for one in obj["status"]["storedVersions"] if one not in stored]
    obj["status"]["storedVersions"] = [*stored, *newer]
    for condition in obj["status"]["conditions"]:
        condition["lastTransitionTime"] = before.get(condition["type"], condition["lastTransitionTime"])
