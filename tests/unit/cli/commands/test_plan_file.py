"""A plan in a file: `plan --out` keeps it, `upgrade --plan` refuses it once anything it rests on has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.ops import Ops, ops_at
from tests.unit.engine.scene import a_plan

from knowngood.cli import plan_file, play, wiring
from knowngood.cli.commands import upgrade
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.plan_file import Basis, PlanFile
from knowngood.report import published


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    """An operations repository, and no cluster: whoever would ask it is answered here."""
    made = ops_at(tmp_path / "ops")
    shutil.copytree(matrix_dir() / "components", made.matrix / "components", dirs_exist_ok=True)
    new = made.release("old").replace("580.173.02", "595.91.07")
    (made.matrix / "releases" / "new.yaml").write_text(new)
    (made.matrix / "clusters" / "other.yaml").write_text((made.matrix / "clusters" / "lab.yaml").read_text())
    (made.root / "kubeconfig").write_text("{}")
    made.commit()
    monkeypatch.chdir(made.root)
    monkeypatch.setattr(wiring, "declared_versions", lambda _cluster: {})
    monkeypatch.setattr(wiring, "required_in_git", lambda _cluster, _plan: ())
    monkeypatch.setattr(play, "declared_versions", lambda _cluster: {})
    monkeypatch.setattr(upgrade, "check_cluster", lambda _cluster, _kubeconfig: "")
    monkeypatch.setattr(upgrade, "heeded", lambda _source, plan, _kubeconfig, **_: (plan, {}))
    return made


def kept(cluster: str = "lab", *more: object) -> Said:
    return knowngood("plan", cluster, "--to", "new", "--out", "the.plan", *more)


def goes(*more: object) -> Said:
    """Up to where somebody would be asked: with --dry-run that is the end."""
    return knowngood("upgrade", "lab", "--plan", "the.plan", "--kubeconfig", "kubeconfig", "--dry-run", *more)


def test_a_kept_plan_is_gone_by_as_long_as_all_is_as_it_was(ops: Ops) -> None:
    assert kept().code == 0
    schema = published.schema("plan-file")
    Draft202012Validator(schema).validate(json.loads((ops.root / "the.plan").read_text()))
    said = goes()
    assert said.code == 0, said.err
    assert "dry run, so nothing was written: Move lab from old to new?" in said.err
    assert "580.173.02 → 595.91.07" in said.err


def test_evidence_and_other_clusters_change_all_the_time_and_it_holds(ops: Ops) -> None:
    kept()
    ops.edit("clusters/other.yaml", "batch: 1}", "batch: 1} # mended")
    ops.commit()
    assert goes().code == 0


@pytest.mark.parametrize("file", ["releases/new.yaml", "clusters/lab.yaml", "profiles/pcie.yaml"])
def test_what_the_matrix_says_otherwise_is_the_reason(ops: Ops, file: str) -> None:
    kept()
    (ops.matrix / file).write_text((ops.matrix / file).read_text() + "# another word\n")
    ops.commit()
    said = goes()
    assert said.code == 1
    assert f"matrix/{file} was changed" in said.err
    assert "nothing was changed" in said.err


def test_what_git_declares_otherwise_is_the_reason(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    kept()
    monkeypatch.setattr(
        play, "declared_versions", lambda _cluster: {("nvidia-driver", "ring-0"): "595.91.07"}
    )
    said = goes()
    assert said.code == 1
    assert "the plan would be another: hops.0.rings" in said.err


def test_another_version_of_knowngood_may_mean_another_thing(ops: Ops) -> None:
    kept()
    file = ops.root / "the.plan"
    value = json.loads(file.read_text())
    file.write_text(json.dumps({**value, "version": "0.0.9"}))
    said = goes()
    assert said.code == 1
    assert "made by knowngood 0.0.9" in said.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1: not valid JSON"),
        ("[]", "is no plan that knowngood wrote"),
        ("{}", "is no plan that knowngood wrote"),
        ('{"schema": 1, "plan": {"hops": 3}}', "is no plan that knowngood wrote"),
    ],
)
def test_a_file_that_is_no_plan_is_a_usage_error(ops: Ops, text: str, says: str) -> None:
    (ops.root / "the.plan").write_text(text)
    said = goes()
    assert said.code == 2
    assert says in said.err
    assert "knowngood plan CLUSTER --to RELEASE --out FILE" in said.err


@pytest.mark.parametrize(("name", "value"), [("to_release", 5), ("accepted", [[1]])])
def test_a_plan_that_somebody_edited_is_a_usage_error_with_the_place(
    tmp_path: Path, name: str, value: object
) -> None:
    kept = PlanFile(1, "1", "2026-01-01T00:00:00Z", a_plan(), Basis({}))
    values = to_json(kept)
    (tmp_path / "the.plan").write_text(json.dumps(values))
    assert plan_file.read(tmp_path / "the.plan").plan.to_release == kept.plan.to_release
    values["plan"][name] = value
    (tmp_path / "the.plan").write_text(json.dumps(values))
    with pytest.raises(UsageError, match=rf"wrote: \$\.plan\.{name}"):
        plan_file.read(tmp_path / "the.plan")


def test_nodes_that_could_not_be_read_are_named_when_it_is_written(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {"gpu-1": {"nvidia-driver": "580"}, "gpu-2": {}}
    monkeypatch.setattr(plan_file, "basis", lambda *_: Basis({}, asked=True, nodes=nodes))
    assert "not of gpu-2: could not be read" in kept().err


def test_a_plan_of_another_kind_of_file_is_refused(ops: Ops) -> None:
    kept()
    file = ops.root / "the.plan"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 9'))
    assert "has schema 9, this knowngood reads 1" in goes().err


def test_names_beside_the_plan_must_be_its_own(ops: Ops) -> None:
    kept()
    assert "it plans release new, not old" in goes("--to", "old").err
    said = knowngood("upgrade", "other", "--plan", "the.plan", "--kubeconfig", "kubeconfig")
    assert (said.code, "it plans cluster lab, not other" in said.err) == (2, True)
    neither = knowngood("upgrade", "other", "--kubeconfig", "kubeconfig")
    assert (neither.code, "--to RELEASE, or --plan FILE" in neither.err) == (2, True)


@pytest.mark.parametrize("more", [("--from-file", "x.yaml"), ("--catalog", "gpu-operator=x.yaml")])
def test_what_an_upgrade_does_not_go_by_is_not_kept(ops: Ops, more: tuple[str, ...]) -> None:
    said = kept("lab", *more)
    assert said.code == 2
    assert "does not go with --out" in said.err
    assert not (ops.root / "the.plan").exists()


def test_a_plan_that_no_upgrade_makes_is_not_kept(ops: Ops) -> None:
    ops.edit("clusters/lab.yaml", "path: spec.version", "path: spec.another")  # which its mover does not know
    said = kept()
    assert said.code == 1
    assert not (ops.root / "the.plan").exists()


def test_only_an_older_plan_is_written_over(ops: Ops) -> None:
    assert (kept().code, kept().code) == (0, 0)
    (ops.root / "the.plan").write_text("mine")
    said = kept()
    assert (said.code, "is there already, and no plan" in said.err) == (2, True)
    assert (ops.root / "the.plan").read_text() == "mine"


def test_a_file_that_cant_be_written_is_a_usage_error(ops: Ops) -> None:
    said = knowngood("plan", "lab", "--to", "new", "--out", "nowhere/the.plan")
    assert said.code == 2
    assert "can't be written" in said.err
