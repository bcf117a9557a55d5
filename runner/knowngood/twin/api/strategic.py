"""Strategic merge patch: merge lists by key as the built-in kinds' schemas say, obey the $ directives."""

from __future__ import annotations

from typing import Any

from knowngood.twin.api.errors import bad_request
from knowngood.twin.api.schemas import property_schema, resolve
from knowngood.twin.values import Object

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_VALUES = "$deleteFromPrimitiveList/"


def strategic_merge(target: Any, patch: Object, schema: Object) -> Object:
    """Return target with the patch applied. `schema` is the (resolved) schema of the object at this level."""
    match patch.get(_DIRECTIVE):
        case "replace":
            return {name: value for name, value in patch.items() if name != _DIRECTIVE}
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise bad_request(f"unknown $patch directive {other!r}")
    result: Object = dict(target) if isinstance(target, dict) else {}
    if _RETAIN in patch:
        result = {name: value for name, value in result.items() if name in patch[_RETAIN]}
    for name, value in patch.items():
        if name.startswith(_DELETE_VALUES):
            field = name.removeprefix(_DELETE_VALUES)
            result[field] = [one for one in result.get(field) or [] if one not in value]
        elif not name.startswith("$"):
            _merge_field(result, name, value, schema)
    for name, order in patch.items():
        if name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            if isinstance(result.get(field), list):
                result[field] = _ordered(result[field], order, _merge_key(_declared(schema, field)))
    return result


def _merge_field(result: Object, name: str, value: Any, schema: Object) -> None:
    if value is None:
        result.pop(name, None)
    elif isinstance(value, dict):
        sub = property_schema(schema, name)
        if value.get(_DIRECTIVE) == "delete":
            result.pop(name, None)
        else:
            result[name] = strategic_merge(result.get(name), value, sub or {})
    elif isinstance(value, list):
        declared = _declared(schema, name)
        if "merge" in declared.get("x-kubernetes-patch-strategy", "").split(","):
            result[name] = _merge_list(result.get(name) or [], value, declared)
        else:
            result[name] = value
    else:
        result[name] = value


def _declared(schema: Object, name: str) -> Object:
    """Return the field's own declaration, where strategy and merge key are written."""
    declared: Object = resolve(schema).get("properties", {}).get(name, {})
    return declared


def _merge_key(declared: Object) -> str | None:
    key: str | None = declared.get("x-kubernetes-patch-merge-key")
    return key


def _merge_list(target: list[Any], patch: list[Any], declared: Object) -> list[Any]:
    key = _merge_key(declared)
    if key is None:  # a list of plain values is a set
        return target + [value for value in patch if value not in target]
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [item for item in patch if item.get(_DIRECTIVE) != "replace"]
    result = list(target)
    schema = resolve(declared.get("items", {}))
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item!r} does not contain declared merge key: {key}")
        found = [index for index, present in enumerate(result) if present.get(key) == item[key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [present for present in result if present.get(key) != item[key]]
        elif found:
            result[found[0]] = strategic_merge(result[found[0]], item, schema)
        else:
            result.append(strategic_merge({}, item, schema))
    return result


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Put the items named in `order` into that order; all others keep their places."""
    wanted = order if key is None else [one.get(key) for one in order]
    identities = [item if key is None else item.get(key) for item in items]
    ranked = sorted(
        (index for index, identity in enumerate(identities) if identity in wanted),
        key=lambda index: wanted.index(identities[index]),
    )
    sequence = iter(ranked)
    return [
        items[next(sequence)] if identity in wanted else item
        for item, identity in zip(items, identities, strict=True)
    ]
