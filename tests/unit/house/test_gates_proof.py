"""docs/gates-proof.md names tests and rows that are there, and every sabotage that was asked for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.trees import tree_of
from tests.unit.gates.faults.fault import rows_of, told

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/gates-proof.md").read_text(encoding="utf-8")
SABOTAGE = {
    "a wrong gradient on one rank",
    "a broadcast for the sum",
    "stale weights",
    "NaN",
    "swapped ranks",
    "a slow rank",
    "a hanging rank",
    "SIGABRT",
    "OOM",
    "an error of 5e-3 in a matmul",
    "socket transport",
    "one link at half its rate",
    "a lost remap",
    "a missing input, one at a time",
    "an older boot's data",
    "another node's data",
}


def declared_in(path: Path) -> set[str]:
    tree = tree_of(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_sabotage_has_a_line_with_what_shows_it() -> None:
    lines = {line.split("|")[1].strip(): line for line in TEXT.splitlines() if line.startswith("| ")}
    assert lines.keys() >= SABOTAGE
    assert all(re.search(r"`|the same test", lines[name]) for name in SABOTAGE)


def test_each_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert named
    assert [name for file, name in named if name not in declared_in(ROOT / file)] == []


def test_each_row_that_is_named_is_there() -> None:
    named = re.findall(rf"`({'|'.join(told())}): ([^`]+)`", TEXT)
    assert len(named) > 10
    assert [f"{gate}: {row}" for gate, row in named if row not in rows_of(gate).FAULTS] == []
