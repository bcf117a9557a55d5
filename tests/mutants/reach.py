"""Which files a test reaches, by what is imported, and how far away each is. Pure but for reading the sources."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.mutants.tree import ROOT
from tests.trees import tree_of

PROBE, AS_PROGRAM = "knowngood.probe", 2
"""The probe as a process of its own is farther away than what is imported."""


@cache
def distances(test: str) -> dict[str, int]:
    """File -> imports between the test and it. Gates are imported by `gate("name")`, the probe by `-m`."""
    found, waiting = {test: 0}, deque([test])
    while waiting:
        here = waiting.popleft()
        for name in _imported(here):
            there = _file(name)
            if not there or there in found:
                continue
            if there.startswith("tests/"):  # what tests share is as near as the test itself
                found[there] = found[here]
                waiting.appendleft(there)
            else:
                found[there] = found[here] + (AS_PROGRAM if there.endswith("probe/__main__.py") else 1)
                waiting.append(there)
    return found


@cache
def _imported(file: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(file)))


def _names(file: str) -> Iterator[str]:
    for node in ast.walk(tree_of((ROOT / file).read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                beside = Path(file).parts[:-level] if level else ()
                whole = ".".join([*beside, *([module] if module else [])])
                yield from (whole, *(f"{whole}.{one.name}" for one in names))
            case ast.Call(func=ast.Name(id="gate"), args=[ast.Constant(value=str(name))]):
                yield f"gates.{name}"
            case ast.Constant(value=str(value)) if value == PROBE:
                yield f"{PROBE}.__main__"
            case ast.Constant(value=str(value)) if file.endswith("probe/__main__.py"):
                yield f"{PROBE}.{value}"  # it imports a payload by its name


@cache
def _file(module: str) -> str:
    for base in ("runner", "."):
        path = ROOT / base / f"{module.replace('.', '/')}.py"
        if path.is_file():
            return str(path.resolve().relative_to(ROOT))
    return ""
