"""Server-side apply: who owns which field, conflicts, and the merge.

Ownership is kept from an object's first apply on; before that one manager, `before-first-apply`, is taken
to own all of it, which is what a real server does with objects that have no managedFields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from knowngood.twin.api import field_sets
from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.field_sets import FieldSet, Path
from knowngood.twin.api.meta import copy, now
from knowngood.twin.api.schemas import property_schema, resolve
from knowngood.twin.values import Object

FIRST_MANAGER = "before-first-apply"
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Entry:
    """One managedFields entry."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells entries apart."""
        return (self.manager, self.operation, self.subresource)


def _entries(obj: Object) -> list[Entry]:
    return [
        Entry(
            one.get("manager", ""),
            one.get("operation", ""),
            one.get("apiVersion", ""),
            one.get("subresource", ""),
            one.get("time", ""),
            field_sets.from_fields_v1(one.get("fieldsV1", {})),
        )
        for one in obj["metadata"].get("managedFields", ())
    ]


def _write_entries(obj: Object, entries: list[Entry]) -> None:
    obj["metadata"]["managedFields"] = [
        {
            "manager": one.manager,
            "operation": one.operation,
            "apiVersion": one.api_version,
            "time": one.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": field_sets.to_fields_v1(one.fields),
        }
        | ({"subresource": one.subresource} if one.subresource else {})
        for one in entries
        if one.fields
    ]


def apply(
    live: Object | None, config: Object, schema: Object, manager: str, *, force: bool, subresource: str = ""
) -> Object:
    """Return the object that results when the manager applies its configuration onto the live one.

    Raises ApiError 409 with one cause a field where another manager owns a field that would change.
    """
    wanted = field_sets.fields_of(config, schema)
    mine = Entry(manager, "Apply", config["apiVersion"], subresource, now(), wanted)
    if live is None:
        result: Object = copy(config)
        _write_entries(result, [mine])
        return result
    entries = _entries(live)
    if not entries:
        everything = field_sets.fields_of(live, schema)
        entries = [Entry(FIRST_MANAGER, "Update", live["apiVersion"], "", now(), everything)]
    others = [one for one in entries if one.identity != mine.identity]
    earlier = next((one.fields for one in entries if one.identity == mine.identity), frozenset())
    changing = {path for path in wanted if _differs(live, config, path)}
    if not force:
        _refuse_conflicts(changing - _applied_by_kubectl(live, schema, manager), others)
    merged = _merge(copy(live), config, schema, {})
    held_by_others: FieldSet = frozenset().union(*(one.fields for one in others))
    for path in sorted(earlier - wanted - held_by_others, key=len):  # a list item before its fields
        if not any(other[: len(path)] == path for other in held_by_others):
            field_sets.delete(merged, path)
    kept = [replace(one, fields=one.fields - changing) for one in others]
    if earlier == wanted:
        mine = replace(mine, time=next((one.time for one in entries if one.identity == mine.identity), now()))
    _write_entries(merged, [*kept, mine])
    return merged  # type: ignore[no-any-return]


def _applied_by_kubectl(live: Object, schema: Object, manager: str) -> FieldSet:
    """Return what kubectl applied from the client's side and still is so: its server-side apply may take that."""
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    if manager != KUBECTL or not text:
        return frozenset()
    try:
        applied = json.loads(text)
        fields = field_sets.fields_of(applied, schema)
    except (ValueError, AttributeError):
        return frozenset()  # an annotation that somebody else wrote
    return frozenset(path for path in fields if not _differs(live, applied, path))


_ABSENT = object()


def _differs(live: Object, config: Object, path: Path) -> bool:
    if path[-1].startswith("k:"):
        return field_sets.find(live, path, _ABSENT) is _ABSENT
    return bool(field_sets.find(live, path, _ABSENT) != field_sets.find(config, path))


def _refuse_conflicts(changing: set[Path], others: list[Entry]) -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{one.manager}" using {one.api_version}',
            "field": field_sets.readable(path),
        }
        for one in others
        for path in sorted(changing & one.fields)
    ]
    if causes:
        plural = "" if len(causes) == 1 else "s"
        lines = "\n".join(f"- {cause['message']}: {cause['field']}" for cause in causes)
        message = f"Apply failed with {len(causes)} conflict{plural}: {lines}"
        raise ApiError(409, "Conflict", message, details={"causes": causes})


def _merge(live: Any, config: Any, schema: Object, declared: Object) -> Any:
    if isinstance(live, dict) and isinstance(config, dict):
        if "atomic" in (schema.get("x-kubernetes-map-type"), declared.get("x-kubernetes-map-type")):
            return config
        for name, value in config.items():
            sub = property_schema(schema, name) or {}
            own = resolve(schema).get("properties", {}).get(name, {})
            live[name] = _merge(live[name], value, sub, own) if name in live else value
        return live
    if isinstance(live, list) and isinstance(config, list):
        return _merge_list(live, config, schema, declared)
    return config


def _merge_list(live: list[Any], config: list[Any], schema: Object, declared: Object) -> list[Any]:
    kind = field_sets.list_type(schema, declared)
    if kind == "set":
        return live + [value for value in config if value not in live]
    if kind != "map":
        return config
    keys = field_sets.list_keys(schema, declared)
    items = resolve(schema.get("items", {}))
    result = list(live)
    for entry in config:
        identity = field_sets.item_key(entry, keys)
        found = [index for index, one in enumerate(result) if field_sets.item_key(one, keys) == identity]
        if found:
            result[found[0]] = _merge(result[found[0]], entry, items, {})
        else:
            result.append(entry)
    return result


def track(before: Object, after: Object, schema: Object, manager: str, subresource: str = "") -> None:
    """Note, in `after`, that the manager changed fields of an object somebody has applied to."""
    entries = _entries(before)
    if not entries:
        return
    had, has = field_sets.fields_of(before, schema), field_sets.fields_of(after, schema)
    changed = frozenset(
        path
        for path in has
        if path not in had or field_sets.find(before, path) != field_sets.find(after, path)
    )
    gone = had - has
    mine = Entry(manager, "Update", after["apiVersion"], subresource, now(), changed)
    kept = []
    for one in entries:
        if one.identity == mine.identity:
            mine = replace(
                mine, fields=(one.fields - gone) | changed, time=mine.time if changed else one.time
            )
        else:
            kept.append(replace(one, fields=one.fields - gone - changed))
    _write_entries(after, [*kept, mine])
