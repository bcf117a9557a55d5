"""A schema's findings in words a person can act on: what is wrong, what was expected, what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from knowngood.matrix.yaml_text import Mapping, Node, Sequence, at
from knowngood.model.errors import Location, Problem

RULE = "KG002"


def problems(schema: Draft202012Validator, found: Any, node: Node, file: str) -> Iterator[Problem]:
    """Each finding at its place in the tree."""
    for error in sorted(schema.iter_errors(found), key=lambda e: [str(p) for p in e.absolute_path]):
        yield from _explain(error, node, file)


@dataclass(frozen=True, slots=True)
class _Words:
    message: str
    expected: str
    hint: str


def _explain(error: ValidationError, root: Node, file: str) -> Iterator[Problem]:
    """One problem (several for several unknown keys) in plain words."""
    node = _node(root, error.absolute_path)
    name = ".".join(str(p) for p in error.absolute_path)
    rule = _rule(error)
    if rule == "additionalProperties" and isinstance(node, Mapping):
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        for key, _ in node.entries:
            if key.text not in known:
                where = Location(file, key.span.line, key.span.column)
                expected = f"known keys are {', '.join(known)}"
                hint = _guess(key.text, known) or "remove it, or use one of the known keys"
                yield Problem(where, f"unknown key {key.text!r}", RULE, hint, expected=expected)
        return
    if rule == "propertyNames":
        node = _key(node, str(error.instance))
    words = _words(error, rule, name or "the file")
    yield Problem(at(node, file), words.message, RULE, words.hint, expected=words.expected)


def _rule(error: ValidationError) -> str:
    """The keyword that failed; `propertyNames` for whatever is wrong with a key."""
    return "propertyNames" if "propertyNames" in error.absolute_schema_path else str(error.validator)


def _words(error: ValidationError, rule: str, name: str) -> _Words:
    found: Any = error.instance
    wanted: Any = error.validator_value
    described = _described(error.schema)
    if rule == "required":
        missing = error.message.removesuffix(" is a required property").strip("'")
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        meaning = _described(known.get(missing, {})) or f"{missing} in {name}"
        return _Words(f"the key {missing!r} is missing in {name}", meaning, f"add {missing!r}")
    if rule == "type":
        kinds = " or ".join(_KINDS[t] for t in ([wanted] if isinstance(wanted, str) else wanted))
        message = f"{name} must be {kinds}, not {_shown(found)}"
        unquote = isinstance(found, str) and kinds not in ("text", "a list", "keys and values")
        return _Words(message, described or kinds, f"write {kinds}{', without quotes' if unquote else ''}")
    if rule == "enum":
        choices = [str(w) for w in wanted]
        message = f"{name} is {_shown(found)}; allowed are {', '.join(choices)}"
        hint = _guess(str(found), choices) or "write one of the allowed values"
        return _Words(message, described or f"one of {', '.join(choices)}", hint)
    if rule in _LIMITS:
        size = f"{len(found)} characters long" if rule == "maxLength" else _shown(found)
        limit = f"{_LIMITS[rule]} {wanted}"
        return _Words(f"{name} is {size}; it must be {limit}", described or limit, "change the value")
    message, expected, hint = _FIXED.get(rule, ("{name}: {error}", "", "see docs/matrix.md for the keys"))
    message = message.format(name=name, found=_shown(found), error=error.message[:200])
    return _Words(message, described or expected or error.message[:200], hint)


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "maxLength": "at most",
    "maxItems": "no longer than",
    "maxProperties": "no longer than",
}
_NAME = "lower case letters, digits, dots and hyphens"
_FIXED = {  # keyword: message, what was expected where the schema describes nothing, what to do
    "propertyNames": ("{found} can't be a key of {name}", _NAME, f"rename the key: {_NAME}"),
    "pattern": (
        "{name} is {found}, which does not look right",
        _NAME,
        "write it in the form that is expected",
    ),
    "const": ("{name} is {found}, which does not go with the others", "", "write what is expected"),
    "uniqueItems": ("{name} holds the same value twice", "each value once", "keep one of them"),
    "minItems": ("{name} is empty", "at least one value", "add one"),
    "minProperties": ("{name} is empty", "at least one key", "add one"),
    "minLength": ("{name} is empty", "some text", "write it, or leave the key out where it is optional"),
}


def _described(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, dict) else ""


def _shown(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _guess(word: str, known: list[str]) -> str:
    """Long words are not compared: that takes time by the square of their length."""
    close = difflib.get_close_matches(word[:64], known, n=1, cutoff=0.6)
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
    found = node.entry(name) if isinstance(node, Mapping) else None
    return found[0] if found else node
