"""What the program says of itself: its version with the matrix that it reads, and what a shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood
from tests.unit.cli.ops import ops_at

from knowngood.cli.version import VERSION


def test_the_version_names_the_matrix_and_its_commit(tmp_path: Path) -> None:
    ops = ops_at(tmp_path / "ops")
    commit, line = ops.git("rev-parse", "HEAD"), f"matrix {ops.matrix}, commit "
    for arguments in (("--matrix", ops.matrix, "--version"), ("--version", "--matrix", ops.matrix)):
        said = knowngood(*arguments)
        assert said.code == 0
        assert said.out.splitlines() == [f"knowngood {VERSION}", f"{line}{commit}"]
    (ops.matrix / "fleet.yaml").write_text("changed: here")
    assert knowngood("--version", "--matrix", ops.matrix).out.endswith(f"{commit} and uncommitted changes\n")


def test_the_version_is_said_without_any_matrix_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = knowngood("--version")
    assert said.code == 0
    assert said.out.splitlines()[1].startswith("no matrix: ")
    (tmp_path / "matrix" / "releases").mkdir(parents=True)
    assert knowngood("--version").out.endswith("matrix, in no Git repository\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_us(shell: str) -> None:
    said = knowngood("completion", shell)
    assert said.code == 0
    assert "_KNOWNGOOD_COMPLETE" in said.out
    if found := shutil.which(shell):
        checked = subprocess.run([found, "-n"], input=said.out, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("knowngood pl", {"plan"}),
        ("knowngood plan --from-", {"--from-git", "--from-file"}),
        ("knowngood show rel", {"releases", "release"}),
    ],
)
def test_what_bash_asks_is_answered(words: str, completed: set[str]) -> None:
    asked = {
        "_KNOWNGOOD_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "knowngood"],
        env={**os.environ, **asked},
        text=True,
        capture_output=True,
        check=False,
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completed
