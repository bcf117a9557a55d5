"""Structural schemas: prune unknown fields, fill defaults, validate. For built-in and custom kinds alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from knowngood.twin.api.errors import cause
from knowngood.twin.api.meta import copy
from knowngood.twin.api.schemas import (
    MICRO_TIME,
    OBJECT_META,
    QUANTITY,
    TIME,
    definitions,
    resolve,
    types,
)
from knowngood.twin.values import Object

_FLAGS = re.compile(r"(?<!\\)\(\?([ims]+)\)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# As Go reads them: what does not fit can't be decoded at all. MicroTime takes six digits, no less and no more.
_DECODED = {TIME: _TIME, MICRO_TIME: re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}
_NAMES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    dict: "object",
    list: "array",
}
_RESERVED = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, schema: Object, path: str = "", known: Any = None) -> list[str]:
    """Drop unknown fields and meaningless nulls and fill defaults, in place. Return the unknown fields.

    What equals `known`, an earlier state that was pruned and filled, stays as it is.
    """
    if known is not None and value == known:
        return []
    schema = resolve(schema)
    unknown: list[str] = []
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                unknown += prune(item, items, f"{path}[{index}]")
    elif isinstance(value, dict):
        unknown = _prune_object(value, schema, path, known if isinstance(known, dict) else {})
    return unknown


def _prune_object(value: Object, schema: Object, path: str, known: Object) -> list[str]:
    properties: dict[str, Object] = schema.get("properties", {})
    _drop_nulls(value, properties)
    for name, declared in properties.items():
        if "default" in declared and name not in value:
            value[name] = copy(declared["default"])
    unknown: list[str] = []
    for name in list(value):
        where = f"{path}.{name}" if path else name
        sub = _declared(name, schema)
        if sub is not None:
            if sub.get("$ref") == QUANTITY and isinstance(value[name], int | float):
                value[name] = str(value[name])  # as a real server answers it
            unknown += prune(value[name], sub, where, known.get(name))
        elif _is_closed(schema):
            del value[name]
            unknown.append(where)
    return unknown


def _declared(name: str, schema: Object) -> Object | None:
    """Return the schema of one field, or None where it isn't declared."""
    found = schema.get("properties", {}).get(name)
    if found is None and name in _RESERVED and schema.get("x-kubernetes-embedded-resource"):
        found = definitions()[OBJECT_META] if name == "metadata" else {}
    if found is None:
        found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else None


def _drop_nulls(value: Object, properties: dict[str, Object]) -> None:
    """Null is "not said", except where a custom resource's field is nullable or the field is any value."""
    for name in [name for name, entry in value.items() if entry is None]:
        sub = properties.get(name)
        if (
            sub is not None
            and not sub.get("nullable")
            and not sub.get("x-kubernetes-preserve-unknown-fields")
        ):
            del value[name]


def _is_closed(schema: Object) -> bool:
    """Whether fields that aren't declared are dropped. A schema without any properties is a free object."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema:
        return False
    return "properties" in schema or bool(schema.get("x-closed"))


def validate(value: Any, schema: Object, path: str = "", known: Any = None) -> list[Object]:
    """Return the causes why the value breaks the schema; empty when it doesn't.

    What equals `known`, an earlier state that was valid, is valid: real servers ratchet in the same way.
    """
    if known is not None and value == known:
        return []
    reference = schema.get("$ref", "")
    if reference in _DECODED and isinstance(value, str) and not _DECODED[reference].fullmatch(value):
        return [_no_time(value, path, micro=reference == MICRO_TIME)]
    schema = resolve(schema)
    if value is None and (schema.get("nullable") or "null" in schema.get("type", ())):
        return []
    wrong = _check_type(value, schema, path)
    if wrong is not None:
        return [wrong]
    causes = _check_value(value, schema, path) + _check_combinations(value, schema, path)
    if isinstance(value, dict):
        causes += _check_object(value, schema, path, known if isinstance(known, dict) else {})
    elif isinstance(value, list):
        causes += _check_list(value, schema, path)
    return causes


def _no_time(value: str, path: str, *, micro: bool) -> Object:
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    return cause("FieldValueTypeInvalid", path, f'parsing time "{value}" as "{layout}": cannot parse')


def _check_type(value: Any, schema: Object, path: str) -> Object | None:
    if _NAMES.get(type(value), "null") in schema.get("type", ()):  # one name, or a list; most often just that
        return None
    wanted = types(schema)
    if schema.get("x-kubernetes-int-or-string"):
        wanted = ("integer", "string")
    if not wanted or any(_is_type(value, one) for one in wanted):
        return None
    shown = "null" if value is None else _type_name(value)
    message = f'Invalid value: "{shown}": {path} in body must be of type {wanted[0]}: "{shown}"'
    return cause("FieldValueTypeInvalid", path, message)


def _is_type(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if wanted == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _PYTHON_TYPES.get(wanted, ()))


def _type_name(value: Any) -> str:
    return _NAMES.get(type(value), "null")


def _invalid(path: str, value: Any, why: str) -> Object:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return cause("FieldValueInvalid", path, f"Invalid value: {shown}: {path} in body {why}")


def _check_value(value: Any, schema: Object, path: str) -> list[Object]:
    causes: list[Object] = []
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        shown = ", ".join(f'"{one}"' for one in allowed)
        message = f'Unsupported value: "{value}": supported values: {shown}'
        causes.append(cause("FieldValueNotSupported", path, message))
    if isinstance(value, str):
        causes += _check_text(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        causes += _check_number(value, schema, path)
    return causes


def _check_text(value: str, schema: Object, path: str) -> list[Object]:
    causes: list[Object] = []
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        causes.append(_invalid(path, value, f"should match '{pattern}'"))
    if len(value) > schema.get("maxLength", len(value)):
        causes.append(_invalid(path, value, f"should be at most {schema['maxLength']} chars long"))
    if len(value) < schema.get("minLength", 0):
        causes.append(_invalid(path, value, f"should be at least {schema['minLength']} chars long"))
    if schema.get("format") == "date-time" and not _TIME.fullmatch(value):
        causes.append(_invalid(path, value, "must be of type date-time"))
    return causes


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern written for Go: its \\z is Python's \\Z, its flags stand anywhere and hold from there on."""
    before, flags, after = _FLAGS.split(pattern, maxsplit=1) if _FLAGS.search(pattern) else (pattern, "", "")
    return re.compile((f"{before}(?{flags}:{after})" if flags else before).replace("\\z", "\\Z"))


def _check_number(value: float, schema: Object, path: str) -> list[Object]:
    causes: list[Object] = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (value == low and schema.get("exclusiveMinimum"))):
        causes.append(_invalid(path, value, f"should be greater than or equal to {low}"))
    if high is not None and (value > high or (value == high and schema.get("exclusiveMaximum"))):
        causes.append(_invalid(path, value, f"should be less than or equal to {high}"))
    multiple = schema.get("multipleOf")
    if multiple and value % multiple:
        causes.append(_invalid(path, value, f"should be a multiple of {multiple}"))
    return causes


def _check_combinations(value: Any, schema: Object, path: str) -> list[Object]:
    causes: list[Object] = []
    for sub in schema.get("allOf", ()):
        causes += validate(value, sub, path)
    if "anyOf" in schema and not any(not validate(value, sub, path) for sub in schema["anyOf"]):
        causes.append(_invalid(path, _type_name(value), "must validate at least one schema (anyOf)"))
    if "oneOf" in schema and sum(not validate(value, sub, path) for sub in schema["oneOf"]) != 1:
        causes.append(_invalid(path, _type_name(value), "must validate one and only one schema (oneOf)"))
    if "not" in schema and not validate(value, schema["not"], path):
        causes.append(_invalid(path, _type_name(value), "must not validate the schema (not)"))
    return causes


def _check_object(value: Object, schema: Object, path: str, known: Object) -> list[Object]:
    causes: list[Object] = []
    for name in schema.get("required", ()):
        if name not in value:
            where = f"{path}.{name}" if path else name
            causes.append(cause("FieldValueRequired", where, "Required value"))
    properties: dict[str, Object] = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    for name, entry in value.items():
        sub = properties.get(name, extra)
        if isinstance(sub, dict):
            causes += validate(entry, sub, f"{path}.{name}" if path else name, known.get(name))
    if len(value) > schema.get("maxProperties", len(value)):
        causes.append(_invalid(path, "object", f"should have at most {schema['maxProperties']} properties"))
    if len(value) < schema.get("minProperties", 0):
        causes.append(_invalid(path, "object", f"should have at least {schema['minProperties']} properties"))
    return causes


def _check_list(value: list[Any], schema: Object, path: str) -> list[Object]:
    causes: list[Object] = []
    items = schema.get("items")
    if isinstance(items, dict):
        for index, entry in enumerate(value):
            causes += validate(entry, items, f"{path}[{index}]")
    if len(value) > schema.get("maxItems", len(value)):
        causes.append(_invalid(path, len(value), f"should have at most {schema['maxItems']} items"))
    if len(value) < schema.get("minItems", 0):
        causes.append(_invalid(path, len(value), f"should have at least {schema['minItems']} items"))
    return causes + _check_unique(value, schema, path)


def _check_unique(value: list[Any], schema: Object, path: str) -> list[Object]:
    """A set holds each value once, a map each combination of its keys once."""
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: list[Any] = []
    causes: list[Object] = []
    for index, entry in enumerate(value if kind in {"set", "map"} else ()):
        identity = entry if kind == "set" or not isinstance(entry, dict) else [entry.get(key) for key in keys]
        if identity in seen:
            causes.append(cause("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {identity}"))
        seen.append(identity)
    return causes
