"""What a branch brings is rehearsed where its hardware is, and nowhere else; what did not end done is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.ops import Ops, ops_at
from tests.unit.report.played import calm

from knowngood.cli.commands import rehearse_changed
from knowngood.model.errors import Inconclusive, Interrupted, KnowngoodError, Refused
from knowngood.report.summary import Summary


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    """A branch that adds a release for `pcie`, which one of two clusters is."""
    made = ops_at(tmp_path / "ops")
    lab = (made.matrix / "clusters" / "lab.yaml").read_text()
    (made.matrix / "clusters" / "other.yaml").write_text(lab.replace("profile: pcie", "profile: small"))
    made.commit()
    made.git("switch", "--quiet", "-c", "a-branch")
    new = made.release("old").replace("profiles: [pcie, resting, small]", "profiles: [pcie]")
    new = new.replace("580.173.02", "595.91.07")
    (made.matrix / "releases" / "new.yaml").write_text(new)
    made.commit()
    monkeypatch.chdir(made.root)
    return made


class Played:
    """Stands for the rehearsals: how each ends, and which were asked for."""

    def __init__(self, how: Summary | KnowngoodError) -> None:
        self.how = how
        self.asked: list[tuple[str, str, str]] = []
        self.starts: list[tuple[str, object]] = []

    def __call__(self, _source: object, found: Any, release: str, folder: Path, _scale: float) -> Summary:
        self.starts.append((found.release, found.raw["release"]))
        self.asked.append((found.name, release, folder.name))
        if isinstance(self.how, Summary):
            return self.how
        raise self.how


def changed(
    monkeypatch: pytest.MonkeyPatch, how: Summary | KnowngoodError, *more: str
) -> tuple[Said, Played]:
    played = Played(how)
    monkeypatch.setattr(rehearse_changed, "rehearsed", played)
    return knowngood("rehearse-changed", "--since", "main", *more), played


def ended(end: str, code: int, why: str = "") -> Summary:
    return replace(calm().summary, end=end, exit_code=code, why=why)


def test_it_is_played_where_its_hardware_is_and_others_are_listed(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, played = changed(monkeypatch, ended("done", 0))
    assert said.code == 0, said.err
    assert played.asked == [("lab", "new", "lab-new")]
    assert [line.split(maxsplit=2) for line in said.out.splitlines()[1:]] == [
        ["lab", "new", "done"],
        ["other", "new", "not played: not meant for small"],
    ]


def test_one_that_is_not_done_is_exit_1_with_an_annotation_on_the_release(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, _ = changed(monkeypatch, ended("restored", 6, "Xid 31"), "--output", "github")
    assert said.code == 1
    assert "::error file=matrix/releases/new.yaml" in said.out
    assert "on lab ended restored: Xid 31" in said.out


@pytest.mark.parametrize(
    ("error", "code"),
    [(Refused("no way leads there"), 1), (Inconclusive("no answer"), 3), (Interrupted("x"), 130)],
)
def test_what_could_not_be_played_is_no_pass(
    ops: Ops, monkeypatch: pytest.MonkeyPatch, error: KnowngoodError, code: int
) -> None:
    said, _ = changed(monkeypatch, error)
    assert said.code == code
    assert str(error) in said.out + said.err


def test_a_dry_run_plays_nothing(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    said, played = changed(monkeypatch, ended("done", 0), "--dry-run", "--output", "json")
    assert (said.code, played.asked) == (0, [])
    rows = json.loads(said.out)["rehearsals"]
    assert [(row["cluster"], row["meant"], row["end"]) for row in rows] == [
        ("lab", True, "would be played"),
        ("other", False, ""),
    ]


def test_a_status_that_rose_and_a_comment_are_no_change(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    (ops.matrix / "releases" / "new.yaml").unlink()
    ops.edit("releases/old.yaml", "status: candidate", "status: rehearsed # proven")
    ops.commit()
    said, played = changed(monkeypatch, ended("done", 0))
    assert (said.code, played.asked, said.out) == (0, [], "")
    assert "nothing to rehearse" in said.err


def test_a_release_that_the_branch_pins_too_is_played_from_the_pin_before(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops.edit("clusters/lab.yaml", "release: old", "release: new")
    ops.commit()
    said, played = changed(monkeypatch, ended("done", 0))
    assert (said.code, played.asked, played.starts) == (0, [("lab", "new", "lab-new")], [("old", "old")])


@pytest.mark.parametrize("more", [(), ("--output", "github")])
def test_a_release_that_was_pinned_before_it_changed_is_nothing_that_can_be_told(
    ops: Ops, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    (ops.matrix / "releases" / "new.yaml").unlink()
    ops.edit("releases/old.yaml", "580.173.02", "595.91.07")
    ops.commit()
    said, played = changed(monkeypatch, ended("done", 0), *more)
    assert (said.code, played.asked) == (3, [])
    assert "it is what the cluster is pinned to" in said.out
    assert "give changed versions a new release" in said.out


def test_a_folder_with_an_earlier_rehearsal_is_left_alone(ops: Ops, tmp_path: Path) -> None:
    (tmp_path / "out" / "lab-new").mkdir(parents=True)
    (tmp_path / "out" / "lab-new" / "mine").write_text("x")
    said = knowngood("rehearse-changed", "--since", "main", "--out", tmp_path / "out")
    assert said.code == 1
    assert "an earlier rehearsal is here" in said.out
