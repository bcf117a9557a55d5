"""The published schemas of what is printed as JSON: those of plain values are made from their types.

`python -m tests.schemas` writes them anew; a test holds the files to it. The others are written by hand.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from knowngood.model.jsonable import AS, Sparse
from knowngood.model.matrix import Cluster, Component, Profile, Release, Rule
from knowngood.model.plan import Hop, Plan
from knowngood.model.plan_file import PlanFile
from knowngood.planner.plan.diff import MatrixDiff, ReleaseDiff
from knowngood.report.published import FOLDER

MADE: dict[str, tuple[type, str]] = {
    "plan": (Plan, "What an upgrade would do: knowngood plan --output json"),
    "hop": (Hop, "One hop of a plan: knowngood plan --explain HOP --output json"),
    "plan-file": (PlanFile, "A plan that is kept, with what it rests on: knowngood plan --out FILE"),
    "diff": (ReleaseDiff, "What lies between two releases: knowngood diff A B --output json"),
    "diff-since": (MatrixDiff, "What changed in the matrix: knowngood diff --since REV --output json"),
}
LISTED: dict[str, tuple[type, str]] = {
    "components": (Component, "All components, each with why it can't be moved"),
    "releases": (Release, "All releases"),
    "rules": (Rule, "All rules"),
    "clusters": (Cluster, "All clusters"),
    "profiles": (Profile, "All hardware profiles"),
}
"""What `show KIND --output json` prints: its name, then the value of each of that name."""
SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def made(name: str) -> dict[str, Any]:
    """The schema of a published value."""
    if name in LISTED:
        return _listed(name)
    kind, title = MADE[name]
    defs: dict[str, Any] = {}
    top = _object(kind, defs)
    top["properties"] = {
        "schema": {"const": 1},
        **{k: v for k, v in top["properties"].items() if k != "schema"},
    }
    top["required"] = ["schema", *(k for k in top.get("required", ()) if k != "schema")]
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **top}
    return {**found, "$defs": dict(sorted(defs.items()))} if defs else found


def _listed(name: str) -> dict[str, Any]:
    kind, title = LISTED[name]
    defs: dict[str, Any] = {}
    one = _schema(kind, defs)
    if kind is Component:
        for more in ("obstacle", "change"):
            defs[kind.__name__]["properties"][more] = {"type": "string"}
            defs[kind.__name__]["required"].append(more)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{title}: knowngood show {name} --output json",
        "type": "object",
        "additionalProperties": False,
        "properties": {"schema": {"const": 1}, name: {"type": "object", "additionalProperties": one}},
        "required": ["schema", name],
        "$defs": dict(sorted(defs.items())),
    }


def _object(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    properties = {str(f.metadata.get(AS, f.name)): _schema(hints[f.name], defs) for f in fields}
    found = {"type": "object", "additionalProperties": False, "properties": properties}
    return found if issubclass(kind, Sparse) else {**found, "required": list(properties)}


def _schema(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"}, *(_schema(a, defs) for a in args if a is not type(None))]}
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return {"type": "array", "prefixItems": [_schema(a, defs) for a in args], "items": False}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1], defs)}
    if origin is not None and issubclass(origin, (Sequence, tuple, set, frozenset)):
        return {"type": "array", "items": _schema(args[0], defs)}
    if dataclasses.is_dataclass(kind):
        name = typing.cast(type, kind).__name__
        if name not in defs:
            defs[name] = {}
            defs[name] = _object(kind, defs)
        return {"$ref": f"#/$defs/{name}"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [one.value for one in kind]}
    if isinstance(kind, type) and issubclass(kind, str):
        return {"type": "string"}
    return SIMPLE.get(kind, {})


def written(name: str) -> str:
    """As the file has it."""
    return json.dumps(made(name), indent=1) + "\n"


def path(name: str) -> Path:
    """Where it lies."""
    return FOLDER / f"{'show-' if name in LISTED else ''}{name}.schema.json"


if __name__ == "__main__":
    for one in (*MADE, *LISTED):
        path(one).write_text(written(one), encoding="utf-8")
