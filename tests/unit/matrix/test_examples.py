"""Every example file joins a small matrix: positive ones leave it clean, negative ones break exactly one thing.

Adding a case is adding a file. A negative file opens with `# expect RULE: words of the message`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knowngood.matrix.documents import EDGE_KINDS, FLEET, KINDS
from knowngood.matrix.lint import RULES
from knowngood.matrix.load import check
from knowngood.matrix.schema import typed, validator
from knowngood.matrix.yaml_text import Node, parse
from knowngood.model.errors import DataError

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = {kind: folder for folder, kind in KINDS.items()}
EDGES = {
    "edge-releases": "openshift/releases-4.18.yaml",
    "edge-channels": "openshift/channels.yaml",
    "edge-risk": "openshift/risks/{name}",
    "edge-olm": "gpu-operator/olm.yaml",
    "edge-steps": "openshift/steps.yaml",
    "edge-versions": "gpu-operator/versions.yaml",
}
"""Which file of the base's edges an example takes the place of."""
EXPECTATION = re.compile(r"# expect (?P<rule>\w+): (?P<words>.+)")
OF_ITS_OWN = {
    *(
        "KG003",
        "KG005",
        "KG501",
        "KG503",
        "KG504",
        "KG505",
        "KG506",
        "KG120",
    ),  # test_load.py, test_lint_evidence.py
    *("KG129", "KG211", "KG417", "KG418", "KG425", "KG432", "KG434"),  # test_lint_values.py
    *("KG601", "KG602", "KG603", "KG604", "KG605", "KG606", "KG607"),  # test_lint_history.py
}
"""Rules about no single YAML file, or about more than one revision; other tests break them, each by its number."""


def examples(sign: str) -> list[Any]:
    return [
        pytest.param(path, id=f"{path.parent.name}/{path.stem}")
        for path in sorted((EXAMPLES / sign).glob("*/*.yaml"))
    ]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES / "base", tmp_path / "matrix")


def join(base: Path, example: Path) -> str:
    """Put the example into the matrix; returns its file as problems name it."""
    kind = example.parent.name
    if kind == FLEET:
        return str(shutil.copy(example, base / f"{FLEET}.yaml"))
    folder = "edges" if kind in EDGES else FOLDERS[kind]
    target = base / folder / EDGES.get(kind, "{name}").format(name=example.name)
    shutil.copy(example, target)
    return str(target)


def test_the_base_is_clean(base: Path) -> None:
    assert check(base).problems == ()


@pytest.mark.parametrize("example", examples("positive"))
def test_what_is_right_has_no_problem(base: Path, example: Path) -> None:
    join(base, example)
    assert check(base).problems == ()


@pytest.mark.parametrize("example", examples("negative"))
def test_what_is_wrong_has_one_problem_with_its_line(base: Path, example: Path) -> None:
    expected = EXPECTATION.match(example.read_text())
    assert expected, f"{example} must open with `# expect RULE: words`"
    file = join(base, example)
    (problem,) = check(base).problems
    assert (problem.rule, problem.where.file) == (expected["rule"], file)
    assert expected["words"] in problem.message
    assert problem.where.line
    assert problem.where.line > 1, "the place is where the value is, not where the file begins"
    assert problem.where.column
    assert problem.expected, "what should have stood there"
    assert problem.hint, "what to do"


def test_the_rules_of_no_example_are_broken_by_other_tests() -> None:
    """A rule that can't fail checks nothing."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_l*.py"))
    assert [number for number in sorted(OF_ITS_OWN) if f'"{number}"' not in tests] == []


def test_every_numbered_rule_has_a_negative_example() -> None:
    opened = [EXPECTATION.match(path.read_text()) for path in (EXAMPLES / "negative").glob("*/*.yaml")]
    broken = {match["rule"] for match in opened if match}
    assert set(RULES) - broken == OF_ITS_OWN


LIMITS = {
    "additionalProperties",
    "enum",
    "exclusiveMinimum",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "required",
    "type",
    "uniqueItems",
}


def limits(schema: Any) -> Iterator[str]:
    """The keywords by which a schema refuses something."""
    if isinstance(schema, dict):
        yield from (
            key
            for key, value in schema.items()
            if key in LIMITS and not (key == "additionalProperties" and value)
        )
        for value in schema.values():
            yield from limits(value)


@pytest.mark.parametrize("kind", [*FOLDERS, *EDGE_KINDS.values()])
def test_each_keyword_of_a_schema_refuses_an_example(kind: str) -> None:
    check_schema = validator(kind)
    hit: set[str] = set()
    for param in examples("negative"):
        (example,) = param.values
        if isinstance(example, Path) and example.parent.name == kind:
            tree = tree_of(example)
            hit |= {str(e.validator) for e in check_schema.iter_errors(typed(kind, tree))} if tree else set()
    assert sorted(set(limits(check_schema.schema)) - hit) == []


def tree_of(example: Path) -> Node | None:
    try:
        return parse(example.read_text(), str(example))
    except DataError:
        return None
