"""Makes an incoming object fit to be stored: unknown fields, defaults, schema and rules."""

from __future__ import annotations

import json
from typing import Any

from knowngood.twin.api import crds, defaults, meta, rules, schemas
from knowngood.twin.api.cluster import Cluster, Options
from knowngood.twin.api.errors import ApiError, bad_request, cause, forbidden, invalid, not_found
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.structural import prune, validate
from knowngood.twin.values import Object

_NAMESPACES = "/namespaces"


def schema_of(resource: ResourceType) -> Object:
    """Return the schema of the resource's objects."""
    return resource.schema or schemas.of_kind(resource.api_version, resource.kind) or {}


def check_shape(resource: ResourceType, body: Any, namespace: str, name: str = "") -> Object:
    """Check that a body is this kind's object and belongs where it was sent; fill in what the path says.

    A built-in kind need not say what it is; a custom one is read without knowing what it should be.
    """
    if not isinstance(body, dict):
        raise bad_request("the body of the request is not an object")
    for field, shown in (("kind", "Kind"), ("apiVersion", "apiVersion")) if resource.custom else ():
        if not body.get(field):
            raise bad_request(f"Object '{shown}' is missing in '{json.dumps(body)[:200]}'")
    for field, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if body.setdefault(field, expected) != expected:
            why = f"the {field} in the data ({body[field]}) does not match the expected {field} ({expected})"
            raise bad_request(why)
    metadata = body.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata is not an object")
    if not resource.namespaced:
        metadata.pop("namespace", None)  # meaningless there, and real clients do send one
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if name and metadata.setdefault("name", name) != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    return body


def forget_undeclared(resource: ResourceType, old: Object, new: Object) -> Object:
    """Drop from `new`, in place, what a definition replaced since then no longer declares; return `old` without it.

    Nobody sent those fields, so nobody is told.
    """
    kept: Object = meta.copy(old)
    prune(kept, schema_of(resource))
    prune(new, schema_of(resource))
    return kept


def admit(
    resource: ResourceType, obj: Object, options: Options, known: Object | None = None
) -> tuple[str, ...]:
    """Prune, fill and validate the object in place. Return warnings; raise ApiError where it is refused.

    `known`: what it was before; parts that are the same have been admitted already.

    Wrong types in a built-in kind are 400, as where Go can't decode them; all else is 422.
    """
    schema = schema_of(resource)
    unknown = prune(obj, schema, known=known)
    if unknown and options.validation == "Strict":
        fields = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(f"strict decoding error: {fields}")
    causes = validate(obj, schema, known=known)
    _refuse_wrong_types(resource, obj, causes)
    if resource.kind == crds.CRD_KIND:
        crds.fill(obj)
    elif not resource.custom:
        defaults.fill(obj)
    if causes:  # a default may have filled what was missing
        causes = validate(obj, schema, known=known)
    causes += rules.check_metadata(obj, resource)
    if not causes and resource.kind == crds.CRD_KIND:
        causes = crds.check(obj)
    elif not causes and not resource.custom:
        causes = rules.check_object(obj)
    if causes:
        raise invalid(resource.kind, resource.group, obj["metadata"]["name"], causes)
    if options.validation == "Ignore":
        return ()
    return tuple(f'unknown field "{path}"' for path in unknown)


def _refuse_wrong_types(resource: ResourceType, obj: Object, causes: list[Object]) -> None:
    wrong = [one for one in causes if one["reason"] == "FieldValueTypeInvalid"]
    if not wrong:
        return
    if resource.custom:
        raise invalid(resource.kind, resource.group, obj["metadata"].get("name", ""), wrong)
    why = ", ".join(f"{one['field']}: {one['message']}" for one in wrong)
    raise bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"json: cannot unmarshal: {why}"
    )


def check_namespace(cluster: Cluster, resource: ResourceType, obj: Object) -> None:
    """Refuse a new object in a namespace that isn't there, or is going away."""
    if not resource.namespaced:
        return
    name = obj["metadata"].get("namespace", "")
    namespace = cluster.store.get(_NAMESPACES, "", name)
    if namespace is None:
        raise not_found("namespaces", "", name)
    if meta.deleting(namespace.obj):
        why = f"unable to create new content in namespace {name} because it is being terminated"
        refusal: ApiError = forbidden(resource.plural, resource.group, obj["metadata"]["name"], why)
        refusal.details = {
            **(refusal.details or {}),
            "causes": [
                cause("NamespaceTerminating", "metadata.namespace", f"namespace {name} is being terminated")
            ],
        }
        raise refusal
