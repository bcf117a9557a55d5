"""`knowngood validate`: what it reads, what it compares with, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.matrix.lint import RULES
from knowngood.matrix.locate import matrix_dir


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's repository with the shipped matrix, on a branch; the working directory is its top."""
    shutil.copytree(matrix_dir(), tmp_path / "matrix")
    git(tmp_path, "init", "--quiet", "-b", "main")
    commit(tmp_path, "first")
    git(tmp_path, "switch", "--quiet", "-c", "change")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True)


def commit(folder: Path, subject: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", subject)


def spoil(folder: Path) -> None:
    file = folder / "matrix/releases/r595.yaml"
    file.write_text(file.read_text().replace("status: candidate", "status: splendid"))


def test_one_file_shows_its_own_findings_and_counts_the_others(team: Path) -> None:
    spoil(team)
    bad = knowngood("validate", "matrix/releases/r595.yaml")
    assert (bad.code, bad.out.count("error KG")) == (1, 1)
    good = knowngood("validate", team / "matrix/releases/r580.yaml")
    assert (good.code, good.out) == (0, "")
    assert "findings in other files" in good.err


def test_a_folder_may_be_named_without_an_option(team: Path) -> None:
    spoil(team)
    assert knowngood("validate", "matrix").code == knowngood("validate", "--matrix", "matrix").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["a-file-elsewhere"],
        ["matrix/schema/release.json"],
        ["--since", "no-such-revision"],
        ["--since", "--output=x"],
        ["--output", "xml"],
        ["--list-rules", "--output", "sarif"],
    ],
)
def test_what_can_not_be_used_at_all_is_exit_2(team: Path, arguments: list[str]) -> None:
    (team / "a-file-elsewhere").touch()
    said = knowngood("validate", *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_rules_are_listed_sorted_as_text_and_json() -> None:
    listed = json.loads(knowngood("validate", "--list-rules", "--output", "json").out)["rules"]
    assert [r["number"] for r in listed] == sorted(RULES)
    assert all(
        r["title"].endswith(".") and r["why"] and r["severity"] in ("error", "warning") for r in listed
    )
    text = knowngood("validate", "--list-rules").out.splitlines()
    assert [line.split()[0] for line in text] == sorted(RULES)


def test_each_output_names_the_rule_and_the_place(team: Path) -> None:
    spoil(team)
    text = knowngood("validate").out
    assert "matrix/releases/r595.yaml:3:9: error KG002: " in text
    assert "  3 | status: splendid\n    |         ^\n" in text
    (found,) = (
        f for f in json.loads(knowngood("validate", "-o", "json").out)["problems"] if f["severity"] == "error"
    )
    assert (found["rule"], found["line"], found["column"]) == ("KG002", 3, 9)
    assert knowngood("validate", "-o", "github").out.startswith(
        "::error file=matrix/releases/r595.yaml,line=3,col=9,title=KG002::"
    )
    results = json.loads(knowngood("validate", "-o", "sarif").out)["runs"][0]["results"]
    (result,) = (r for r in results if r["level"] == "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "matrix/releases/r595.yaml"
    assert place["region"] == {"startLine": 3, "startColumn": 9}


def test_what_a_branch_deletes_is_found_against_its_base(team: Path) -> None:
    (team / "matrix/releases/r610.yaml").unlink()
    assert knowngood("validate").code == 0
    said = knowngood("validate", "--since", "main")
    assert said.code == 1
    assert said.out.startswith("matrix/releases/r610.yaml:1:1: error KG601: r610 was deleted\n")


def test_what_main_got_since_is_not_missing_on_the_branch(team: Path) -> None:
    git(team, "switch", "--quiet", "main")
    shutil.copy(team / "matrix/rules/driver-branch-ended.yaml", team / "matrix/rules/another.yaml")
    commit(team, "main goes on")
    git(team, "switch", "--quiet", "change")
    assert knowngood("validate", "--since", "main").code == 0


def test_a_status_that_goes_back_is_an_annotation_on_its_line(team: Path) -> None:
    file = team / "matrix/releases/r610.yaml"
    text = file.read_text()
    file.write_text(text.replace("status: candidate", "status: revoked\nreason: bad"))
    commit(team, "revoked")
    file.write_text(text)
    said = knowngood("validate", "--since", "HEAD", "-o", "github")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("status"))
    assert f"line={line},col=9,title=KG604::r610 was revoked, it can't become candidate" in said.out


LOADED = """
import sys
from knowngood.cli.main import run
code = run(["validate", "--output", "json"])
print("\\nLOADED", code, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_a_matrix_that_is_right_is_checked_without_the_slow_libraries() -> None:
    """jsonschema, Git and the terminal library take longer to import than the whole check."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    code, *loaded = done.stdout.rpartition("LOADED")[2].split()
    assert code == "0"
    assert not {"jsonschema", "git", "rich", "kubernetes", "ansible_runner"} & set(loaded)
