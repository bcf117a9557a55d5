"""`knowngood fleet`: read from the head of the matrix's branch, each run told what it needs, nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.gitops.desk import git
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.ops import VERSIONS, Ops, evidence, ops_at

from knowngood.cli import fleet_work
from knowngood.cli.commands import fleet
from knowngood.model.matrix import UndoClass
from knowngood.model.plan import Plan
from knowngood.model.run_summary import RunSummary
from knowngood.planner.plan.planning import plan

STAGES = "stages:\n  - {name: first, clusters: [lab]}\n  - {name: then, clusters: [second]}\n"


@dataclass
class Scene:
    """An operations repository with a remote and two clusters; a run of one pins it, as a real one does at its end."""

    ops: Ops
    remote: Path
    told: dict[str, list[str]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    open_runs: dict[str, RunSummary] = field(default_factory=dict)

    def child(self, words: Sequence[str], folder: Path) -> Child:
        name = folder.name
        self.told[name] = [*words]
        matrix = Path(words[words.index("--matrix") + 1])
        assert matrix != self.ops.matrix, "the user's files are not what it reads"
        assert (matrix / "fleet.yaml").exists()
        if self.ends.get(name, 0) == 0:
            self.pin(name)
        return Child(self.ends.get(name, 0))

    def pin(self, cluster: str, *, proven: bool = True, **more: str) -> None:
        """Somebody else's push to the matrix's branch: a run's, with its evidence, or a person's."""
        clone = self.remote.parent / f"clone-{cluster}"
        git(self.remote.parent, "clone", "--quiet", f"file://{self.remote}", str(clone))
        file = clone / "matrix" / "clusters" / f"{cluster}.yaml"
        file.write_text(file.read_text().replace("release: old", "release: new"))
        if proven:
            proof = clone / "matrix" / "evidence" / cluster / "new-r1.json"
            proof.parent.mkdir(parents=True)
            versions = {**VERSIONS, "nvidia-driver": "595.91.07"}
            told = {"cluster": cluster, "release": "new", "versions": versions}
            told["time"] = datetime.now(UTC).isoformat()
            told |= more
            proof.write_text(json.dumps(evidence(self.ops, **told)))
            git(clone, "add", "-A")
        git(clone, "-c", "user.name=Jo", "-c", "user.email=jo@example.com", "commit", "--quiet", "-am", "pin")
        git(clone, "push", "--quiet")

    def asks(self, *arguments: object) -> Said:
        kube = self.remote.parent / "kube"
        where = ("--matrix", self.ops.matrix, "--runs-dir", self.remote.parent / "state" / "runs")
        return knowngood("fleet", *arguments, *where, "--kubeconfigs", kube)

    def upgrade(self, *more: object) -> Said:
        return self.asks("upgrade", "--to", "new", "--yes", "--output", "json", *more)


@dataclass
class Child:
    code: int

    def wait(self) -> int:
        return self.code

    def interrupt(self) -> None:
        raise AssertionError("nobody stopped it")

    def last_words(self) -> str:
        return "knowngood: the gate said no"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    ops, remote = ops_at(tmp_path / "ops"), tmp_path / "remote.git"
    clusters = ops.matrix / "clusters"
    shutil.copy(clusters / "lab.yaml", clusters / "second.yaml")
    (ops.matrix / "fleet.yaml").write_text(STAGES)
    new = (ops.matrix / "releases/old.yaml").read_text().replace("580.173.02", "595.91.07")
    (ops.matrix / "releases/new.yaml").write_text(new)
    ops.commit("two clusters")
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(remote))
    ops.git("remote", "add", "origin", f"file://{remote}")
    ops.git("push", "--quiet", "-u", "origin", "main")
    (tmp_path / "kube").mkdir()
    for name in ("lab", "second.kubeconfig"):
        (tmp_path / "kube" / name).write_text("kind: Config\n")
    made = Scene(ops, remote)
    monkeypatch.setattr(fleet, "KnowngoodChild", made.child)
    monkeypatch.setattr(
        fleet_work,
        "of_cluster",
        lambda at: tuple(run for name, run in made.open_runs.items() if at.kubeconfig.stem == name),
    )
    return made


def test_stage_after_stage_each_read_from_the_head_of_the_branch(scene: Scene) -> None:
    said = scene.upgrade()
    assert said.code == 0, said.err
    assert [*scene.told] == ["lab", "second"]
    assert scene.told["second"][-2:] == ["--record", "branch=main"]
    assert [row["told"] for row in json.loads(said.out)["clusters"]] == ["proven", "proven"]
    assert "release: old" in (scene.ops.matrix / "clusters/lab.yaml").read_text(), (
        "the user's files stay as they are"
    )
    assert scene.ops.git("status", "--porcelain") == ""
    assert scene.ops.git("worktree", "list").count("\n") == 0
    assert scene.ops.git("for-each-ref", "refs/knowngood") == ""


def test_a_dry_run_reads_the_head_and_leaves_no_ref_work_tree_or_file(scene: Scene) -> None:
    """The head is another one than the user's own branch of that remote knows."""
    scene.pin("lab")
    refs, git_dir = scene.ops.git("for-each-ref"), scene.ops.matrix.parent / ".git"
    said = scene.upgrade("--dry-run")
    assert (said.code, "dry run, so nothing was written: Move second?" in said.err) == (0, True), said.err
    assert scene.told == {}
    assert scene.ops.git("for-each-ref") == refs
    assert scene.ops.git("worktree", "list").count("\n") == 0
    assert not (git_dir / "FETCH_HEAD").exists()
    assert not [*(scene.remote.parent / "state" / "fleet").iterdir()]


def test_what_was_not_proven_ends_the_line_and_what_was_is_not_moved_again(scene: Scene) -> None:
    scene.ends["second"] = 6
    assert scene.upgrade().code == 6
    scene.told.clear()
    scene.ends.clear()
    said = scene.upgrade()
    assert (said.code, [*scene.told]) == (0, ["second"]), said.err
    scene.told.clear()
    said = scene.upgrade()
    assert (said.code, scene.told) == (0, {})
    assert "nothing to do: each cluster is proven" in said.err


def test_an_open_run_on_the_way_there_is_resumed_and_another_one_is_a_reason_to_stop(scene: Scene) -> None:
    scene.open_runs["lab"] = RunSummary("r20260822-030000-aaaa", "lab", "old", "new", changed=True)
    scene.open_runs["second"] = RunSummary("r20260822-030000-bbbb", "second", "old", "third", changed=True)
    said = scene.upgrade()
    assert said.code == 1
    assert scene.told["lab"][-4:] == ["resume", "r20260822-030000-aaaa", "--output", "json"]
    assert "second" not in scene.told
    assert "run r20260822-030000-bbbb to third is open on second" in said.err


def test_status_says_of_each_its_run(scene: Scene) -> None:
    scene.open_runs["lab"] = RunSummary(
        "r20260822-030000-aaaa", "lab", "old", "new", started="2026-08-22T03:00:00Z", step="hop-1/ring-0/soak"
    )
    said = scene.asks("status")
    assert said.code == 0
    assert "r20260822-030000-aaaa → new: open since 2026-08-22T03:00:00Z, at hop-1/ring-0/soak" in said.out
    assert said.out.splitlines()[-1].endswith("none")


def test_without_a_kubeconfig_for_one_that_would_move_nothing_begins(scene: Scene) -> None:
    (scene.remote.parent / "kube" / "second.kubeconfig").unlink()
    said = scene.upgrade()
    assert (said.code, scene.told) == (2, {})
    assert "there is no kubeconfig for second" in said.err


def test_without_a_remote_no_stage_could_read_what_the_one_before_has_proven(scene: Scene) -> None:
    scene.ops.git("remote", "remove", "origin")
    said = scene.upgrade()
    assert (said.code, scene.told) == (2, {})
    assert "no stage would read" in said.err


def test_a_matrix_without_stages_says_how_to_name_them(scene: Scene) -> None:
    (scene.ops.matrix / "fleet.yaml").unlink()
    said = knowngood("fleet", "plan", "--to", "new", "--matrix", scene.ops.matrix)
    assert said.code == 2
    assert "the matrix names no stages" in said.err
    assert "stages: [{name: staging" in said.err


def test_plan_tells_the_move_of_each(scene: Scene) -> None:
    said = knowngood("fleet", "plan", "--to", "new", "--matrix", scene.ops.matrix)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split() == ["stage", "cluster", "hardware", "release", "the", "move"]
    assert [line.split()[0] for line in lines[1:]] == ["first", "then"]
    assert all("→ new: 1 hop" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("said_yes_to", "told"),
    [
        ("gpu-oprator", "known: gpu-operator"),
        ("gpu-operator", "--accept-no-canary gpu-operator: no cluster's move brings it without a canary"),
    ],
)
def test_a_yes_to_what_no_move_does_is_not_dropped_in_silence(
    scene: Scene, said_yes_to: str, told: str
) -> None:
    said = scene.upgrade("--accept-no-canary", said_yes_to)
    assert (said.code, scene.told) == (2, {})
    assert told in said.err


def test_plan_says_what_can_not_be_undone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*asked: Any, **more: Any) -> Plan:
        found = plan(*asked, **more)
        return replace(found, hops=tuple(replace(h, undo=UndoClass.FORWARD_ONLY) for h in found.hops))

    monkeypatch.setattr("knowngood.cli.fleet_work.plan", closed)
    said = knowngood("fleet", "plan", "--to", "new", "--matrix", scene.ops.matrix)
    assert "can't be undone: --accept-forward-only" in said.out


def test_a_pin_without_evidence_proves_nothing(scene: Scene) -> None:
    """Who pins by hand says what shall run there, not that it was judged."""
    scene.pin("lab", proven=False)
    said = scene.upgrade()
    assert (said.code, scene.told) == (1, {})
    assert "lab: no evidence says that new ran there" in said.err
    assert "--accept-pin lab" in said.err
    said = scene.upgrade("--accept-pin", "lab")
    assert (said.code, [*scene.told]) == (0, ["second"]), said.err


def test_where_the_release_failed_no_yes_to_the_pin_goes_on(scene: Scene) -> None:
    scene.pin("lab", status="failed")
    said = scene.upgrade("--accept-pin", "lab")
    assert (said.code, scene.told) == (1, {})
    assert "lab: new failed there in run" in said.err
    assert "knowngood status RUN" in said.err
    assert "--accept-pin lab" not in said.err


def test_evidence_that_has_run_out_is_a_note_and_the_fleet_goes_on(scene: Scene) -> None:
    scene.pin("lab", expires="2026-08-01T00:00:00Z")
    said = scene.upgrade()
    assert (said.code, [*scene.told]) == (0, ["second"]), said.err
    assert "lab: the evidence of run r1 has run out" in said.err


def test_plan_takes_a_yes_to_a_pin_as_upgrade_does(scene: Scene) -> None:
    scene.pin("lab", proven=False)
    scene.ops.git("pull", "--quiet")
    asked = ("plan", "--to", "new", "--matrix", scene.ops.matrix)
    said = knowngood("fleet", *asked)
    assert said.code == 1
    assert "refused: no evidence says that new ran there" in said.out
    said = knowngood("fleet", *asked, "--accept-pin", "lab")
    assert (said.code, "refused" in said.out) == (0, False), said.out


@pytest.mark.parametrize(
    ("cluster", "told"), [("second", "it is pinned to old, not to new"), ("nix", "known: lab, second")]
)
def test_a_yes_to_a_pin_that_is_none_is_not_dropped_in_silence(scene: Scene, cluster: str, told: str) -> None:
    said = knowngood("fleet", "plan", "--to", "new", "--matrix", scene.ops.matrix, "--accept-pin", cluster)
    assert said.code == 2
    assert told in said.err
