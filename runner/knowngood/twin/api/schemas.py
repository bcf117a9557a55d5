"""The schemas of the built-in kinds, read from the kubernetes-validate package."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from knowngood.twin.values import Object

# The Kubernetes that the twin speaks: the one below OpenShift 4.21.
KUBERNETES_MINOR = 34
REF = "#/$defs/"
QUANTITY = REF + "io.k8s.apimachinery.pkg.api.resource.Quantity"
TIME = REF + "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
MICRO_TIME = REF + "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def definitions() -> dict[str, Object]:
    """Return every definition by its name, such as io.k8s.api.core.v1.Pod. About 20 ms the first time."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise RuntimeError("the twin needs the package kubernetes-validate; install knowngood[twin]")
    folder = Path(spec.origin).parent / "kubernetes-json-schema" / f"v1.{KUBERNETES_MINOR}.0-local"
    loaded: dict[str, Object] = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))[
        "$defs"
    ]
    return loaded


@cache
def _names() -> dict[tuple[str, str], str]:
    """Map (apiVersion, kind) to the definition; kinds of every group, like DeleteOptions, are left out."""
    names: dict[tuple[str, str], str] = {}
    for name, definition in definitions().items():
        kinds = definition.get("x-kubernetes-group-version-kind", ())
        if len(kinds) == 1:
            group, version = kinds[0]["group"], kinds[0]["version"]
            names[(f"{group}/{version}" if group else version, kinds[0]["kind"])] = name
    return names


def definition_name(api_version: str, kind: str) -> str | None:
    """Return the name of the built-in kind's definition."""
    return _names().get((api_version, kind))


def of_kind(api_version: str, kind: str) -> Object | None:
    """Return the built-in kind's schema."""
    name = definition_name(api_version, kind)
    return None if name is None else definitions()[name]


def resolve(schema: Object) -> Object:
    """Follow `$ref` to the schema it names."""
    while "$ref" in schema:
        schema = definitions()[schema["$ref"].removeprefix(REF)]
    return schema


def types(schema: Object) -> tuple[str, ...]:
    """Return the JSON types a schema allows, `null` left out; empty where it doesn't say."""
    declared = schema.get("type", ())
    if isinstance(declared, str):
        return (declared,)
    return tuple(one for one in declared if one != "null")


def property_schema(schema: Object, name: str) -> Object | None:
    """Return the schema of an object's field: a property, or a map's value schema."""
    schema = resolve(schema)
    found = schema.get("properties", {}).get(name)
    if found is None:
        found = schema.get("additionalProperties")
    return resolve(found) if isinstance(found, dict) else None
