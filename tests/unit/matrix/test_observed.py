"""The file that says what really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.observed import observed
from knowngood.model.errors import DataError, UsageError
from knowngood.model.matrix import Component

COMPONENTS = load(matrix_dir()).components


def read(tmp_path: Path, text: str, components: dict[str, Component] | None = None) -> dict[str, str]:
    file = tmp_path / "observed.yaml"
    file.write_text(text)
    return observed(file, components or dict(COMPONENTS))


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
        ("openshift: [4.18.52]\n", 1, "needs one version"),
        ("openshift: 4.18.52\nopenshift: 4.18.51\n", 2, "stands twice"),
        ("- openshift\n", 1, "expected lines like"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert says in caught.value.problems[0].message
    assert caught.value.problems[0].where.line == line


def test_no_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        observed(tmp_path / "nowhere.yaml", COMPONENTS)
