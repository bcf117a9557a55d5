"""--push of promote and revoke: what is committed here and not there is said, and nothing goes nowhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood
from tests.unit.cli.ops import Ops, evidence, ops_at, written


@pytest.fixture
def ops(tmp_path: Path) -> Ops:
    return ops_at(tmp_path / "ops")


def upstream(ops: Ops, tmp_path: Path) -> Path:
    bare = tmp_path / "up.git"
    ops.git("init", "--quiet", "--bare", "-b", "main", str(bare))
    ops.git("remote", "add", "origin", str(bare))
    ops.git("push", "--quiet", "-u", "origin", "main")
    return bare


def test_a_rejected_push_says_that_the_commit_stays_here_and_how_to_send_it(ops: Ops, tmp_path: Path) -> None:
    bare = upstream(ops, tmp_path)
    ops.git("clone", "--quiet", str(bare), str(tmp_path / "colleague"))
    Ops(tmp_path / "colleague").git("commit", "--quiet", "--allow-empty", "-m", "a colleague's")
    Ops(tmp_path / "colleague").git("push", "--quiet")
    said = knowngood("revoke", "old", "--reason", "bad", "--push", "--matrix", ops.matrix)
    commit = ops.git("rev-parse", "HEAD")
    assert said.code == 3
    assert f"committed here as {commit[:12]}, not pushed" in said.err
    assert "git pull --rebase && git push" in said.err
    ops.git("pull", "--quiet", "--rebase")
    ops.git("push", "--quiet")
    assert ops.git("status", "--porcelain", "-b") == "## main...origin/main"


def test_evidence_that_is_there_already_is_pushed_when_asked_again(ops: Ops, tmp_path: Path) -> None:
    bare = upstream(ops, tmp_path)
    file = written(tmp_path, evidence(ops, time=datetime.now(UTC).isoformat()))
    words = ("promote", "old", "--evidence", file, "--matrix", ops.matrix)
    assert knowngood(*words).code == 0
    assert knowngood(*words, "--push").code == 0
    assert ops.git("ls-remote", str(bare), "main").split()[0] == ops.git("rev-parse", "HEAD")


@pytest.mark.parametrize("detached", [False, True])
def test_a_push_to_nowhere_is_refused_before_anything_is_written(
    ops: Ops, tmp_path: Path, detached: bool
) -> None:
    if detached:
        upstream(ops, tmp_path)
        ops.git("checkout", "--quiet", "--detach")
    said = knowngood("revoke", "old", "--reason", "bad", "--push", "--matrix", ops.matrix)
    assert said.code == 2
    assert ("HEAD is detached" if detached else "has no upstream") in said.err
    assert (ops.commits(), ops.git("status", "--porcelain")) == (1, "")


def test_a_push_publishes_the_one_commit_or_is_refused_before_anything_is_written(
    ops: Ops, tmp_path: Path
) -> None:
    bare = upstream(ops, tmp_path)
    there = ops.git("ls-remote", str(bare), "main")
    (ops.root / "draft.md").write_text("not for others yet")
    ops.commit("my own draft")
    said = knowngood("revoke", "old", "--reason", "bad", "--push", "--matrix", ops.matrix)
    assert said.code == 2
    assert "would publish a commit more that origin/main lacks" in said.err
    assert (ops.commits(), ops.git("status", "--porcelain")) == (2, "")
    assert ops.git("ls-remote", str(bare), "main") == there


def test_a_protected_branch_says_how_the_commit_gets_to_another(ops: Ops, tmp_path: Path) -> None:
    hook = upstream(ops, tmp_path) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    said = knowngood("revoke", "old", "--reason", "bad", "--push", "--matrix", ops.matrix)
    assert said.code == 3
    assert "committed here as" in said.err
    assert "git push REMOTE COMMIT:refs/heads/BRANCH" in said.err


def test_an_upstream_that_was_never_fetched_is_no_reason_to_push_blindly(ops: Ops, tmp_path: Path) -> None:
    upstream(ops, tmp_path)
    ops.git("update-ref", "-d", "refs/remotes/origin/main")
    said = knowngood("revoke", "old", "--reason", "bad", "--push", "--matrix", ops.matrix)
    assert (said.code, ops.commits()) == (2, 1)
    assert "git fetch" in said.err


def test_a_commit_on_a_detached_head_is_said_to_be_on_no_branch(ops: Ops) -> None:
    ops.git("checkout", "--quiet", "--detach")
    said = knowngood("revoke", "old", "--reason", "bad", "--matrix", ops.matrix)
    assert said.code == 0
    assert "on no branch" in said.err
