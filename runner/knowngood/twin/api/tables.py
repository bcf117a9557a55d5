"""The Table form of answers, which `kubectl get` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from knowngood.twin.api import durations, json_path
from knowngood.twin.api.columns import AGE, COLUMNS, NAME, Column
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object


def columns_of(resource: ResourceType) -> tuple[Column, ...]:
    """Return a kind's columns: upstream's for built-in kinds, the definition's for custom ones."""
    if not resource.custom:
        return COLUMNS.get(resource.kind, (NAME, AGE))
    own = tuple(_printer_column(one) for one in resource.columns)
    return (NAME, *own) if own else (NAME, AGE)


def _printer_column(declared: Object) -> Column:
    path, kind = declared["jsonPath"], declared["type"]

    def show(obj: Object) -> Any:
        value = json_path.find(obj, path)
        if kind == "date":
            return durations.since(value)
        return _cell(value, kind)

    return Column(declared["name"], show, wide=declared.get("priority", 0) > 0, type=kind)


def _cell(value: Any, kind: str) -> Any:
    """Return what fits the column's type; None prints as nothing."""
    if value is None or (kind == "string" and isinstance(value, str)):
        return value
    if kind in {"integer", "number", "boolean"}:
        return value if isinstance(value, bool | int | float) else None
    return str(value)


def table(resource: ResourceType, items: Iterable[Stored], metadata: Object, include: str = "") -> Object:
    """Return the Table of some objects. `include` says what goes with a row: Metadata, Object or None."""
    columns = columns_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": "string" if column.type == "date" else column.type,
                "format": "name" if column.name == "Name" else "",
                "description": column.name,
                "priority": 1 if column.wide else 0,
            }
            for column in columns
        ],
        "rows": [
            {"cells": [column.show(item.obj) for column in columns], **_row_object(item.obj, include)}
            for item in items
        ],
    }


def _row_object(obj: Object, include: str) -> Object:
    match include:
        case "None":
            return {}
        case "Object":
            return {"object": obj}
    return {"object": partial(obj)}


def partial(obj: Object) -> Object:
    """Return the metadata of an object alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
