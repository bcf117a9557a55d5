"""`knowngood diff`: between releases, between revisions, for people, machines and a pull request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.matrix.locate import matrix_dir
from knowngood.planner.plan.diff import Change, MatrixDiff
from knowngood.report.diff_text import CHANGES_SHOWN, matrix_markdown, matrix_text


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(matrix_dir(), tmp_path / "matrix")
    git(tmp_path, "init", "--quiet", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True)


def test_two_releases_as_text_json_and_markdown() -> None:
    text = knowngood("diff", "r580", "r595")
    assert text.code == 0
    assert "nvidia-driver  580.173.02 → 595.91.07" in text.out
    assert text.out.endswith("(revert-disruptive)\n")
    value = json.loads(knowngood("diff", "r580", "r595", "-o", "json").out)
    assert [m["component"] for m in value["moves"]] == ["nvidia-driver"]
    assert (value["undo"], value["undoable"]) == ("revert-disruptive", True)
    assert (
        "| nvidia-driver | 580.173.02 → 595.91.07 |"
        in knowngood("diff", "r580", "r595", "-o", "markdown").out
    )


def test_an_openshift_minor_can_not_be_undone_and_a_jump_is_no_single_update() -> None:
    said = knowngood("diff", "h200-4.14-r550", "h200-4.22-r595").out
    assert "can't be undone: openshift is forward-only" in said
    assert "see knowngood path openshift --from 4.14.34 --to 4.22.9" in said


def test_a_pull_request_shows_what_changed_and_what_a_changed_release_means(team: Path) -> None:
    file = team / "matrix/releases/r595.yaml"
    file.write_text(file.read_text().replace("595.91.07", "595.71.05"))
    said = knowngood("diff", "--since", "main")
    assert said.code == 0
    assert "changed  r595  components.nvidia-driver: 595.91.07 → 595.71.05" in said.out
    assert "r595 → r595" in said.out
    assert knowngood("diff", "r595@main", "r595").out in said.out


def test_nothing_changed_says_so(team: Path) -> None:
    assert knowngood("diff", "--since", "HEAD").out == "nothing in the matrix changed\n"
    value = json.loads(knowngood("diff", "--since", "HEAD", "-o", "json").out)
    assert value == {"schema": 1, "changes": [], "releases": [], "unread": []}


def test_a_file_that_can_not_be_read_is_named_and_the_rest_compared(team: Path) -> None:
    (team / "matrix/releases/r595.yaml").write_text("status: [")
    said = knowngood("diff", "--since", "main")
    assert said.code == 0
    assert "could not be compared: releases/r595" in said.out


@pytest.mark.parametrize("version", ["nvidia-driver: 595", "openshift: latest"])
def test_a_version_that_can_not_be_read_is_named_and_the_rest_shown(team: Path, version: str) -> None:
    file = team / "matrix/releases/r595.yaml"
    name = version.partition(":")[0]
    lines = [
        f"  {version}" if row.strip().startswith(f"{name}:") else row for row in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")
    said = knowngood("diff", "--since", "main")
    assert said.code == 0
    assert "could not be compared: releases/r595" in said.out
    assert "changed  r595" in said.out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["r580"],
        ["r580", "r59"],
        ["r580@nowhere", "r595"],
        ["--since", "nowhere"],
        ["r580", "r595", "--since", "HEAD"],
    ],
)
def test_what_is_not_there_is_exit_2(team: Path, arguments: list[str]) -> None:
    said = knowngood("diff", *arguments)
    assert (said.code, said.out) == (2, "")
    assert "next:" in said.err


def test_a_long_import_is_cut_and_says_so() -> None:
    many = tuple(Change("edges of openshift", f"version 4.18.{n}", "added") for n in range(CHANGES_SHOWN + 7))
    assert "7 more" in matrix_text(MatrixDiff(many))


def test_a_file_of_a_pull_request_writes_no_markup_into_the_comment() -> None:
    evil = Change(
        "rule", "r", "changed", ("message: x → | <img src=x onerror=y> @team `a` [b](http://c)\n# d",)
    )
    text = matrix_markdown(MatrixDiff((evil,)))
    assert not {"<", ">", "@", "`"} & set(text)
    assert "](http" not in text
    assert "\n# d" not in text
