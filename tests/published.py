"""Published schemas, strictly: Kubernetes' own of built-in kinds, the vendors' definitions of custom ones.

The definitions are not part of the project: they lie in `shared/crds` beside the checkout, or where
KNOWNGOOD_CRDS says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import SchemaNotFoundError, ValidationError

DEFINITIONS = Path(os.environ.get("KNOWNGOOD_CRDS") or Path(__file__).parents[2] / "shared" / "crds")
KUBERNETES = "1.31"
needs_definitions = pytest.mark.skipif(
    not DEFINITIONS.is_dir(), reason="the vendors' definitions are not beside this checkout"
)


def definitions(group: str) -> Iterator[dict[str, Any]]:
    """The definitions of an API group, as published."""
    for file in sorted(DEFINITIONS.glob(f"{group}_*.yaml")):
        yield from (found for found in _documents(file) if found["spec"]["group"] == group)


@cache
def _documents(file: Path) -> tuple[dict[str, Any], ...]:
    loaded = yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return tuple(one for one in loaded if one and one.get("kind") == "CustomResourceDefinition")


def problems(obj: dict[str, Any]) -> list[str]:
    """What the published schema of its kind says against an object, unknown fields included."""
    try:
        kubernetes_validate.validate(obj, KUBERNETES, strict=True)
    except SchemaNotFoundError:
        return [e.message for e in _validator(obj["apiVersion"], obj["kind"]).iter_errors(obj)]
    except ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


@cache
def _validator(api_version: str, kind: str) -> Draft202012Validator:
    """The strict schema of a custom kind; a failed test names a kind that nobody published."""
    group, _, version = api_version.partition("/")
    for definition in definitions(group):
        if definition["spec"]["names"]["kind"] == kind:
            schemas = {v["name"]: v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"]}
            schema = schemas[version]
            known = {"apiVersion": {}, "kind": {}, "metadata": {}, **schema["properties"]}
            return Draft202012Validator(_strict({**schema, "properties": known}))
    raise AssertionError(f"no definition of {kind} in {api_version} is at hand")


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's schema as JSON Schema that refuses unknown fields: an API server would drop them silently."""
    made = {
        key: _strict(value) if isinstance(value, dict) and key != "properties" else value
        for key, value in schema.items()
    }
    if "properties" in schema:  # a map of names, one of which may be called so itself
        made["properties"] = {key: _strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if schema.get("nullable") is True and "type" in schema:
        made["type"] = [schema["type"], "null"]
    return made
