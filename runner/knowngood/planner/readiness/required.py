"""What a mover requires of the objects that declare its component, before anything starts: live, and in Git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding, refused
from knowngood.model.plan import Plan
from knowngood.model.values import Values

HINT = "set it in Git first"
Texts = Mapping[str, str]
"""Dotted path -> text; "" is not set."""


def unmet(where: str, obj: Values, required: Texts) -> Iterator[Finding]:
    """Which fields of a live object are not as they must be. Argo CD is in sync by then, so Git says the same."""
    yield from _against(where, {path: _text(obj, path) for path in required}, required)


def wanted(plan: Plan) -> dict[ObjectRef, Texts]:
    """What must stand in the objects that a plan's hops move, by what their movers require; others are left out."""
    found: dict[ObjectRef, dict[str, str]] = {}
    for change in (c for hop in plan.hops for part in hop.parts for c in part.changes):
        spec = plan.movers.get(change.component)
        if spec and (required := spec.require.get(change.object.kind)):
            found.setdefault(change.object, {}).update(required)
    return dict(found)


def unmet_in_git(required: Mapping[ObjectRef, Texts], said: Mapping[ObjectRef, Texts]) -> Iterator[Finding]:
    """Which fields are otherwise in Git. `said`: what Argo CD would make of it."""
    for named, texts in required.items():
        yield from _against(f"{named} in Git", said.get(named, {}), texts)


def _against(where: str, said: Texts, required: Texts) -> Iterator[Finding]:
    for path, text in required.items():
        found = said.get(path, "")
        if found != text and not (text in {"true", "false"} and found.lower() == text):
            yield refused(where, f"{path} is {found or 'not set'}, it must be {text}", HINT)


def _text(obj: Any, path: str) -> str:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None or isinstance(obj, (dict, list)) else str(obj)
