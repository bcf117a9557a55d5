"""A run goes on only by the cluster file it began with."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.test_run_commands import write
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.scene import a_world
from tests.unit.report.played import Played, undone

from knowngood.cli import known, resume
from knowngood.cli.wiring import Place
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import Interrupted
from knowngood.model.state import RunState
from knowngood.planner.digest import canonical

RUN = "r20260822-030000-cccc"


class Scene:
    """An open run on ams-prod, its matrix, and how far `resume` comes: it stops before it would act."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matrix, self.runs = folder / "matrix", folder / "runs"
        shutil.copytree(matrix_dir(), self.matrix)
        self.file = self.matrix / "clusters" / "ams-prod.yaml"
        self.places: list[Place] = []
        self.world = a_world()
        write(self.runs / RUN, self._run())
        monkeypatch.setattr(known, "checkpoint", lambda _kubeconfig: FakeCheckpoint(self.world))
        monkeypatch.setattr(resume, "check_identity", lambda *_: "")
        monkeypatch.setattr(resume, "play", self._play)

    def _run(self) -> Played:
        run = undone().until("hop-1/ring-0/batch-1/drain")
        kept = canonical(load(self.matrix).clusters["ams-prod"].raw)
        profile = canonical(load(self.matrix).profiles["xe7740-h200nvl"])
        files = {hashlib.sha256(data).hexdigest(): data for data in (kept, profile)}
        named = dict(zip(("cluster_file", "profile_file"), files, strict=True))
        first = replace(run.records[0], detail={**run.records[0].detail, **named})
        return Played((first, *run.records[1:]), {**run.files, **files})

    def _play(self, place: Place, *_: object, **__: object) -> None:
        self.places.append(place)
        raise Interrupted("enough seen")

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def resume(self) -> Said:
        where = ("--matrix", self.matrix, "--runs-dir", self.runs, "--kubeconfig", self.matrix / "none")
        return knowngood(*where, "resume", RUN)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_an_unchanged_file_is_no_obstacle(scene: Scene) -> None:
    assert scene.resume().code == 130
    assert len(scene.places) == 1


def test_a_changed_cluster_file_is_refused_and_the_change_is_named(scene: Scene) -> None:
    scene.edit("batch: 2", "batch: 1")
    before = {path: path.read_bytes() for path in scene.runs.rglob("*") if path.is_file()}
    said = scene.resume()
    assert said.code == 2
    assert "rings differs" in said.err
    assert str(scene.file.name) in said.err
    assert f"knowngood rollback {RUN}" in said.err, "it says what to do"
    assert scene.places == []
    assert {path: path.read_bytes() for path in scene.runs.rglob("*") if path.is_file()} == before


def test_comments_and_contacts_may_change(scene: Scene) -> None:
    with scene.file.open("a") as file:
        file.write("# a remark\n")
    scene.edit("contact: ", "contact: new-")
    assert scene.resume().code == 130
    assert scene.places[0].cluster.tenants[0].contact.startswith("new-"), "and count from now on"


def test_an_aborted_run_goes_back_by_what_the_file_said_at_its_start(scene: Scene) -> None:
    began = load(scene.matrix).clusters["ams-prod"]
    scene.edit("batch: 2", "batch: 1")
    scene.world.abort = "stop"
    said = scene.resume()
    assert said.code == 130
    assert "has changed" in said.err
    assert scene.places[0].cluster.rings == began.rings


def test_a_run_that_a_newer_one_has_overtaken_is_neither_resumed_nor_taken_back(scene: Scene) -> None:
    """What it would bring back is no longer its own."""
    newer = RunState(run="r20260823-030000-dddd", intended=("hop-1/ring-1/declare",))
    scene.world.saved["r20260823-030000-dddd"] = newer
    for command in ("resume", "rollback"):
        where = ("--matrix", scene.matrix, "--runs-dir", scene.runs, "--kubeconfig", scene.matrix / "none")
        said = knowngood(*where, command, RUN, *(("--yes",) if command == "rollback" else ()))
        assert said.code == 1
        assert "run r20260823-030000-dddd changed ams-prod after run" in said.err
    scene.world.saved["r20260823-030000-dddd"] = replace(newer, intended=("observe",))
    assert scene.resume().code == 130, "one that changed nothing is no obstacle"
