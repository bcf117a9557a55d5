"""What a rehearsal's folder is laid out with."""

from __future__ import annotations

from pathlib import Path

from knowngood.adapters.stage import Stage
from knowngood.matrix.locate import own_roles


def test_a_teams_own_roles_are_rehearsed_with_all_that_lies_beside_them(tmp_path: Path) -> None:
    """Also where none takes the place of ours: a role of theirs may include another."""
    matrix = tmp_path / "ops" / "matrix"
    (matrix / "clusters").mkdir(parents=True)
    theirs = matrix.parent / "playbooks" / "roles" / "drain" / "tasks" / "main.yaml"
    beside = matrix.parent / "playbooks" / "roles" / "slurm" / "tasks" / "main.yml"
    for file in (theirs, beside):
        file.parent.mkdir(parents=True)
        file.write_text("[]\n")
    stage = Stage(tmp_path / "rehearsal")
    stage.build(
        matrix, {("cluster", "small"): {"name": "small"}}, {"driver.yaml": {"a": 1}}, {"nodes": []}, "main"
    )
    roles, names = own_roles(stage.matrix)
    assert names == ("drain",)
    assert sorted(path.name for path in roles.iterdir()) == ["drain", "slurm"]
