"""Which fields an object has, as managedFields count them: paths of `f:name`, `k:{keys}` and `v:value`."""

from __future__ import annotations

import json
from typing import Any

from knowngood.twin.api.schemas import property_schema, resolve
from knowngood.twin.values import Object

Path = tuple[str, ...]
FieldSet = frozenset[Path]

# Fields that belong to the server and are owned by nobody.
_SERVER_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "generateName",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)


def fields_of(obj: Object, schema: Object) -> FieldSet:
    """Return the paths of all fields of an object that somebody can own."""
    owned = {name: value for name, value in obj.items() if name not in {"apiVersion", "kind"}}
    metadata = {
        name: value for name, value in obj.get("metadata", {}).items() if name not in _SERVER_METADATA
    }
    if metadata:
        owned["metadata"] = metadata
    else:
        owned.pop("metadata", None)
    found: set[Path] = set()
    for name, value in owned.items():
        _collect(value, property_schema(schema, name) or {}, _declared(schema, name), (f"f:{name}",), found)
    return frozenset(found)


def _declared(schema: Object, name: str) -> Object:
    """Return the field's own declaration, where list and map types may be written."""
    declared: Object = resolve(schema).get("properties", {}).get(name, {})
    return declared


def _collect(value: Any, schema: Object, declared: Object, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and value and not _is_atomic_map(schema, declared):
        for name, entry in value.items():
            sub = property_schema(schema, name) or {}
            _collect(entry, sub, _declared(schema, name), (*path, f"f:{name}"), found)
    elif isinstance(value, list) and list_type(schema, declared) == "map":
        items = resolve(schema.get("items", {}))
        keys = list_keys(schema, declared)
        for entry in value:
            here = (*path, item_key(entry, keys))
            found.add(here)
            _collect(entry, items, {}, here, found)
    elif isinstance(value, list) and list_type(schema, declared) == "set":
        found.update((*path, value_key(entry)) for entry in value)
    else:
        found.add(path)


def _is_atomic_map(schema: Object, declared: Object) -> bool:
    return "atomic" in (schema.get("x-kubernetes-map-type"), declared.get("x-kubernetes-map-type"))


def list_type(schema: Object, declared: Object) -> str:
    """Return map, set or atomic; lists are atomic where nothing is said."""
    kind: str = declared.get("x-kubernetes-list-type") or schema.get("x-kubernetes-list-type") or "atomic"
    return kind


def list_keys(schema: Object, declared: Object) -> tuple[str, ...]:
    """Return the fields that tell a map list's items apart."""
    keys = declared.get("x-kubernetes-list-map-keys") or schema.get("x-kubernetes-list-map-keys") or ()
    return tuple(keys)


# Keys that the API fills where they are left out.
_KEY_DEFAULTS = {"protocol": "TCP"}


def item_key(entry: Object, keys: tuple[str, ...]) -> str:
    """Return `k:{...}` for an item of a map list."""
    named = {key: entry.get(key, _KEY_DEFAULTS.get(key)) for key in sorted(keys)}
    return "k:" + json.dumps({key: value for key, value in named.items() if value is not None})


def value_key(value: Any) -> str:
    """Return `v:...` for an item of a set."""
    return "v:" + json.dumps(value, sort_keys=True)


def find(obj: Any, path: Path, missing: Any = None) -> Any:
    """Return the value at a path, or `missing`."""
    value = obj
    for part in path:
        kind, text = part[:2], part[2:]
        if kind == "f:" and isinstance(value, dict) and text in value:
            value = value[text]
        elif kind == "k:" and isinstance(value, list):
            keys = json.loads(text)
            matching = [entry for entry in value if item_key(entry, tuple(keys)) == part]
            if not matching:
                return missing
            value = matching[0]
        elif kind == "v:" and isinstance(value, list) and json.loads(text) in value:
            value = json.loads(text)
        else:
            return missing
    return value


def delete(obj: Any, path: Path) -> None:
    """Remove the value at a path, in place; nothing happens where there is none."""
    parent = find(obj, path[:-1])
    kind, text = path[-1][:2], path[-1][2:]
    if kind == "f:" and isinstance(parent, dict):
        parent.pop(text, None)
    elif kind == "k:" and isinstance(parent, list):
        keys = tuple(json.loads(text))
        parent[:] = [entry for entry in parent if item_key(entry, keys) != path[-1]]
    elif kind == "v:" and isinstance(parent, list):
        parent[:] = [entry for entry in parent if value_key(entry) != path[-1]]


def to_fields_v1(fields: FieldSet) -> Object:
    """Return the nested form that managedFields carry."""
    root: Object = {}
    for path in sorted(fields):
        node = root
        for part in path:
            node = node.setdefault(part, {})
    for path in fields:
        node = root
        for part in path:
            node = node[part]
        if node:
            node["."] = {}
    return root


def from_fields_v1(nested: Object) -> FieldSet:
    """Read the nested form."""
    found: set[Path] = set()

    def walk(node: Object, path: Path) -> None:
        if not node or "." in node:
            found.add(path)
        for part, child in node.items():
            if part != ".":
                walk(child, (*path, part))

    for part, child in nested.items():
        walk(child, (part,))
    return frozenset(found)


def readable(path: Path) -> str:
    """Return the path as conflicts show it: .spec.containers[name="a"].image."""
    text = ""
    for part in path:
        kind, rest = part[:2], part[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            pairs = (f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            text += f"[{','.join(pairs)}]"
        else:
            text += f"[={rest}]"
    return text
