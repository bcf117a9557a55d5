"""Schemas: typing plain scalars by them, and their findings in words a person can act on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from knowngood.matrix.locate import schema_dir
from knowngood.matrix.yamltext import Mapping, Node, Scalar, Sequence, at
from knowngood.model.errors import Location, Problem

Schema = dict[str, Any]

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}


@cache
def validator(kind: str, folder: Path | None = None) -> Draft202012Validator:
    """The validator of `component`, `release`, `rule`, `profile`, `cluster` or `evidence`."""
    path = (folder or schema_dir()) / f"{kind}.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


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
    schema = _schema(kind)
    return value(node, schema, schema)


def problems(kind: str, node: Node, file: str) -> Iterator[Problem]:
    """What the schema says against the tree, each finding at its place."""
    for error in _errors(kind, typed(kind, node)):
        yield from _explain(error, node, file)


def value_problems(kind: str, found: Any, file: str) -> Iterator[Problem]:
    """Like `problems` for JSON values without places; the messages name the path."""
    for error in _errors(kind, found):
        name = ".".join(str(p) for p in error.absolute_path) or "the file"
        message, hint = _words(error, name)
        yield Problem(Location(file), message, hint=hint)


def _errors(kind: str, found: Any) -> list[ValidationError]:
    errors: list[ValidationError] = list(validator(kind).iter_errors(found))
    return sorted(errors, key=lambda e: [str(p) for p in e.absolute_path])


def _schema(kind: str) -> Schema:
    schema = validator(kind).schema
    return schema if isinstance(schema, dict) else {}


def _resolved(schema: Any, root: Schema) -> Schema:
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        return dict(root["$defs"][reference.removeprefix("#/$defs/")])
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
        return float(text)
    if "null" in allowed and text in ("", "null", "~"):
        return None
    return text


def _explain(error: ValidationError, root: Node, file: str) -> Iterator[Problem]:
    """One problem (several for several unknown keys) in plain words."""
    node = _node(root, error.absolute_path)
    name = ".".join(str(p) for p in error.absolute_path)
    rule = _rule(error)
    if rule == "additionalProperties" and isinstance(node, Mapping):
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        for key, _ in node.entries:
            if key.text not in known:
                yield Problem(
                    Location(file, key.span.line, key.span.column),
                    f"unknown key {key.text!r}",
                    hint=_guess(key.text, known) or f"known keys are {', '.join(known)}",
                )
        return
    if rule == "propertyNames":
        node = _key(node, str(error.instance))
    message, hint = _words(error, name or "the file")
    described = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    yield Problem(at(node, file), message, hint=hint or str(described))


def _rule(error: ValidationError) -> str:
    """The keyword that failed; `propertyNames` for whatever is wrong with a key."""
    return "propertyNames" if "propertyNames" in error.absolute_schema_path else str(error.validator)


def _words(error: ValidationError, name: str) -> tuple[str, str]:
    """Message and hint; an empty hint means: the schema's own description."""
    rule = _rule(error)
    found: Any = error.instance
    wanted: Any = error.validator_value
    if rule == "required":
        missing = error.message.removesuffix(" is a required property").strip("'")
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        hint = str(known.get(missing, {}).get("description", ""))
        return f"the key {missing!r} is missing in {name}", hint
    if rule == "type":
        kinds = " or ".join(_WORDS[t] for t in ([wanted] if isinstance(wanted, str) else wanted))
        return f"{name} must be {kinds}, not {_shown(found)}", ""
    if rule == "enum":
        choices = [str(w) for w in wanted]
        return f"{name} is {_shown(found)}; allowed are {', '.join(choices)}", _guess(str(found), choices)
    if rule in _LIMITS:
        size = f"{len(found)} characters long" if rule == "maxLength" else _shown(found)
        return f"{name} is {size}; it must be {_LIMITS[rule]} {wanted}", ""
    message, hint = _FIXED.get(rule, ("{name}: {error}", ""))
    return message.format(name=name, found=_shown(found), error=error.message[:200]), hint


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "maxLength": "at most",
}
_FIXED = {
    "propertyNames": ("{found} can't be a key of {name}", "names are lower case, digits, dots and hyphens"),
    "pattern": ("{name} is {found}, which does not look right", ""),
    "uniqueItems": ("{name} holds the same value twice", "keep one of them"),
    "minItems": ("{name} is empty", ""),
    "minProperties": ("{name} is empty", ""),
    "minLength": ("{name} is empty", ""),
}


def _shown(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _guess(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""


def _node(root: Node, path: Any) -> Node:
    """The node at a path of keys and numbers, as far as it goes."""
    node = root
    for part in path:
        child = node.get(str(part)) if isinstance(node, Mapping) else None
        if isinstance(node, Sequence) and isinstance(part, int):
            child = node.items[part]
        if child is None:
            break
        node = child
    return node


def _key(node: Node, name: str) -> Node:
    if isinstance(node, Mapping):
        return next((key for key, _ in node.entries if key.text == name), node)
    return node
