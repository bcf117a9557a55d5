"""What a rehearsal's folder is laid out with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


def test_whoever_plays_here_asks_the_twins_machines_and_no_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it plays, also where the environment names a real cluster's talosconfig."""
    stage = Stage(tmp_path / "rehearsal")
    monkeypatch.setenv("TALOSCONFIG", "/etc/talos/production")
    path = os.environ["PATH"]
    with stage.lent():
        assert os.environ["TALOSCONFIG"] == str(stage.state / "talos" / "talosconfig")
        assert os.environ["PATH"] == f"{stage.state / 'talos' / 'bin'}{os.pathsep}{path}"
    assert (os.environ["TALOSCONFIG"], os.environ["PATH"]) == ("/etc/talos/production", path)
    monkeypatch.delenv("TALOSCONFIG")
    with stage.lent():
        pass
    assert "TALOSCONFIG" not in os.environ
