"""Every text leaves by one function: none reaches a terminal, a log or a report's lines by another way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.trees import tree_of

PACKAGE = Path(__file__).parents[3] / "runner" / "knowngood"
MOUTH = PACKAGE / "cli" / "terminal.py"
OWN_PROCESSES = {
    "adapters/processes/ansible_child.py",
    "adapters/processes/supervisor_child.py",
    "probe/__main__.py",
}
"""Their stdout is read by us, as JSON lines, and never by a person."""
SPEAKS = {"echo", "secho", "print", "print_exc", "print_exception", "pprint"}
BY_NAME = {"click.confirm", "click.prompt", "sys.stdout.write", "sys.stderr.write"}


def files() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] != "twin" and path != MOUTH and str(inside) not in OWN_PROCESSES:
            yield path


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("path", list(files()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_terminal_module_prints(path: Path) -> None:
    calls = [n for n in ast.walk(tree_of(path.read_text())) if isinstance(n, ast.Call)]
    spoken = [n.lineno for n in calls if called(n) in SPEAKS]
    spoken += [n.lineno for n in calls if ast.unparse(n.func) in BY_NAME]
    assert not spoken, f"{path}: say it by cli.terminal.say, lines {spoken}"


@pytest.mark.parametrize(
    "path", [p for p in files() if p.parent.name in ("report", "cli", "commands")], ids=lambda p: p.name
)
def test_lines_are_joined_by_page_and_json_is_made_by_as_json(path: Path) -> None:
    """A text of others that holds a line break would forge a line: `page` makes each part one line."""
    joined = [
        n.lineno
        for n in ast.walk(tree_of(path.read_text()))
        if isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and n.func.attr == "join"
        and isinstance(n.func.value, ast.Constant)
        and "\n" in str(n.func.value.value)
        and path.name != "console.py"  # the board's news, each made printable before
    ]
    assert not joined, f"{path}: join lines by model.text.page, lines {joined}"
