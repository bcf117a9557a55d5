"""The published schemas of what is printed as JSON, by name. They travel inside the package."""

from __future__ import annotations

import json
from pathlib import Path

from knowngood.model.values import Object

FOLDER = Path(__file__).with_name("schemas")
END = ".schema.json"


def names() -> tuple[str, ...]:
    """All of them, sorted."""
    return tuple(sorted(file.name.removesuffix(END) for file in FOLDER.glob(f"*{END}")))


def schema(name: str) -> Object:
    """One of `names`."""
    found: Object = json.loads((FOLDER / f"{name}{END}").read_text(encoding="utf-8"))
    return found
