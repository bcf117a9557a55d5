"""`knowngood record`: what a run proved and could not deliver is delivered later, once, from any machine."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from jsonschema import Draft202012Validator
from tests.unit.adapters.gitops.desk import PROTECTED, git
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.commands.test_run_commands import write
from tests.unit.cli.ops import Ops, evidence, ops_at
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import World
from tests.unit.report.played import Played, calm, play, undone

from knowngood.adapters.gitops.matrix_target import destination
from knowngood.cli import existing_run
from knowngood.cli.existing_run import Known, record_of
from knowngood.model.context import JudgeRequest
from knowngood.model.destination import Destination, Way
from knowngood.model.jsonable import to_json
from knowngood.model.record import RecordType
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.report import published

RUN = "r20260822-030000-cccc"
OFFLINE = "fetch: could not resolve host: git.example.com"


class Scene:
    """An operations repository with a remote, and a run whose record was not delivered."""

    def __init__(self, folder: Path) -> None:
        self.ops: Ops = ops_at(folder / "ops")
        self.remote, self.runs = folder / "remote.git", folder / "runs"
        git(folder, "init", "--quiet", "--bare", "-b", "main", str(self.remote))
        self.ops.git("remote", "add", "origin", f"file://{self.remote}")
        self.ops.git("push", "--quiet", "-u", "origin", "main")
        self.folder = self.runs / RUN

    def ended(self, run: Played, step: str = "promote", **changes: object) -> None:
        """The run, with evidence of the release `old` on the lab where its last step kept its own."""
        proof = evidence(self.ops, run=RUN, time=datetime.now(UTC).isoformat(), **changes)
        data = json.dumps(proof).encode()
        digest = "e" * 64
        records = []
        for r in run.records:
            if r.type is RecordType.PLAN:
                to = to_json(destination(self.ops.matrix))
                told = {**r.detail, "matrix": str(self.ops.matrix), "record": to}
                records.append(replace(r, detail=told))
            elif r.step == step and r.status:
                lost = {
                    "status": proof["status"],
                    "because": "x",
                    "undelivered": OFFLINE,
                    "hint": "is it up?",
                }
                records.append(replace(r, detail=lost, files={"evidence": digest}))
            else:
                records.append(r)
        write(self.folder, Played(tuple(records), run.files))
        self.name(digest, data)

    def name(self, digest: str, data: bytes) -> None:
        """Put the evidence under its true digest."""
        from knowngood.adapters.journal import FileJournal  # noqa: PLC0415 (one use)

        journal = self.folder / "journal.jsonl"
        with FileJournal(self.folder) as opened:
            real = opened.put("evidence.json", data)
        journal.write_text(journal.read_text().replace(digest, real))

    def says(self, *words: object) -> Said:
        return knowngood(*words, "--runs-dir", self.runs)

    def subjects(self, branch: str = "main") -> list[str]:
        return git(self.remote, "log", "--format=%s", branch).splitlines()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return Scene(tmp_path)


def test_a_done_run_says_that_its_record_is_not_delivered_why_and_the_one_command(scene: Scene) -> None:
    scene.ended(calm())
    said = scene.says("status", RUN)
    assert "done: every node runs the new release" in said.out
    assert f"record: not delivered: {OFFLINE}" in said.out
    assert f"knowngood record {RUN}" in said.out
    assert json.loads(scene.says("status", RUN, "-o", "json").out)["record"]["undelivered"] == OFFLINE


def test_it_is_delivered_later_once_and_status_says_so(scene: Scene) -> None:
    scene.ended(calm())
    before = scene.ops.git("rev-parse", "HEAD")
    dry = scene.says("record", RUN, "--dry-run")
    assert (dry.code, "would record old on lab" in dry.err, scene.subjects()) == (0, True, ["first"])
    said = scene.says("record", RUN)
    assert said.code == 0, said.err
    assert scene.subjects() == ["old is rehearsed: proven on lab", "first"]
    assert "is recorded as rehearsed: the cluster file pins no identity" in said.out
    assert scene.ops.git("rev-parse", "HEAD") == before
    status = scene.says("status", RUN).out
    assert "not delivered" not in status
    assert "knowngood record" not in status
    assert f"branch main of file://{scene.remote}" in status
    again = scene.says("record", RUN, "-o", "json")
    assert again.code == 0
    Draft202012Validator(published.schema("record")).validate(json.loads(again.out))
    assert json.loads(again.out)["commit"] == git(scene.remote, "rev-parse", "main")
    assert len(scene.subjects()) == 2


def test_a_restored_runs_evidence_is_delivered_as_what_it_is(scene: Scene) -> None:
    scene.ended(undone(), "undo/record", status="failed", because="Xid 31 on gpu-1")
    assert "not delivered" in scene.says("status", RUN).out
    assert scene.says("record", RUN).code == 0
    assert scene.subjects()[0] == "old was not proven on lab"


def test_a_branch_that_only_takes_pull_requests_is_exit_2_and_another_branch_takes_it(scene: Scene) -> None:
    scene.ended(calm())
    hook = scene.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PROTECTED.replace("exit 1", "grep -q refs/heads/main && exit 1; exit 0"))
    hook.chmod(0o755)
    said = scene.says("record", RUN)
    assert said.code == 2
    assert "--record branch=NAME" in said.err
    assert "not delivered" in scene.says("status", RUN).out
    assert scene.says("record", RUN, "--record", "branch=proof").code == 0
    assert scene.subjects("proof")[0] == "old is rehearsed: proven on lab"
    assert scene.subjects() == ["first"]


def test_a_remote_that_is_still_away_is_exit_3(scene: Scene) -> None:
    scene.ended(calm())
    scene.ops.git("config", "url.http://127.0.0.1:9/.insteadOf", f"file://{scene.remote}")
    assert scene.says("record", RUN).code == 3


def test_as_a_file_it_lies_in_the_runs_folder(scene: Scene) -> None:
    scene.ended(calm())
    assert scene.says("record", RUN, "--record", "file").code == 0
    patch = scene.folder / "record.patch"
    assert "+status: rehearsed" in patch.read_text()
    assert str(patch) in scene.says("status", RUN).out
    assert scene.subjects() == ["first"]


def test_a_release_that_was_revoked_meanwhile_is_not_raised_and_it_is_said(scene: Scene) -> None:
    scene.ended(calm())
    scene.ops.edit("releases/old.yaml", "status: candidate", "status: revoked\nreason: Xid 31")
    scene.ops.commit("revoked")
    scene.ops.git("push", "--quiet")
    said = scene.says("record", RUN)
    assert said.code == 0
    assert "old is revoked by now and stays so" in said.out
    assert "status: revoked" in git(scene.remote, "show", "main:matrix/releases/old.yaml")


def test_a_run_that_proved_nothing_has_nothing_to_record(scene: Scene) -> None:
    world = a_world()
    world.broken.add("matrix-refuses")
    write(scene.folder, play(world))
    said = scene.says("record", RUN)
    assert said.code == 1
    assert "nothing to record" in said.err


def test_a_run_that_goes_on_records_by_itself(scene: Scene) -> None:
    write(scene.folder, calm().until("promote"))
    assert scene.says("record", RUN).code == 1


@pytest.mark.parametrize("words", [("record", "r1999"), ("record", RUN, "--record", "nowhere")])
def test_what_is_not_there_is_exit_2(scene: Scene, words: tuple[str, ...]) -> None:
    scene.ended(calm())
    assert scene.says(*words).code == 2


def test_a_run_keeps_to_what_it_began_with_wherever_it_goes_on(scene: Scene) -> None:
    to = Destination(Way.PUSH, "https://git.example.com/ops.git", "proof", "main", "matrix")
    frozen = {"record": to_json(to)}
    run = cast("Known", SimpleNamespace(state=RunState(frozen=frozen)))
    assert record_of(run, scene.ops.matrix) == to
    older = cast("Known", SimpleNamespace(state=RunState()))
    assert record_of(older, scene.ops.matrix).branch == "main"
    assert record_of(older, scene.runs).way is Way.FILE, "a run goes on, or back, wherever the matrix is"


def test_a_run_of_another_machine_is_delivered_from_its_checkpoint(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world()

    def lost(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == "prove":
            w.broken.add("matrix-refuses")
        return ""

    world.bad = lost
    run = an_engine(world, run=RUN).run()
    digest = run.results[StepPath("promote")].files["evidence"]
    proof = evidence(scene.ops, run=RUN, time=datetime.now(UTC).isoformat())
    world.saved[f"{RUN}/{digest}"] = json.dumps(proof).encode()
    monkeypatch.setattr(existing_run, "checkpoint", lambda *_, **__: FakeCheckpoint(world))
    where = ("--matrix", scene.ops.matrix, "--kubeconfig", scene.ops.root / "any")
    assert "not delivered" in scene.says("status", RUN, *where[2:]).out
    said = scene.says("record", RUN, *where)
    assert said.code == 0, said.err
    assert scene.subjects()[0] == "old is rehearsed: proven on lab"
    assert not scene.folder.exists(), "nothing is laid out here for a run of another machine"
