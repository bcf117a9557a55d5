"""The file that says what really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.observed import read_observed
from knowngood.model.errors import DataError

MATRIX = load(matrix_dir())


def read(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "observed.yaml"
    file.write_text(text)
    return read_observed(file, MATRIX).versions


@pytest.mark.parametrize(
    "text",
    ["openshift: 4.18.52\nnvidia-driver: 550.100\n", '{"openshift": "4.18.52", "nvidia-driver": "550.100"}'],
)
def test_versions_stay_text_in_yaml_and_json(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"openshift": "4.18.52", "nvidia-driver": "550.100"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("openshift: 4.18.52\nnvidia-drivr: 550.100\n", 2, "there is no component 'nvidia-drivr'"),
        ("openshift: 4.18\n", 1, "not a whole version"),
        ("openshift: [4.18.52]\n", 1, "expected one version"),
        ("openshift: 4.18.52\nopenshift: 4.18.51\n", 2, "is there twice"),
        ("- openshift\n", 1, "expected components and versions"),
        ("versions: {openshift: 4.18.52}\nsicne: {openshift: 2025-08-20}\n", 2, "unknown key 'sicne'"),
        (
            "versions: {openshift: 4.18.52}\nsince: {opensift: 2025-08-20}\n",
            2,
            "opensift is not among the versions",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert says in caught.value.problems[0].message
    assert caught.value.problems[0].where.line == line


def test_the_days_since_when_versions_run_may_stand_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "observed.yaml"
    file.write_text("versions:\n  openshift: 4.18.22\nsince:\n  openshift: 2025-08-20\n")
    seen = read_observed(file, MATRIX)
    assert (seen.versions, seen.since) == ({"openshift": "4.18.22"}, {"openshift": "2025-08-20"})


def test_no_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_observed(tmp_path / "nowhere.yaml", MATRIX)
