"""What a mover requires of the objects that declare its component, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knowngood.model.finding import Finding, refused
from knowngood.model.values import Values


def unmet(where: str, obj: Values, required: Mapping[str, str]) -> Iterator[Finding]:
    """Which fields of a live object are not as they must be. Argo CD is in sync by then, so Git says the same."""
    for path, text in required.items():
        live = _text(obj, path)
        if live != text:
            yield refused(where, f"{path} is {live or 'not set'}, it must be {text}", "set it in Git first")


def _text(obj: Any, path: str) -> str:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None or isinstance(obj, (dict, list)) else str(obj)
