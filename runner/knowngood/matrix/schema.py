"""Schemas: typing plain scalars by them, and whether the values fit. `matrix.schema_words` puts findings into words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowngood.matrix.locate import schema_dir
from knowngood.matrix.schema_function import Check, compiled
from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence
from knowngood.model.errors import Problem
from knowngood.model.values import Object

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Schema = Object

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@cache
def definition(kind: str, folder: Path | None = None) -> Schema:
    """The schema of `component`, `release`, `rule`, `profile`, `cluster` or `evidence`."""
    path = (folder or schema_dir()) / f"{kind}.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


@cache
def validator(kind: str, folder: Path | None = None) -> Draft202012Validator:
    """jsonschema's view of that schema: slow, and able to say what is wrong."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (0.1 s, needed only for a file that is wrong)

    return Draft202012Validator(definition(kind, folder))


@cache
def _quick(kind: str) -> Check:
    return compiled(definition(kind))


def value(node: Node, schema: Schema, root: Schema) -> Any:
    """JSON values of a tree. A plain scalar becomes a number or a boolean only where the schema allows one,
    and only where no character of it would be lost (`550.100` stays text); quoted ones stay text.
    """
    schema = _resolved(schema, root)
    if isinstance(node, Sequence):
        items = schema.get("items", {})
        return [value(item, items, root) for item in node.items]
    if isinstance(node, Mapping):
        return {key.text: value(child, _of_key(schema, key.text), root) for key, child in node.entries}
    return _typed(node, schema.get("type", ()))


def typed(kind: str, node: Node) -> Any:
    """The tree's JSON values, typed by the schema of that kind."""
    schema = definition(kind)
    return value(node, schema, schema)


def fits(kind: str, found: Any) -> bool:
    """Whether values are certainly valid. False means: ask `problems`."""
    return _quick(kind)(found)


def problems(kind: str, node: Node, found: Any, file: str) -> Iterator[Problem]:
    """What the schema says against `found`, the tree's typed values, each finding at its place."""
    if not fits(kind, found):
        from knowngood.matrix import schema_words  # noqa: PLC0415 (it needs jsonschema)

        yield from schema_words.problems(validator(kind), found, node, file)


def _resolved(schema: Any, root: Schema) -> Schema:
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        found: Schema = root["$defs"][reference.removeprefix("#/$defs/")]
        return found
    return schema


def _of_key(schema: Schema, key: str) -> Any:
    known = schema.get("properties", {})
    return known[key] if key in known else schema.get("additionalProperties", {})


def _typed(node: Scalar, types: Any) -> Any:
    allowed = {types} if isinstance(types, str) else set(types)
    text = node.text
    if node.style:
        return text
    if "boolean" in allowed and text in ("true", "false"):
        return text == "true"
    if allowed & {"integer", "number"} and _INTEGER.fullmatch(text) and len(text) < 16:
        return int(text)
    if (
        "number" in allowed
        and _NUMBER.fullmatch(text)
        and ("string" not in allowed or repr(float(text)) == text)
    ):
        number = float(text)
        return number if math.isfinite(number) else text
    if "null" in allowed and text in ("", "null", "~"):
        return None
    return text
