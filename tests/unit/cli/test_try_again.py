"""A release that failed is refused before anything is written, unless --try-again says so; the way back never is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import NEW, World

from knowngood.adapters.gitops.gate_suite import suite_of
from knowngood.cli import try_again, wiring
from knowngood.cli.commands import upgrade
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.matrix_source import Source
from knowngood.cli.options import Settings
from knowngood.matrix.load import load
from knowngood.matrix.locate import gates_dir, matrix_dir
from knowngood.model.errors import ExitCode, Refused, Unreachable
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState
from knowngood.model.plan import Plan
from knowngood.planner.plan.planning import plan as make_plan

CLUSTER, BAD = "ams-prod", "r595"
NOW = Path("kubeconfig")


@dataclass
class Reader:
    """What the nodes run now."""

    world: World

    def observe(self, nodes: Sequence[str], specs: Specs) -> dict[str, NodeState]:
        return {
            n: NodeState(n, reachable=True, images={"nvidia-driver": "mirror/driver:580@sha256:9"})
            for n in nodes
        }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The cluster's own runs; none yet."""
    world = a_world()
    monkeypatch.setattr(wiring, "checkpoint", lambda _kubeconfig: FakeCheckpoint(world))
    monkeypatch.setattr(wiring, "reader", lambda _kubeconfig, _cluster: Reader(world))
    return world


@pytest.fixture(scope="module")
def source() -> Source:
    folder = matrix_folder(Settings(matrix=matrix_dir()))
    return Source(folder, load(folder))


@pytest.fixture
def plan(source: Source) -> Plan:
    """A plan of the shipped matrix to a release that comes after the pinned one."""
    return make_plan(source.matrix, CLUSTER, BAD)


def failed_here(world: World) -> None:
    world.bad = lambda request, node, w: (
        "Xid 31" if node == "gpu-1" and w.nodes[node].version == NEW and not request.taking_baseline else ""
    )
    an_engine(world, run="run-1").run()


def test_a_release_that_failed_on_this_cluster_is_refused(world: World, source: Source, plan: Plan) -> None:
    failed_here(world)
    with pytest.raises(Refused, match="r595 failed in run run-1 on ams-prod") as refused:
        try_again.heeded(source, plan, NOW, try_again=False)
    assert refused.value.exit_code is ExitCode.REFUSED
    assert "Xid 31" in refused.value.message
    assert "nothing was changed" in refused.value.message
    assert "--try-again" in refused.value.hint


def test_with_try_again_the_run_shows_and_freezes_what_is_different_now(
    world: World, source: Source, plan: Plan
) -> None:
    failed_here(world)
    made, kept = try_again.heeded(source, plan, NOW, try_again=True)
    (line,) = set(made.warnings) - set(plan.warnings)
    assert line.startswith("r595 is tried again: it failed in run run-1 on ams-prod")
    now = suite_of(gates_dir()).digest[:12]
    assert f"other gates judge: {now}, then {world.suite.digest[:12]}" in line
    assert "nvidia-driver runs from driver:580@sha256:9 on gpu-1" in line
    (one,) = kept["again"]
    assert (one["run"], one["cluster"]) == ("run-1", "ams-prod")
    assert one["different"].startswith("other gates judge")
    assert len(json.dumps(kept)) < 1000, "it stays in record 0 itself"


def test_where_nothing_failed_nothing_is_said(world: World, source: Source, plan: Plan) -> None:
    for asked in (False, True):
        assert try_again.heeded(source, plan, NOW, try_again=asked) == (plan, {})


def test_the_way_back_is_told_of_and_never_barred(world: World, source: Source, plan: Plan) -> None:
    failed_here(world)
    made, _ = try_again.heeded(source, plan, NOW, try_again=False, back=True)
    assert any(line.startswith("r595 is gone back to: it failed") for line in made.warnings)


def test_a_history_that_cannot_be_read_bars_an_upgrade_but_no_way_back(
    source: Source, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_kubeconfig: Path) -> None:
        raise Unreachable("the API server does not answer")

    monkeypatch.setattr(wiring, "checkpoint", away)
    with pytest.raises(Unreachable):
        try_again.heeded(source, plan, NOW, try_again=True)
    made, kept = try_again.heeded(source, plan, NOW, try_again=False, back=True)
    assert made.warnings[-1].startswith("what earlier runs say of r595 can't be read")
    assert kept == {}


@pytest.fixture
def elsewhere(source: Source, tmp_path: Path) -> Source:
    """The same matrix, in which another cluster of this hardware says that the release failed there."""
    folder = tmp_path / "matrix"
    shutil.copytree(source.folder, folder)
    evidence: dict[str, Any] = {
        "run": "r9",
        "cluster": "lab-small",
        "profile": source.cluster(CLUSTER).profile,
        "release": BAD,
        "from": source.cluster(CLUSTER).release,
        "versions": dict(source.release(BAD).components),
        "status": "failed",
        "because": "gpu-7: gpu_errors: Xid 31",
        "time": "2026-08-22T03:00:00Z",
        "verdicts": [{"gate": "gpu_errors", "node": "gpu-7", "verdict": "fail", "backend": ""}],
    }
    file = folder / "evidence" / "lab-small" / f"{BAD}-r9.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(evidence))
    return replace(source, folder=folder)


def test_a_release_that_failed_on_this_hardware_is_refused_by_evidence(
    world: World, elsewhere: Source, plan: Plan
) -> None:
    with pytest.raises(Refused, match="r595 failed in run r9 on lab-small"):
        try_again.heeded(elsewhere, plan, NOW, try_again=False)


def test_what_failed_elsewhere_bars_no_state_that_this_cluster_was_in(
    world: World, elsewhere: Source, plan: Plan
) -> None:
    cluster = replace(elsewhere.cluster(CLUSTER), release=BAD)
    own = replace(
        elsewhere, matrix=replace(elsewhere.matrix, clusters={**elsewhere.matrix.clusters, CLUSTER: cluster})
    )
    made, _ = try_again.heeded(own, plan, NOW, try_again=False)
    assert any(line.startswith("r595 ran here before: it failed in run r9") for line in made.warnings)


def test_plan_says_it_too(world: World, elsewhere: Source) -> None:
    said = knowngood("plan", CLUSTER, "--to", BAD, "--matrix", elsewhere.folder)
    assert said.code == 0
    assert "r595 failed in run r9 on lab-small" in said.out
    assert "upgrade refuses it without --try-again" in said.out
    failed_here(world)
    said = knowngood("plan", CLUSTER, "--to", BAD, "--matrix", matrix_dir(), "--kubeconfig", NOW)
    assert "r595 failed in run run-1 on ams-prod" in said.out


def test_upgrade_refuses_with_exit_1_and_writes_nothing(
    world: World, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_here(world)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("kind: Config\n")
    monkeypatch.setattr(upgrade, "refuse_dirty", lambda *_, **__: None)
    monkeypatch.setattr(upgrade, "check_cluster", lambda *_: "")
    monkeypatch.setattr(upgrade, "planned", lambda _request: plan)

    def called(*more: str) -> Said:
        return knowngood(
            *("upgrade", CLUSTER, "--to", BAD, "--kubeconfig", kubeconfig, "--runs-dir", tmp_path / "runs"),
            *("--matrix", matrix_dir(), *more),
        )

    said = called("--yes")
    assert said.code == 1
    assert "r595 failed in run run-1" in said.err
    assert "--try-again" in said.err
    assert not (tmp_path / "runs").exists()
    said = called("--try-again")  # and then a person is asked, who is not there
    assert said.code == 2
    assert "r595 is tried again" in said.err
    assert not (tmp_path / "runs").exists()
