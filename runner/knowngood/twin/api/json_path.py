"""The JSON paths of printer columns: fields, indexes, `[*]` and `[?(@.type=="Ready")]`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \['(?P<quoted>[^']+)'\]
      | \[\?\(@\.(?P<key>[\w.]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[re.Match[str], ...]:
    return tuple(_STEP.finditer(path.strip("{}")))


def find_all(obj: Any, path: str) -> list[Any]:
    """Return every value the path leads to; none where a step leads nowhere."""
    values = [obj]
    for step in _steps(path):
        values = [found for value in values for found in _follow(value, step)]
    return values


def find(obj: Any, path: str) -> Any:
    """Return the first value the path leads to, or None."""
    return next(iter(find_all(obj, path)), None)


def _follow(value: Any, step: re.Match[str]) -> list[Any]:
    name = step["quoted"] or (step["field"] or "").replace("\\.", ".")
    if name:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return list(value.values()) if step["all"] and isinstance(value, dict) else []
    if step["all"]:
        return value
    if step["index"]:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    return [
        entry
        for entry in value
        if isinstance(entry, dict) and str(find(entry, "." + step["key"])) == step["value"]
    ]
