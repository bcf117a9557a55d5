"""Small files and small functions: what makes a code base easy to change."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.trees import tree_of

ROOT = Path(__file__).parents[3]
FILE_LINES = 400
FUNCTION_LINES = 60
FOLDERS = ("runner", "gates", "tests", "tools", "playbooks")


def sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def long_functions(source: str, limit: int) -> list[str]:
    """Name and length of every function of more than `limit` lines, decorators not counted."""
    functions = (
        n for n in ast.walk(tree_of(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = ((n.name, (n.end_lineno or n.lineno) - n.lineno + 1) for n in functions)
    return [f"{name}: {lines} lines" for name, lines in lengths if lines > limit]


def test_every_folder_with_code_is_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources()} == set(FOLDERS)


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources()}
    assert not {str(path): lines for path, lines in lengths.items() if lines > FILE_LINES}


def test_no_function_is_longer_than_60_lines() -> None:
    found = {str(p.relative_to(ROOT)): long_functions(p.read_text(), FUNCTION_LINES) for p in sources()}
    assert not {path: functions for path, functions in found.items() if functions}


@pytest.mark.parametrize(("lines", "found"), [(60, []), (61, ["long: 61 lines"])])
def test_a_function_is_measured_from_def_to_its_last_line(lines: int, found: list[str]) -> None:
    source = "@decorated\ndef long():\n" + "    pass\n" * (lines - 1)
    assert long_functions(source, FUNCTION_LINES) == found
