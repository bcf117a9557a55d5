"""A run goes on only by the cluster file it began with."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.commands.test_run_commands import write
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.scene import a_world
from tests.unit.report.played import Played, undone

from knowngood.cli import existing_run, job_pod
from knowngood.cli.commands import resume, rollback
from knowngood.cli.wiring import Place
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import ExitCode, Interrupted, LockHeld, Unreachable
from knowngood.model.record import Record, RecordType
from knowngood.model.state import End, RunState, fold
from knowngood.model.steppath import StepPath
from knowngood.planner.digest import canonical
from knowngood.planner.runner_job import RUN_ID
from knowngood.report.summary import expanded

RUN = "r20260822-030000-cccc"


class Scene:
    """An open run on ams-prod, its matrix, and how far `resume` comes: it stops before it would act."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matrix, self.runs = folder / "matrix", folder / "runs"
        shutil.copytree(matrix_dir(), self.matrix)
        self.file = self.matrix / "clusters" / "ams-prod.yaml"
        self.places: list[Place] = []
        self.asked: list[dict[str, object]] = []
        self.world = a_world()
        self.run = self._run()
        write(self.runs / RUN, self.run)
        self.there(self.run)
        monkeypatch.setattr(existing_run, "checkpoint", lambda *_, **__: FakeCheckpoint(self.world))
        monkeypatch.setattr(resume, "check_identity", lambda *_: "")
        monkeypatch.setattr(rollback, "check_identity", lambda *_: "")
        for module in (resume, rollback):
            monkeypatch.setattr(module, "play", self._play)

    def _run(self) -> Played:
        run = undone().until("hop-1/ring-0/batch-1/drain")
        kept = canonical(load(self.matrix).clusters["ams-prod"].raw)
        profile = canonical(load(self.matrix).profiles["xe7740-h200nvl"])
        files = {hashlib.sha256(data).hexdigest(): data for data in (kept, profile)}
        named = dict(zip(("cluster_file", "profile_file"), files, strict=True))
        first = replace(run.records[0], detail={**run.records[0].detail, **named, "run": RUN})
        return Played((first, *run.records[1:]), {**run.files, **files})

    def there(self, run: Played, **changes: Any) -> RunState:
        """What the checkpoint in the cluster says."""
        state = replace(fold(expanded(record, run.load) for record in run.records), **changes)
        self.world.saved[RUN] = state
        self.world.saved |= {f"{RUN}/{digest}": data for digest, data in run.files.items()}
        return state

    def _play(self, place: Place, *_: object, **how: object) -> None:
        self.places.append(place)
        self.asked.append(how)
        raise Interrupted("enough seen")

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def began_with(self, matrix: Path) -> None:
        """It was planned from the matrix in that folder."""
        first = replace(self.run.records[0], detail={**self.run.records[0].detail, "matrix": str(matrix)})
        shutil.rmtree(self.runs / RUN)
        self.run = Played((first, *self.run.records[1:]), self.run.files)
        write(self.runs / RUN, self.run)
        self.there(self.run)

    def resume(self) -> Said:
        return self.says("resume", RUN)

    def says(self, *command: str) -> Said:
        where = ("--matrix", self.matrix, "--runs-dir", self.runs, "--kubeconfig", self.matrix / "none")
        return knowngood(*where, *command)

    def written(self) -> dict[Path, bytes]:
        """All that lies in the runs' folder."""
        return {path: path.read_bytes() for path in self.runs.rglob("*") if path.is_file()}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_an_unchanged_file_is_no_obstacle(scene: Scene) -> None:
    assert scene.resume().code == 130
    assert len(scene.places) == 1


def test_a_changed_cluster_file_is_refused_and_the_change_is_named(scene: Scene) -> None:
    scene.edit("batch: 2", "batch: 1")
    before = scene.written()
    said = scene.resume()
    assert said.code == 2
    assert "rings differs" in said.err
    assert str(scene.file.name) in said.err
    assert f"knowngood rollback {RUN}" in said.err, "it says what to do"
    assert scene.places == []
    assert scene.written() == before


@pytest.mark.parametrize("command", ["resume", "rollback"])
@pytest.mark.parametrize("began", ["a work tree that is gone", "matrix"])
def test_without_matrix_it_goes_by_its_own_and_by_the_nearest_where_that_is_gone(
    scene: Scene,
    command: str,
    began: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """`fleet` plans from work trees that it takes away at its end; the runs that it began go on without it."""
    scene.began_with(scene.runs.parent / began)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere") if began == "matrix" else scene.matrix)
    monkeypatch.setattr(rollback, "checkpoint", lambda *_: FakeCheckpoint(scene.world))
    yes = ("--yes",) if command == "rollback" else ()
    where = ("--runs-dir", scene.runs, "--kubeconfig", scene.matrix / "none")
    said = knowngood(*where, command, RUN, *yes)
    assert said.code == 130, said.err
    assert [place.matrix_folder.resolve() for place in scene.places] == [scene.matrix.resolve()]
    assert said.err.count(f"matrix: {scene.matrix}") == 1
    assert ("the run's own matrix" in said.err) == (began != "matrix"), (
        "another one is never taken in silence"
    )


@pytest.mark.parametrize("folder", ["here", "elsewhere"])
def test_a_run_is_taken_back_by_its_own_matrix_where_the_one_here_is_broken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    """Also one that another machine began: its folder is not here, its checkpoint is in the cluster."""
    scene.began_with(scene.matrix)
    here = tmp_path_factory.mktemp("here")
    (here / "matrix" / "releases").mkdir(parents=True)
    (here / "matrix" / "releases" / "new.yaml").write_text("components: [\n")
    monkeypatch.chdir(here)
    runs = scene.runs if folder == "here" else here / "runs"
    where = ("--runs-dir", runs, "--kubeconfig", scene.matrix / "none")
    monkeypatch.setattr(rollback, "checkpoint", lambda *_: FakeCheckpoint(scene.world))
    assert knowngood(*where, "rollback", RUN, "--yes").code == 130
    assert [place.matrix_folder for place in scene.places] == [scene.matrix]
    said = knowngood(*where, "rollback", "ams-prod", "--yes")
    assert said.code == 2
    assert "new.yaml" in said.err, "a cluster is one of the matrix here"


def test_handover_tells_of_the_cluster_as_the_run_knows_it(scene: Scene) -> None:
    before = scene.says("handover", RUN)
    scene.file.unlink()
    (scene.matrix / "fleet.yaml").unlink()  # it names the cluster
    after = scene.says("handover", RUN)
    assert (before.code, after.code) == (0, 0), after.err
    assert after.out == before.out


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
    newer = RunState(run="r20260823-030000-dddd", intended=(StepPath("hop-1/ring-1/declare"),))
    scene.world.saved["r20260823-030000-dddd"] = newer
    for command in ("resume", "rollback"):
        said = scene.says(command, RUN, *(("--yes",) if command == "rollback" else ()))
        assert said.code == 1
        assert "run r20260823-030000-dddd changed ams-prod after run" in said.err
    scene.world.saved["r20260823-030000-dddd"] = replace(newer, intended=(StepPath("observe"),))
    assert scene.resume().code == 130, "one that changed nothing is no obstacle"


def ended_elsewhere(scene: Scene) -> RunState:
    """Another machine took the run over, by its fence, and ended it held."""
    end = End("held", ExitCode.HUMAN, "a gate said no", {"gpu-4": "quarantined"})
    return scene.there(undone_named(scene), end=end, fence=9, who="ben@b", seq=99)


def undone_named(scene: Scene) -> Played:
    """The same run, further on."""
    return Played(
        (*scene.run.records, *undone().records[len(scene.run.records) :]), scene.run.files | undone().files
    )


@pytest.mark.parametrize("command", ["resume", "abort"])
def test_a_run_that_ended_elsewhere_is_told_and_nothing_is_done(scene: Scene, command: str) -> None:
    there = ended_elsewhere(scene)
    before = scene.written()
    said = scene.says(command, RUN)
    assert said.code == (5 if command == "resume" else 2)
    assert "ended held elsewhere (by ben@b)" in said.err
    assert f"run {RUN} has ended: held" in said.err
    assert (scene.places, scene.written(), scene.world.abort) == ([], before, "")
    assert scene.world.saved[RUN] == there


def test_of_a_run_that_rests_between_two_hops_a_rollback_says_how_to_go_further(scene: Scene) -> None:
    end = End(
        "restored", ExitCode.RESTORED, "a gate said no", {}, {"gpu-1": "may run nvidia-driver 595.91.07"}
    )
    scene.there(undone_named(scene), end=end, fence=9, who="ben@b", seq=99)
    said = scene.says("rollback", RUN, "--yes")
    assert said.code == 2
    assert "at the rest between two hops" in said.err
    assert "knowngood rollback ams-prod" in said.err


def test_an_end_that_the_checkpoint_does_not_know_yet_is_told_to_it(scene: Scene) -> None:
    """The runner died between its last record and the checkpoint: to others the run would be open for ever."""
    run = undone()
    first = replace(run.records[0], detail=scene.run.records[0].detail)
    shutil.rmtree(scene.runs / RUN)
    write(scene.runs / RUN, Played((first, *run.records[1:]), scene.run.files | run.files))
    scene.there(Played((first, *run.records[1:-1]), run.files))
    assert scene.resume().code == 130
    assert len(scene.places) == 1
    scene.there(Played((first, *run.records[1:]), run.files))
    assert scene.resume().code == 6
    assert len(scene.places) == 1, "once it is known, nothing is done"


@pytest.mark.parametrize("command", ["status", "handover"])
def test_what_is_told_of_a_run_is_what_the_cluster_says(scene: Scene, command: str) -> None:
    ended_elsewhere(scene)
    said = scene.says(command, RUN)
    assert said.code == 0
    assert "held" in said.out
    assert "shown is what the cluster says" in said.err


def test_a_held_run_is_rolled_back_from_a_machine_that_did_not_hear_of_its_end(scene: Scene) -> None:
    ended_elsewhere(scene)
    assert scene.says("rollback", RUN, "--yes").code == 130
    assert scene.asked == [{"known": True, "back": True}]
    assert scene.world.abort == "", "it is not asked to abort: it has ended"


@pytest.mark.parametrize("command", ["resume", "rollback", "abort"])
def test_a_journal_that_tells_another_story_is_refused_before_anything_is_written(
    scene: Scene, command: str
) -> None:
    scene.there(undone(), fence=0, results={}, intended=("observe",), who="ben@b")
    before = scene.written()
    said = scene.says(command, RUN, *(("--yes",) if command == "rollback" else ()))
    assert said.code == 1
    assert "this machine's journal" in said.err
    assert "its checkpoint in the cluster at" in said.err
    assert (scene.places, scene.written(), scene.world.abort) == ([], before, "")


def test_a_cluster_that_does_not_answer_is_no_obstacle_to_telling(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> FakeCheckpoint:
        raise Unreachable("no answer")

    monkeypatch.setattr(existing_run, "checkpoint", away)
    assert scene.resume().code == 3
    said = scene.says("status", RUN)
    assert said.code == 0
    assert "the cluster does not tell" in said.err


def held_run(scene: Scene) -> None:
    """The run froze there by `abort --hold`."""
    end = Record(
        len(scene.run.records),
        RecordType.FINISHED,
        "2026-08-22T04:00:00Z",
        detail={"end": "held", "exit": 5, "why": "gpu-1: Xid 79", "nodes": {"gpu-1": "Xid 79"}},
    )
    scene.run = Played((*scene.run.records, end), scene.run.files)
    shutil.rmtree(scene.runs / RUN)
    write(scene.runs / RUN, scene.run)
    scene.there(scene.run)


def test_a_held_run_goes_on_where_a_person_says_that_it_is_mended(scene: Scene) -> None:
    held_run(scene)
    before = scene.written()
    said = scene.says("resume", RUN)
    assert (said.code, "once what stopped it is mended, --yes goes on" in said.err) == (5, True), (
        "nobody is there"
    )
    assert "gpu-1: Xid 79" in said.out
    dry = scene.says("resume", RUN, "--dry-run")
    assert (dry.code, "Is that mended" in dry.err) == (0, True)
    assert (scene.places, scene.written()) == ([], before)
    assert scene.says("resume", RUN, "--yes").code == 130
    (how,) = scene.asked
    assert how == {"known": True, "on": True}
    assert len(scene.places) == 1


def test_an_open_run_goes_on_unasked(scene: Scene) -> None:
    scene.resume()
    (how,) = scene.asked
    assert how == {"known": True, "on": False}


@pytest.fixture
def pod(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    """A pod of the run's Job, made after an earlier one: it has no journal, and the words that began the run."""
    shutil.rmtree(scene.runs / RUN)
    monkeypatch.setenv(RUN_ID, RUN)
    monkeypatch.setattr(job_pod, "check_identity", lambda *_: "")
    monkeypatch.setattr(job_pod, "play", scene._play)
    monkeypatch.setattr(job_pod, "checkpoint", lambda *_: FakeCheckpoint(scene.world))
    (scene.matrix / "none").write_text("")
    return scene


def upgraded(pod: Scene) -> Said:
    return pod.says("upgrade", "ams-prod", "--plan", "no-such-plan.json", "--yes")


def test_an_evicted_pod_of_its_job_is_followed_by_one_that_goes_on_with_the_run(pod: Scene) -> None:
    said = upgraded(pod)
    assert said.code == ExitCode.INTERRUPTED, said.err
    assert f"run {RUN} has begun in an earlier pod of its Job, which is gone: goes on with it" in said.err
    assert [place.run_id for place in pod.places] == [RUN]
    assert pod.asked == [{"known": True}]


def test_a_pod_never_says_yes_to_going_on_with_a_held_run(pod: Scene) -> None:
    pod.there(pod.run, end=End("held", ExitCode.HUMAN, "not proven", {}))
    said = upgraded(pod)
    assert (said.code, pod.places) == (ExitCode.HUMAN, [])


def test_the_first_pod_of_a_job_begins_the_run(pod: Scene) -> None:
    pod.world.saved.clear()
    said = upgraded(pod)
    assert (said.code, pod.places) == (ExitCode.USAGE, [])
    assert "no-such-plan.json" in said.err, "it goes by the plan"


def test_a_runner_that_is_at_work_elsewhere_is_said_to_have_been_asked_to_stop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The abort is written before anybody knows of it: exit 4 alone would say that nothing was done."""

    def held(*_: object, **__: object) -> None:
        raise LockHeld(f"run {RUN} holds the cluster for jo@laptop-b")

    monkeypatch.setattr(rollback, "checkpoint", lambda *_: FakeCheckpoint(scene.world))
    monkeypatch.setattr(rollback, "play", held)
    said = scene.says("rollback", RUN, "--yes")
    assert (said.code, scene.world.abort) == (4, "stop")
    assert "its runner, which is at work, was asked to stop" in said.err
