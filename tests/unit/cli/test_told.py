"""What is told of a run is what the cluster says, on any machine; where it can't be asked, that is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.cli.called import knowngood
from tests.unit.cli.commands.test_run_commands import write
from tests.unit.report.played import Played, calm, undone

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.lease import LEASE_PATH
from knowngood.cli import existing_run as known_module
from knowngood.cli import told
from knowngood.cli.watch import watch
from knowngood.model import names
from knowngood.model.errors import ExitCode, Unreachable
from knowngood.model.state import End, RunState, fold
from knowngood.model.steppath import StepPath

THERE = "r20260822-050000-eeee"
CLAIM = "hop-1/ring-0/batch-1/claim"


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """A cluster of the scene's nodes, behind every kubeconfig."""
    fake = FakeKube()
    fake.put(f"/api/v1/namespaces/{names.NAMESPACE}", {"metadata": {}})
    for name in ("gpu-1", "gpu-2", "gpu-3", "gpu-4", "gpu-5", "gpu-6"):
        fake.put(f"/api/v1/nodes/{name}", {"metadata": {"name": name, "annotations": {}}, "spec": {}})
    monkeypatch.setattr(told, "quick", lambda _path: fake)
    monkeypatch.setattr(known_module, "checkpoint", lambda _path, **_: ConfigMapCheckpoint(fake))
    return fake


def save(kube: FakeKube, run: Played, name: str = THERE, **more: Any) -> RunState:
    """A run's checkpoint in the cluster, with the files that its records name."""
    state = fold(run.records)
    state = replace(state, run=name, frozen={**state.frozen, "run": name}, **more)
    checkpoint = ConfigMapCheckpoint(kube)
    checkpoint.save(state)
    for digest, data in run.files.items():
        checkpoint.keep(name, digest, data)
    return state


def claimed(kube: FakeKube, node: str, run: str = THERE, **without: bool) -> None:
    annotations = {} if without.get("claim") else {names.CLAIM_ANNOTATION: f"{run}/1"}
    taint = {"key": names.MAINTENANCE_TAINT, "value": run, "effect": "NoSchedule"}
    spec = {"unschedulable": True, "taints": [taint]}
    kube.put(f"/api/v1/nodes/{node}", {"metadata": {"name": node, "annotations": annotations}, "spec": spec})


def test_status_shows_the_run_that_is_open_on_the_cluster_on_any_machine(
    kube: FakeKube, tmp_path: Path
) -> None:
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"), who="jo@laptop-a", version="9.9.9")
    write(tmp_path / "r20260822-060000-ffff", calm())
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert said.code == 0, said.err
    assert f"run {THERE}" in said.out
    assert "by jo@laptop-a with knowngood 9.9.9" in said.out


def test_status_without_an_open_run_shows_the_newest_here(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, calm())
    write(tmp_path / "r20260822-060000-ffff", calm())
    assert "run r20260822-060000-ffff" in knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x").out


def test_a_run_killed_at_its_start_is_not_open_once_a_newer_one_came(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, calm().until("preflight"), "r20260822-010000-aaaa")
    kube.objects[f"/api/v1/namespaces/{names.NAMESPACE}/configmaps/knowngood-run-r20260822-010000-aaaa"][
        "metadata"
    ]["creationTimestamp"] = "2026-08-22T01:00:00Z"
    save(kube, calm())
    assert told.open_one(ConfigMapCheckpoint(kube).runs()) is None


def test_status_agrees_with_the_nodes_after_a_kill_in_the_middle_of_claim(
    kube: FakeKube, tmp_path: Path
) -> None:
    """The first node is tainted, the second is not: both commands say so, and nothing else."""
    save(kube, undone().until(CLAIM))
    claimed(kube, "gpu-1")
    found = json.loads(knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x", "-o", "json").out)
    assert found["asked"] is True
    assert {n: t["now"] for n, t in found["nodes"].items() if t["now"] != "in service"} == {"gpu-1": "out"}
    assert found["nodes"]["gpu-1"]["times_out"] == 1


def test_where_the_cluster_does_not_answer_status_is_as_of_the_journal(
    kube: FakeKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / THERE, undone().until(CLAIM))

    def away(_path: object) -> FakeKube:
        raise Unreachable("no route to host")

    monkeypatch.setattr(told, "quick", away)
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert said.code == 0
    assert "the cluster does not answer (no route to host)" in said.err
    assert "nodes, as of the journal" in said.out
    assert "unknown: a step on it has no answer" in said.out


def test_the_nodes_of_a_cluster_that_does_not_know_the_run_say_nothing_about_it(
    kube: FakeKube, tmp_path: Path
) -> None:
    write(tmp_path / THERE, undone().until("hop-1/ring-0/batch-1/drain"))
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert "nodes, as of the journal" in said.out
    assert "in service" in said.out


def test_a_node_whose_claim_was_removed_is_named_with_what_to_do(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"))
    claimed(kube, "gpu-1", claim=True)
    claimed(kube, "gpu-2")
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert "marked: somebody removed its claim" in said.out
    assert "knowngood clear gpu-1" in said.out


def test_nothing_of_ours_is_left_that_status_does_not_name(kube: FakeKube, tmp_path: Path) -> None:
    """Also on nodes that this run does not speak of, and by other runs on those that it does."""
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"))
    kube.put("/api/v1/nodes/gpu-9", {"metadata": {"name": "gpu-9", "annotations": {}}, "spec": {}})
    for node in ("gpu-9", "gpu-5"):
        claimed(kube, node, "r20260101-010101-0000", claim=True)
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert "knowngood clear gpu-9" in said.out
    assert "knowngood clear gpu-5" in said.out


def test_all_runs_here_and_in_the_cluster_are_one_list_with_dates_ends_and_who(
    kube: FakeKube, tmp_path: Path
) -> None:
    """No run's state is read for it."""
    save(kube, calm(), who="jo@laptop-a")
    write(tmp_path / THERE, calm())
    write(tmp_path / "r20260822-060000-ffff", undone())
    seen: list[str] = []
    kube.before.append(lambda method, where: seen.append(where))
    said = knowngood("status", "--all", "--runs-dir", tmp_path, "--kubeconfig", "x", "-o", "json")
    rows = {row["run"]: row for row in json.loads(said.out)["runs"]}
    assert set(rows) == {THERE, "r20260822-060000-ffff"}
    assert (rows[THERE]["who"], rows[THERE]["state"], rows[THERE]["where"]) == (
        "jo@laptop-a",
        "done",
        "here, cluster",
    )
    assert rows[THERE]["started"].startswith("2026-08-22T03:00")
    assert len(seen) == 1, "one list, and no state"


def test_watch_prints_what_is_new_until_the_run_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("gpu-1 out\n1 s to go\n", "gpu-1 out\ngpu-2 out\n0 s to go\n", "done\n")
    screens = iter([(text, text == texts[-1]) for text in texts])
    watch(lambda: next(screens), plain=True, every=0)
    assert capsys.readouterr().out == "gpu-1 out\n1 s to go\ngpu-2 out\ndone\n"


def test_watch_ends_cleanly_on_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> tuple[str, bool]:
        raise KeyboardInterrupt

    watch(look, plain=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("ago", "says"), [(5, "running:"), (3600, "nobody has renewed its Lease since")])
def test_a_runner_elsewhere_that_renews_no_more_is_said_to_be_gone(
    kube: FakeKube, tmp_path: Path, ago: int, says: str
) -> None:
    """Its Lease still names it: a laptop that died has given nothing back."""
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"))
    renewed = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    kube.put(
        LEASE_PATH, {"spec": {"holderIdentity": THERE, "leaseDurationSeconds": 60, "renewTime": renewed}}
    )
    said = knowngood("status", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert says in said.out
    assert (f"knowngood resume {THERE}" in said.out) is (ago == 3600)


def test_a_run_elsewhere_is_named_by_the_beginning_of_its_id_too(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, calm())
    asked = ("--runs-dir", tmp_path, "--kubeconfig", "x")
    assert f"run {THERE}" in knowngood("status", "r20260822-05", *asked).out
    save(kube, calm(), "r20260822-050000-ffff")
    said = knowngood("status", "r20260822-05", *asked)
    assert said.code == 2
    assert "2 checkpoints that begin so" in said.err


def test_a_name_that_means_several_runs_here_is_not_looked_for_elsewhere(
    kube: FakeKube, tmp_path: Path
) -> None:
    for run in ("r20260822-060000-aaaa", "r20260822-060000-bbbb"):
        write(tmp_path / run, calm())
    said = knowngood("status", "r20260822-06", "--runs-dir", tmp_path, "--kubeconfig", "x")
    assert (said.code, "is the beginning of 2 runs" in said.err) == (2, True), said.err


def test_a_run_that_holds_others_or_nodes_is_open_behind_one_that_was_refused(kube: FakeKube) -> None:
    """It has committed nothing yet, and still nobody else may begin before it has ended."""
    state = save(kube, calm().until("hop-1/ring-0/window"), "r20260822-010000-aaaa")
    path = f"/api/v1/namespaces/{names.NAMESPACE}/configmaps/knowngood-run-r20260822-010000-aaaa"
    kube.objects[path]["metadata"]["creationTimestamp"] = "2026-08-22T01:00:00Z"
    save(kube, calm(), end=End("refused", ExitCode.REFUSED, "left over"), intended=(StepPath("observe"),))
    assert told.open_one(ConfigMapCheckpoint(kube).runs()) is None, "nothing is held"
    holding = replace(state, intended=(*state.intended, StepPath("hold")), seq=state.seq + 1)
    mine = ConfigMapCheckpoint(kube)
    mine.load(state.run)
    mine.save(holding)
    found = told.open_one(mine.runs())
    assert found is not None
    assert found.run == state.run


def test_watch_outlasts_a_cluster_that_is_away_for_a_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """Who follows a run of hours does not lose it to a second; that nobody answers at all is an error."""
    answers: Iterator[tuple[str, bool] | Unreachable]
    answers = iter([("gpu-1 out\n", False), Unreachable("no answer"), ("done\n", True)])

    def look() -> tuple[str, bool]:
        found = next(answers)
        if isinstance(found, Unreachable):
            raise found
        return found

    watch(look, plain=True, every=0)
    assert capsys.readouterr().out == "gpu-1 out\nthe cluster does not answer: no answer\ndone\n"
    answers = iter([Unreachable("no answer")])
    with pytest.raises(Unreachable):
        watch(look, plain=True, every=0)
