"""The engine knows no component: what moves, and how, stands in the component files."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.trees import tree_of

from knowngood.adapters.cluster import silences
from knowngood.adapters.cluster.held import PAUSABLES
from knowngood.adapters.movers.fleet_work import FLEETS
from knowngood.adapters.movers.node_work import MOVERS
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir, schema_dir
from knowngood.model.matrix import Matrix
from knowngood.model.mover import CLASSES, HOLDS

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "runner" / "knowngood"
PARTS = ("engine", "ports", "model", "report")


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load(matrix_dir())


def texts(file: Path) -> Iterator[str]:
    """The strings of a module that are no prose: neither docstrings nor a constant's description."""
    tree = tree_of(file.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def test_no_component_is_named(matrix: Matrix) -> None:
    """A class may be called as a component is; it stands in the list of classes then, and nowhere else."""
    name = "|".join(re.escape(n) for n in sorted(matrix.components, key=len, reverse=True))
    word = re.compile(rf"(?<![\w./-])({name})(?![\w./-])")
    found = {
        (str(file.relative_to(PACKAGE)), match[1])
        for part in PARTS
        for file in (PACKAGE / part).rglob("*.py")
        for text in texts(file)
        for match in word.finditer(text)
    }
    assert found == {("model/mover.py", name) for name in matrix.components.keys() & CLASSES}


def test_no_vendors_driver_is_named_either(matrix: Matrix) -> None:
    """Labels, containers and lines of the kernel log are data, too."""
    data = [
        text
        for component in matrix.components.values()
        if component.mover and component.mover.pods and component.mover.proof
        for text in (
            component.mover.pods.label,
            component.mover.pods.container,
            component.mover.proof.log,
            component.mover.words.does,
        )
    ]
    assert data
    found = [
        (file.name, text)
        for part in PARTS
        for file in (PACKAGE / part).rglob("*.py")
        for said in texts(file)
        for text in data
        if text in said
    ]
    assert found == []


def test_a_class_is_known_to_the_schema_the_model_and_the_adapters_alike() -> None:
    schema = json.loads((schema_dir() / "component.json").read_text())
    named = schema["$defs"]["mover"]["properties"]["class"]["enum"]
    assert set(named) == CLASSES == {*MOVERS, *FLEETS}


def test_what_can_be_held_is_known_to_the_schema_the_model_and_the_adapters_alike() -> None:
    schema = json.loads((schema_dir() / "component.json").read_text())
    named = schema["$defs"]["mover"]["properties"]["holds"]["items"]["enum"]
    assert set(named) == HOLDS == {pausable.hold for pausable in PAUSABLES} | {silences.HOLD}


def test_each_class_is_one_file_of_under_250_lines() -> None:
    folder = PACKAGE / "adapters" / "movers"
    for name in CLASSES:
        lines = (folder / f"{name.replace('-', '_')}.py").read_text().splitlines()
        assert len(lines) < 250
