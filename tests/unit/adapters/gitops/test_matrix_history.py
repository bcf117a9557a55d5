"""Since when a value stands, and which gates a commit has: asked of real Git."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.cli.ops import Ops, ops_at

from knowngood.adapters.gitops.gate_suite import digest_at, suite_of
from knowngood.adapters.gitops.matrix_history import history
from knowngood.matrix.locate import gates_dir

PIN = ("clusters/lab.yaml", "release")


@pytest.fixture
def ops(tmp_path: Path) -> Ops:
    return ops_at(tmp_path / "ops", "2026-01-01")


def test_a_value_stands_since_the_commit_that_set_it_not_since_the_last_that_touched_its_file(
    ops: Ops,
) -> None:
    ops.edit("clusters/lab.yaml", "release: old", "release: new")
    moved = ops.commit("move", "2026-01-11")
    ops.edit("clusters/lab.yaml", "batch: 1", "batch: 2")
    ops.commit("batches", "2026-02-01")
    newest, oldest = history(ops.matrix, *PIN)
    assert (newest.value, newest.day, newest.commit, newest.first) == ("new", "2026-01-11", moved, False)
    assert (oldest.value, oldest.day, oldest.first) == ("old", "2026-01-01", True)


def test_a_value_that_came_back_stands_since_it_came_back(ops: Ops) -> None:
    for old, new, day in (("old", "new", "2026-01-11"), ("new", "old", "2026-01-21")):
        ops.edit("clusters/lab.yaml", f"release: {old}", f"release: {new}")
        ops.commit("move", day)
    assert [h.day for h in history(ops.matrix, *PIN)] == ["2026-01-21", "2026-01-11", "2026-01-01"]


def test_what_is_not_committed_has_no_history(ops: Ops, tmp_path: Path) -> None:
    ops.edit("clusters/lab.yaml", "release: old", "release: new")
    assert history(ops.matrix, *PIN) == ()
    plain = tmp_path / "plain"
    shutil.copytree(ops.matrix, plain)
    assert history(plain, *PIN) == ()


def test_a_file_that_was_broken_meanwhile_has_no_value_there(ops: Ops) -> None:
    file = ops.matrix / "clusters" / "lab.yaml"
    good = file.read_text()
    file.write_text("release: [")
    ops.commit("oops", "2026-01-11")
    file.write_text(good)
    ops.commit("mended", "2026-01-12")
    assert [h.value for h in history(ops.matrix, *PIN)] == ["old", "", "old"]


def test_gates_have_one_digest_wherever_they_lie(ops: Ops) -> None:
    head = ops.git("rev-parse", "HEAD")
    shipped = suite_of(gates_dir()).digest
    assert suite_of(ops.root / "gates").digest == shipped
    assert suite_of(ops.root / "gates").commit == head
    assert digest_at(ops.matrix, head) == shipped


@pytest.mark.parametrize("change", ["edit", "add", "delete"])
def test_every_change_of_a_gate_is_another_digest(ops: Ops, change: str) -> None:
    head, gates = ops.git("rev-parse", "HEAD"), ops.root / "gates"
    before = suite_of(gates).digest
    if change == "edit":
        (gates / "drift.py").write_text("def test_nothing() -> None: ...\n")
    elif change == "add":
        (gates / "more.py").write_text("")
    else:
        (gates / "drift.py").unlink()
    after = suite_of(gates).digest
    assert after != before
    assert digest_at(ops.matrix, head) == before, "what was committed is what it was"
    assert digest_at(ops.matrix, ops.commit("other gates")) == after


def test_no_commit_no_gates_no_digest(ops: Ops, tmp_path: Path) -> None:
    assert digest_at(ops.matrix, "") == ""
    assert digest_at(ops.matrix, "e" * 40) == ""
    assert digest_at(ops.matrix, "--output=x") == ""
    ops.git("rm", "-rq", "gates")
    assert digest_at(ops.matrix, ops.commit("no gates here")) == ""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert suite_of(empty).digest == ""


def test_an_installed_program_names_no_commit(ops: Ops) -> None:
    """Its gates lie in a virtual environment that the repository around it does not track."""
    inside = ops.root / ".venv" / "gates"
    shutil.copytree(ops.root / "gates", inside)
    (ops.root / ".gitignore").write_text(".venv/\n")
    assert suite_of(inside).commit == ""
    assert suite_of(inside).digest == suite_of(ops.root / "gates").digest
