"""Which matrix a command reads: the nearest one upwards; ours is never read where nobody named it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.options import Settings
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import UsageError


@pytest.fixture(name="team")
def _team(tmp_path: Path) -> Path:
    (tmp_path / "ops" / "matrix" / "releases").mkdir(parents=True)
    (tmp_path / "ops" / "docs" / "deep").mkdir(parents=True)
    return tmp_path / "ops"


@pytest.mark.parametrize("below", ["", "docs", "docs/deep", "matrix", "matrix/releases"])
def test_a_teams_own_is_found_from_anywhere_below(
    team: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(team / below)
    assert matrix_folder(Settings()).resolve() == team / "matrix"


def test_ours_is_not_read_where_nobody_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = knowngood("show", "releases")
    assert (said.code, said.out) == (2, "")
    assert "there is no matrix here, nor in a folder above" in said.err
    assert "--matrix shipped" in said.err


def test_the_one_that_is_read_is_said(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(team / "docs")
    said = knowngood("validate", "--output", "json")
    assert f"matrix: {team / 'matrix'}\n" in said.err
    assert "matrix: " not in said.out


def test_ours_can_be_named_also_where_a_team_has_its_own(
    team: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(team)
    assert matrix_folder(Settings(matrix=Path("shipped"))) == matrix_dir()
    assert capsys.readouterr().err == f"matrix: {matrix_dir()}\n"


@pytest.mark.parametrize(
    ("said", "read"), [("shipped", ""), ("./shipped", "shipped"), ("shipped/", "shipped")]
)
def test_shipped_is_always_ours_and_a_folder_of_that_name_is_written_as_one(
    team: Path, said: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (team / "shipped" / "releases").mkdir(parents=True)
    monkeypatch.chdir(team)
    for arguments in (("--matrix", said, "validate"), ("validate", "--matrix", said)):
        told = knowngood(*arguments).err
        assert f"matrix: {team / read if read else matrix_dir()}\n" in told


def test_a_folder_that_is_not_there_is_no_other_one(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(team)
    with pytest.raises(UsageError, match="no such matrix folder"):
        matrix_folder(Settings(matrix=Path("matrx")))
