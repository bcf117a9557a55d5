"""Proof is committed into the matrix's repository; the operator's own changes stay as they are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from knowngood.adapters.gitops.matrix_repo import MatrixRepository
from knowngood.adapters.gitops.matrix_revisions import matrix_at
from knowngood.adapters.processes.git_environment import matrix_revision
from knowngood.model.errors import KnowngoodError, UsageError

EVIDENCE = {"run": "r1", "verdict": "pass"}


def git(folder: Path, *arguments: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(params=["matrix", "."], ids=["matrix in a folder", "matrix is the root"])
def matrix(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    root = tmp_path / "ops"
    matrix = root / str(request.param)
    for folder in ("releases", "clusters"):
        (matrix / folder).mkdir(parents=True)
    (matrix / "releases" / "r595.yaml").write_text("# the driver\nstatus: candidate\n")
    (matrix / "clusters" / "ams.yaml").write_text("profile: p\nrelease: r580   # pinned\n")
    git(root, "init", "--quiet", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "first")
    return matrix


def test_promotion_is_one_commit_of_evidence_status_and_pin(matrix: Path) -> None:
    commit = MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE).commit
    assert git(matrix, "rev-parse", "HEAD") == commit
    assert git(matrix, "rev-list", "--count", "HEAD") == "2"
    assert (matrix / "releases" / "r595.yaml").read_text() == "# the driver\nstatus: rehearsed\n"
    assert "release: r595   # pinned" in (matrix / "clusters" / "ams.yaml").read_text()
    assert json.loads((matrix / "evidence" / "ams" / "r595-r1.json").read_text()) == EVIDENCE
    assert git(matrix, "status", "--porcelain") == ""
    assert "Knowngood-Run: r1" in git(matrix, "log", "-1", "--format=%(trailers)")


def test_promoting_twice_commits_once(matrix: Path) -> None:
    first = MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    assert MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE) == first


@pytest.mark.parametrize("present", ["known-good", "rehearsed", "revoked", "deprecated"])
def test_a_status_is_never_lowered_and_a_revocation_never_lifted(matrix: Path, present: str) -> None:
    (matrix / "releases" / "r595.yaml").write_text(f"status: {present}\n")
    git(matrix, "commit", "--quiet", "-am", "set")
    MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    assert (matrix / "releases" / "r595.yaml").read_text() == f"status: {present}\n"


def test_a_failure_leaves_evidence_and_statuses(matrix: Path) -> None:
    MatrixRepository(matrix).record_failure("r595", "ams", {"run": "r2", "verdict": "fail"})
    assert (matrix / "evidence" / "ams" / "r595-r2.json").exists()
    assert "candidate" in (matrix / "releases" / "r595.yaml").read_text()
    assert "r580" in (matrix / "clusters" / "ams.yaml").read_text()


def test_the_operators_own_work_is_neither_committed_nor_lost(matrix: Path) -> None:
    (matrix / "notes.md").write_text("staged\n")
    git(matrix, "add", "notes.md")
    commit = MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE).commit
    assert "notes.md" not in git(matrix, "show", "--name-only", "--format=", commit)
    assert git(matrix, "status", "--porcelain", "--", "notes.md").startswith("A")


def test_a_file_with_uncommitted_changes_is_not_overwritten(matrix: Path) -> None:
    (matrix / "clusters" / "ams.yaml").write_text("profile: p\nrelease: mine\n")
    with pytest.raises(UsageError, match=r"ams\.yaml"):
        MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    assert git(matrix, "rev-list", "--count", "HEAD") == "1"


def test_hooks_of_the_checkout_do_not_run(matrix: Path) -> None:
    top = Path(git(matrix, "rev-parse", "--show-toplevel"))
    for name in ("pre-commit", "post-commit", "prepare-commit-msg"):
        hook = top / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {top}/ran\nexit 1\n")
        hook.chmod(0o755)
    MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    assert not (top / "ran").exists()


def test_a_push_that_failed_is_made_up_for_when_the_step_is_repeated(matrix: Path, tmp_path: Path) -> None:
    """The commit is there already; that it is only here must not count as done."""
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", "far.git")
    git(matrix, "remote", "add", "origin", str(tmp_path / "far.git"))
    git(matrix, "push", "--quiet", "-u", "origin", "main")
    (tmp_path / "far.git").rename(tmp_path / "gone.git")
    repository = MatrixRepository(matrix, push=True)
    with pytest.raises(KnowngoodError, match="not pushed"):
        repository.promote("r595", "rehearsed", "ams", EVIDENCE)
    (tmp_path / "gone.git").rename(tmp_path / "far.git")
    commit = repository.promote("r595", "rehearsed", "ams", EVIDENCE).commit
    assert git(tmp_path / "far.git", "rev-parse", "main") == commit


def test_it_is_pushed_where_the_branch_has_an_upstream(matrix: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", "up.git")
    git(matrix, "remote", "add", "origin", str(tmp_path / "up.git"))
    git(matrix, "push", "--quiet", "-u", "origin", "main")
    commit = MatrixRepository(matrix, push=True).promote("r595", "rehearsed", "ams", EVIDENCE).commit
    assert git(tmp_path / "up.git", "rev-parse", "main") == commit


def test_a_plain_folder_takes_no_promotion(tmp_path: Path) -> None:
    for file in ("releases/r595.yaml", "clusters/ams.yaml"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("status: candidate\nrelease: r580\n")
    with pytest.raises(UsageError, match="not in a Git repository"):
        MatrixRepository(tmp_path).promote("r595", "rehearsed", "ams", EVIDENCE)
    assert matrix_revision(tmp_path) == ("", False)


@pytest.mark.parametrize("name", ["../x", "", "-x"])
def test_a_name_that_is_no_file_name_is_refused(matrix: Path, name: str) -> None:
    with pytest.raises(UsageError):
        MatrixRepository(matrix).record_failure(name, "ams", EVIDENCE)


def test_the_revision_says_whether_the_matrix_was_changed(matrix: Path) -> None:
    commit = git(matrix, "rev-parse", "HEAD")
    assert matrix_revision(matrix) == (commit, False)
    (matrix / "releases" / "r595.yaml").write_text("status: known-good\n")
    assert matrix_revision(matrix) == (commit, True)


def test_an_older_matrix_can_be_read(matrix: Path, tmp_path: Path) -> None:
    first = git(matrix, "rev-parse", "HEAD")
    MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    folder, commit = matrix_at(matrix, "HEAD~1", tmp_path / "old")
    assert commit == first
    assert "candidate" in (folder / "releases" / "r595.yaml").read_text()
    with pytest.raises(UsageError, match="no revision"):
        matrix_at(matrix, "--output=x", tmp_path / "new")


def test_what_can_not_be_committed_is_taken_back(matrix: Path) -> None:
    """A full disk, a lock of somebody's: the operator finds the files as they were."""
    top = Path(git(matrix, "rev-parse", "--show-toplevel"))
    lock = top / ".git" / "index.lock"
    lock.write_text("")
    with pytest.raises(KnowngoodError):
        MatrixRepository(matrix).promote("r595", "rehearsed", "ams", EVIDENCE)
    lock.unlink()
    assert git(matrix, "status", "--porcelain") == ""
    assert not list(matrix.glob("evidence/ams/*"))
    assert "candidate" in (matrix / "releases" / "r595.yaml").read_text()


def test_refused_evidence_moves_the_pin_and_no_status(matrix: Path) -> None:
    """The cluster runs the release all the same; nobody may take that for a proof."""
    MatrixRepository(matrix).promote("r595", "refused", "ams", EVIDENCE)
    assert "candidate" in (matrix / "releases" / "r595.yaml").read_text()
    assert "r595" in (matrix / "clusters" / "ams.yaml").read_text()
    assert git(matrix, "log", "-1", "--format=%s") == "r595 is refused: run on ams"


def test_a_failure_is_recorded_once(matrix: Path) -> None:
    first = MatrixRepository(matrix).record_failure("r595", "ams", {"run": "r2", "status": "failed"})
    assert MatrixRepository(matrix).record_failure("r595", "ams", {"run": "r2", "status": "failed"}) == first
    assert git(matrix, "rev-list", "--count", "HEAD") == "2"
