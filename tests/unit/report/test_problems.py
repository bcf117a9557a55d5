"""Findings for people, for GitHub and as SARIF: each at its place, and no file can forge one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from knowngood.matrix.load import check
from knowngood.matrix.show import lint_rules
from knowngood.model.errors import Location, Problem
from knowngood.report.problems import github_annotations, problem_text, sarif

EXAMPLES = Path(__file__).parents[2] / "examples"
SARIF = json.loads((Path(__file__).parent / "sarif.schema.json").read_text())


def problem(file: str = "matrix/releases/a.yaml", message: str = "wrong", line: int | None = 3) -> Problem:
    return Problem(
        Location(file, line, 7 if line else None), message, "KG204", "revoke it", "error", "all kept"
    )


def test_text_shows_place_line_caret_expectation_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("status: candidate\ncolour: green\n")
    found = Problem(Location(str(file), 2, 9), "no colour", "KG002", "remove it", "error", "a known key")
    assert list(problem_text([found])) == [
        f"{file}:2:9: error KG002: no colour",
        "  2 | colour: green",
        "    |         ^",
        "  expected: a known key",
        "  do: remove it",
    ]


def test_of_a_long_line_the_part_that_matters_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("x" * 5000 + "HERE" + "x" * 5000)
    _, line, caret, *_ = problem_text([Problem(Location(str(file), 1, 5001), "m", hint="h")])
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("HERE")


@pytest.mark.parametrize("where", [Location("nowhere.yaml", 1, 1), Location("nowhere.yaml")])
def test_where_there_is_no_such_line_none_is_shown(where: Location) -> None:
    assert len(list(problem_text([Problem(where, "m", hint="h")]))) == 3


def test_a_terminal_is_not_steered_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[2J.yaml"
    file.write_text("a: \x9b31mred\n")
    found = Problem(Location(str(file), 1, 4), "is \x1b[31mred\x07\r\nerror: forged", hint="\u202edo")
    assert all(line.isprintable() for line in problem_text([found]))


def test_annotations_stand_on_their_line() -> None:
    (line,) = github_annotations([problem(message="100% wrong:\nreally")])
    place, _, text = line.removeprefix("::error ").partition("::")
    assert place == "file=matrix/releases/a.yaml,line=3,col=7,title=KG204"
    assert text == "100%25 wrong:%0Areally%0Aexpected: all kept%0Ado: revoke it"


def test_an_annotation_can_not_be_forged_by_a_file_name() -> None:
    (line,) = github_annotations([problem("a,line=9::x\n::error::.yaml", line=None)])
    assert line.startswith("::error file=a%2Cline=9%3A%3Ax%0A%3A%3Aerror%3A%3A.yaml,title=KG204::wrong")
    assert "\n" not in line


def test_sarif_has_the_structure_that_readers_ask_for(tmp_path: Path) -> None:
    found = check(EXAMPLES / "negative" / "release").problems
    problems = [*found, problem("dir with space/\udcff.yaml")]
    made = json.loads(json.dumps(sarif(problems, lint_rules(), "0.1.0")))
    jsonschema.Draft202012Validator(SARIF).validate(made)
    (run,) = made["runs"]
    assert len(run["results"]) == len(problems)
    rules = run["tool"]["driver"]["rules"]
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [p.rule for p in problems]


def test_a_finding_that_only_moved_keeps_its_fingerprint() -> None:
    moved = Problem(Location("matrix/releases/a.yaml", 9, 9), "wrong", "KG204", "revoke it")
    other = problem(message="also wrong")
    results = sarif([problem(), moved, other], lint_rules(), "0.1.0")["runs"][0]["results"]
    first, second, third = (r["partialFingerprints"]["knowngood/v1"] for r in results)
    assert first == second != third


def test_on_a_terminal_no_word_is_broken_and_elsewhere_a_finding_stays_one_line() -> None:
    problem = Problem(Location("a.yaml", 1, 1), "a long reason " * 12, hint="do something " * 12)
    lines = [line for line in problem_text([problem], 80) if "|" not in line]
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()).count("a long reason") == 12
    assert len([line for line in problem_text([problem]) if "long" in line]) == 1
