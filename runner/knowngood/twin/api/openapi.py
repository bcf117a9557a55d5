"""OpenAPI v3, as far as kubectl reads it: schemas, and which operations take `fieldValidation`."""

from __future__ import annotations

import hashlib

from knowngood.twin.api import schemas
from knowngood.twin.api.errors import no_such_path
from knowngood.twin.api.resources import Resources, ResourceType
from knowngood.twin.api.store import encode
from knowngood.twin.api.writes import APPLY_PATCHES, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from knowngood.twin.values import Object

V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_COMPONENTS = "#/components/schemas/"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
# Marks of our own that must not leave the house.
_PRIVATE = frozenset({"x-closed"})


class OpenApi:
    """Answers /openapi/v3 and its documents; each is made once for what is served then."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._documents: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def index(self) -> Object:
        """Return the list of documents; the hash in each address tells clients when to read it again."""
        paths: Object = {}
        for path in self._group_versions():
            names = ",".join(self._kinds(path)).encode()
            digest = hashlib.sha256(names).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def document(self, path: str) -> bytes:
        """Return the document of one group version, named `api/v1` or `apis/<group>/<version>`."""
        if path not in self._group_versions():
            raise no_such_path()
        key = (path, self._kinds(path))
        if key not in self._documents:
            self._documents[key] = encode(self._build(path))
        return self._documents[key]

    def _group_versions(self) -> list[str]:
        return sorted({_path(one) for one in self._resources})

    def _served(self, path: str) -> list[ResourceType]:
        return [one for one in self._resources if _path(one) == path]

    def _kinds(self, path: str) -> tuple[str, ...]:
        """Name what a document describes; a custom kind with its definition's generation, which may move."""
        return tuple(f"{one.kind}-{one.origin}" for one in self._served(path))

    def _build(self, path: str) -> Object:
        components: dict[str, Object] = {}
        paths: Object = {}
        for resource in self._served(path):
            name = _component(resource)
            _collect(name, resource.schema, components)
            kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
            components[name] = {**components[name], "x-kubernetes-group-version-kind": [kind]}
            paths |= _operations(path, resource, name, kind)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": f"v1.{schemas.KUBERNETES_MINOR}"},
            "paths": paths,
            "components": {"schemas": components},
        }


def _path(resource: ResourceType) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _component(resource: ResourceType) -> str:
    if resource.custom:
        return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])
    return schemas.definition_name(resource.api_version, resource.kind) or resource.kind


def _collect(name: str, schema: Object | None, components: dict[str, Object]) -> None:
    """Add a schema, and all it refers to, to the components."""
    waiting = [(name, schema or schemas.definitions().get(name, {"type": "object"}))]
    while waiting:
        current, found = waiting.pop()
        if current in components:
            continue
        needed: set[str] = set()
        components[current] = _translate(found, needed)
        waiting += [(one, schemas.definitions()[one]) for one in sorted(needed)]


def _translate(schema: Object, needed: set[str]) -> Object:
    """Return a JSON schema as OpenAPI 3.0 writes it: one type, references beside nothing else."""
    result: Object = {}
    for key, value in schema.items():
        if key == "$ref":
            target = value.removeprefix(schemas.REF)
            needed.add(target)
            result["allOf"] = [{"$ref": _COMPONENTS + target}]
        elif key == "type":
            kinds = schemas.types(schema)
            result["type"] = kinds[0] if kinds else "object"
        elif key == "properties":
            result[key] = {name: _translate(sub, needed) for name, sub in value.items()}
        elif key in {"items", "additionalProperties", "not"} and isinstance(value, dict):
            result[key] = _translate(value, needed)
        elif key in {"allOf", "anyOf", "oneOf"}:
            result[key] = [_translate(sub, needed) for sub in value]
        elif key not in _PRIVATE:
            result[key] = value
    if set(result) == {"allOf"} and len(result["allOf"]) == 1:
        return dict(result["allOf"][0])
    return result


def _operations(path: str, resource: ResourceType, component: str, kind: Object) -> Object:
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"/{path}{scope}/{resource.plural}"
    create = _operation("post", component, kind, ["application/json"])
    if not resource.persisted:
        return {collection: {"post": create}}
    patches = [JSON_PATCH, MERGE_PATCH, *sorted(APPLY_PATCHES)]
    if not resource.custom:
        patches.append(STRATEGIC_PATCH)
    item = {
        "get": _operation("get", component, kind, []),
        "put": _operation("put", component, kind, ["application/json"]),
        "patch": _operation("patch", component, kind, patches),
        "delete": _operation("delete", component, kind, []),
    }
    return {
        collection: {"get": _operation("list", component, kind, []), "post": create},
        f"{collection}/{{name}}": item,
    }


def _operation(action: str, component: str, kind: Object, content_types: list[str]) -> Object:
    reference = {"schema": {"$ref": _COMPONENTS + component}}
    operation: Object = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
        "responses": {"200": {"description": "OK", "content": {"application/json": reference}}},
    }
    if content_types:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _PARAMETERS
        ]
        operation["requestBody"] = {"content": dict.fromkeys(content_types, reference)}
    return operation
