"""A schema as a function: True only for what is certainly valid, in microseconds.

jsonschema explains, takes 0.1 s to import and half a millisecond a file. Nearly every file is right, so it is asked
only about the others. An unknown keyword, or a value that this module is not sure about, is a plain False: then
jsonschema decides. A test shows on random values that nothing passes here that jsonschema refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from knowngood.model.values import Object, Values

Check = Callable[[Any], bool]
Schema = Values

ANNOTATIONS = {"$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples"}
_LOCAL = "#/$defs/"


def compiled(schema: Any, root: Schema | None = None) -> Check:
    """The check of a schema; `root` is where its `$ref`s point."""
    if isinstance(schema, bool):
        return _always if schema else _never
    within = schema if root is None else root
    checks: list[Check] = []
    for keyword, wanted in schema.items():
        if keyword in ANNOTATIONS:
            continue
        make = _KEYWORDS.get(keyword)
        if make is None:
            return _never
        checks.append(make(wanted, schema, within))
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


def _always(_value: Any) -> bool:
    return True


def _never(_value: Any) -> bool:
    return False


def _type(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    kinds = {kind for name in names for kind in _TYPES[name]}
    return lambda value: type(value) in kinds


def _enum(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    """Texts only: 0, 0.0 and False are each other's equals in Python."""
    words = {w for w in wanted if isinstance(w, str)}
    return lambda value: type(value) is str and value in words


def _const(wanted: Any, schema: Schema, root: Schema) -> Check:
    return _enum([wanted], schema, root)


def _required(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    names = frozenset(wanted)
    return lambda value: type(value) is not dict or names <= value.keys()


def _properties(wanted: Any, _schema: Schema, root: Schema) -> Check:
    checks = {name: compiled(schema, root) for name, schema in wanted.items()}

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return True
        return all(checks[name](child) for name, child in value.items() if name in checks)

    return check


def _additional(wanted: Any, schema: Schema, root: Schema) -> Check:
    known = frozenset(schema.get("properties", ()))
    if "patternProperties" in schema:
        return _never
    if wanted is False:
        return lambda value: type(value) is not dict or value.keys() <= known
    rest = compiled(wanted, root)
    return lambda value: (
        type(value) is not dict or all(rest(child) for name, child in value.items() if name not in known)
    )


def _names(wanted: Any, _schema: Schema, root: Schema) -> Check:
    check = compiled(wanted, root)
    return lambda value: type(value) is not dict or all(check(name) for name in value)


def _items(wanted: Any, schema: Schema, root: Schema) -> Check:
    if "prefixItems" in schema:
        return _never
    check = compiled(wanted, root)
    return lambda value: type(value) is not list or all(check(item) for item in value)


def _unique(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    """Texts only; other lists are for jsonschema to compare."""
    if not wanted:
        return _always
    return lambda value: (
        type(value) is not list
        or (all(type(item) is str for item in value) and len(set(value)) == len(value))
    )


def _size(
    kind: type[str] | type[list[Any]] | type[Object], *, least: bool
) -> Callable[[Any, Schema, Schema], Check]:
    def make(wanted: Any, _schema: Schema, _root: Schema) -> Check:
        if least:
            return lambda value: type(value) is not kind or len(value) >= wanted
        return lambda value: type(value) is not kind or len(value) <= wanted

    return make


def _bound(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Schema, Schema], Check]:
    def make(wanted: Any, _schema: Schema, _root: Schema) -> Check:
        return lambda value: type(value) not in (int, float) or holds(value, wanted)

    return make


def _pattern(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    search = re.compile(wanted).search
    return lambda value: type(value) is not str or search(value) is not None


def _reference(wanted: Any, _schema: Schema, root: Schema) -> Check:
    """Resolved when it is first used: a definition may refer to itself."""
    name = str(wanted).removeprefix(_LOCAL)
    if not str(wanted).startswith(_LOCAL) or name not in root.get("$defs", {}):
        return _never
    made: list[Check] = []

    def check(value: Any) -> bool:
        if not made:
            made.append(compiled(root["$defs"][name], root))
        return made[0](value)

    return check


def _all_of(wanted: Any, _schema: Schema, root: Schema) -> Check:
    checks = [compiled(schema, root) for schema in wanted]
    return lambda value: all(check(value) for check in checks)


def _any_of(wanted: Any, _schema: Schema, root: Schema) -> Check:
    checks = [compiled(schema, root) for schema in wanted]
    return lambda value: any(check(value) for check in checks)


def _exact(schema: Any) -> bool:
    """Whether our check of a schema is also certain of a No: it asks for keys or their texts only."""
    if not isinstance(schema, dict):
        return False
    parts = {"not": [schema.get("not")], **{k: schema.get(k, []) for k in ("anyOf", "allOf")}}
    parts["properties"] = list(schema.get("properties", {}).values())
    inner = [part for k in schema for part in parts.get(k, [])]
    text = isinstance(schema.get("const", ""), str)
    return text and schema.keys() <= {"required", "const", *parts} and all(_exact(part) for part in inner)


def _not(wanted: Any, _schema: Schema, root: Schema) -> Check:
    check = compiled(wanted, root)
    return (lambda value: not check(value)) if _exact(wanted) else _never


def _if(wanted: Any, schema: Schema, root: Schema) -> Check:
    holds, then, other = (
        compiled(s, root) for s in (wanted, schema.get("then", True), schema.get("else", True))
    )
    return (lambda value: (then if holds(value) else other)(value)) if _exact(wanted) else _never


def _of_if(_wanted: Any, _schema: Schema, _root: Schema) -> Check:
    """`then` and `else` are looked at with their `if`; without one they mean nothing."""
    return _always


def _dependent(wanted: Any, _schema: Schema, _root: Schema) -> Check:
    needs = {name: frozenset(others) for name, others in wanted.items()}
    return lambda value: (
        type(value) is not dict or all(need <= value.keys() for name, need in needs.items() if name in value)
    )


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_KEYWORDS: dict[str, Callable[[Any, Schema, Schema], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "uniqueItems": _unique,
    "minItems": _size(list, least=True),
    "maxItems": _size(list, least=False),
    "minProperties": _size(dict, least=True),
    "maxProperties": _size(dict, least=False),
    "minLength": _size(str, least=True),
    "maxLength": _size(str, least=False),
    "minimum": _bound(lambda value, wanted: value >= wanted),
    "maximum": _bound(lambda value, wanted: value <= wanted),
    "exclusiveMinimum": _bound(lambda value, wanted: value > wanted),
    "exclusiveMaximum": _bound(lambda value, wanted: value < wanted),
    "pattern": _pattern,
    "$ref": _reference,
    "allOf": _all_of,
    "anyOf": _any_of,
    "dependentRequired": _dependent,
    "not": _not,
    "if": _if,
    "then": _of_if,
    "else": _of_if,
}
"""`oneOf`, and most of `not` and `if`, need a check that is certain of a No: jsonschema answers these."""
