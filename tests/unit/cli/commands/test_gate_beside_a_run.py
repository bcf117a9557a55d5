"""`knowngood gate` beside a run and beside tenants: what is in use is left alone, named, and never silently a pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from tests.unit.engine.scene import a_cluster, a_profile

from knowngood.cli import gate_held, gate_work
from knowngood.cli.commands import gate
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.hardware import Hardware
from knowngood.model.marks import Marks
from knowngood.model.matrix import Release, ReleaseStatus
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState, Workload
from knowngood.model.pulling import Pulling
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.cancel import Cancel
from knowngood.report import published

NODES = ("gpu-1", "gpu-2", "gpu-3")
GATES: dict[str, dict[str, Any]] = {
    "errors": {"kind": "passive"},
    "smoke": {"kind": "active", "withinDays": 7},
}


class Cluster:
    """What the reader says."""

    def __init__(self) -> None:
        self.found: dict[str, Marks] = {}
        self.works: list[Workload] = []

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        return {n: NodeState(n, reachable=True, boot_id="b", uptime_seconds=9.0) for n in nodes}

    def marks(self) -> Mapping[str, Marks]:
        return {n: self.found.get(n, Marks()) for n in NODES}

    def workloads(self) -> Sequence[Workload]:
        return self.works


class Judge:
    """Passes everything and remembers where it ran."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, tuple[str, ...]]] = []

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        self.ran.append((request.name, tuple(request.nodes)))
        results = tuple(GateResult(g, n, Verdict.PASS, "") for g in request.gates for n in request.nodes)
        return Judgement(results)


class Night:
    """A nightly call in `folder`."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.cluster, self.judge, self.lease = folder, Cluster(), Judge(), None
        for module in (gate_work, gate_held):
            patch.setattr(module, "reader", lambda *_: self.cluster)
        patch.setattr(gate_work, "judge_of", lambda *_: self.judge)
        patch.setattr(gate_work, "_place", lambda _: None)
        patch.setattr(gate_held, "Kube", lambda _: SimpleNamespace(find=lambda _: self.lease))

    def run(
        self, name: str = "g2", gates: tuple[str, ...] = (), registry: Pulling | None = None
    ) -> tuple[int, dict[str, Any], ET.Element]:
        """Exit code, summary and JUnit."""
        hardware = Hardware((replace(a_profile(), gates=GATES),))
        source = SimpleNamespace(
            hardware=lambda _: hardware, matrix=SimpleNamespace(schemes={}, movers={}, reported={})
        )
        release = Release("r595", ReleaseStatus.CANDIDATE, {}, (), a_cluster().where)
        place = (
            source,
            replace(a_cluster(), registry=registry),
            release,
            self.folder,
            self.folder / name,
            NODES,
            gates,
        )
        work = gate_work.Work(*place, profile="nightly")  # type: ignore[arg-type]  # a source in words
        lines = gate_work.judge(work, since=None, taking=False)
        verdict = gate.verdict_of(work, lines)
        gate._report(work, lines, verdict, "text", 1.0)
        summary = json.loads((work.folder / "summary.json").read_text())
        return int(gate.EXITS[verdict]), summary, ET.parse(work.folder / "junit.xml").getroot()  # noqa: S314 (ours)


@pytest.fixture(name="night")
def _night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(tmp_path, monkeypatch)


def test_images_are_asked_for_where_the_cluster_file_has_a_registry(night: Night) -> None:
    """And nowhere else: a run asks before its first change, so no outage in its midst is a verdict."""

    def gates(junit: ET.Element) -> set[str]:
        told = " ".join(str(sorted(case.attrib.values())) for case in junit.iter("testcase"))
        return {gate for gate in ("errors", "smoke", "registry") if gate in told}

    assert gates(night.run()[2]) == {"errors", "smoke"}
    assert gates(night.run("g3", registry=Pulling())[2]) == {"errors", "smoke", "registry"}
    assert gates(night.run("g4", ("registry",), Pulling())[2]) == {"registry"}
    with pytest.raises(UsageError, match="no gate 'registry' applies"):
        night.run("g5", ("registry",))


def busy(*nodes: str) -> list[Workload]:
    return [Workload("vision", "vision", "Job", "train", 1, 1, nodes, ready_nodes=nodes)]


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        (Marks(claim="run-1/3", maintenance="run-1", cordoned=True), "run run-1 has claimed it"),
        (Marks(quarantine="run-1", cordoned=True), "run run-1 has quarantined it"),
        (Marks(maintenance="run-1"), "run run-1 has tainted it"),
    ],
)
def test_no_gate_runs_on_a_node_that_a_run_holds_and_the_node_is_named(
    night: Night, marks: Marks, said: str
) -> None:
    night.cluster.found["gpu-1"] = marks
    code, summary, junit = night.run()
    assert night.judge.ran == [("passive", NODES[1:]), ("active", NODES[1:])]
    assert code == ExitCode.INCONCLUSIVE
    assert summary["verdict"] == "inconclusive"
    assert {(n["gate"], n["node"], n["why"]) for n in summary["not_run"]} == {
        ("errors", "gpu-1", said),
        ("smoke", "gpu-1", said),
    }
    reasons = [s.get("message", "") for s in junit.iter("skipped")]
    assert len(reasons) == 2
    assert all(said in reason for reason in reasons)
    assert junit.get("skipped") == "2"


def test_a_gate_asked_for_by_name_leaves_a_held_node_alone_too(night: Night) -> None:
    night.cluster.found["gpu-1"] = Marks(claim="run-1/3")
    code, _, _ = night.run(gates=("smoke",))
    assert night.judge.ran == [("gate", NODES[1:])]
    assert code == ExitCode.INCONCLUSIVE


def test_while_a_run_is_open_no_active_gate_takes_a_node_that_it_may_claim_next(night: Night) -> None:
    now = datetime.now(UTC).isoformat()
    night.lease = {"spec": {"holderIdentity": "run-1", "renewTime": now, "leaseDurationSeconds": 60}}  # type: ignore[assignment]
    code, summary, _ = night.run()
    assert night.judge.ran == [("passive", NODES)]
    assert code == ExitCode.INCONCLUSIVE
    assert {n["why"] for n in summary["not_run"]} == {"run run-1 is open and may take it out at any time"}


def test_a_lease_that_ran_out_or_was_given_back_keeps_nobody_away() -> None:
    now = datetime(2026, 8, 22, tzinfo=UTC)
    lease = {
        "holderIdentity": "run-1",
        "renewTime": "2026-08-21T00:00:00.000000Z",
        "leaseDurationSeconds": 60,
    }
    assert gate_held.open_run({"spec": lease}, now) == ""
    assert gate_held.open_run({"spec": {**lease, "holderIdentity": ""}}, now) == ""
    assert gate_held.open_run(None, now) == ""
    # Since when, nobody knows.
    assert gate_held.open_run({"spec": {"holderIdentity": "run-1"}}, now) == "run-1"
    assert gate_held.open_run({"spec": {**lease, "renewTime": 7}}, now) == "run-1"


def test_a_required_active_gate_that_missed_a_busy_node_is_inconclusive_not_a_silent_pass(
    night: Night,
) -> None:
    night.cluster.works = busy("gpu-2")
    code, summary, junit = night.run()
    assert night.judge.ran == [("passive", NODES), ("active", ("gpu-1", "gpu-3"))]
    assert code == ExitCode.INCONCLUSIVE
    (missed,) = summary["not_run"]
    assert (missed["gate"], missed["node"], missed["fresh"]) == ("smoke", "gpu-2", False)
    assert "vision/train runs there" in next(junit.iter("skipped")).get("message", "")


def test_an_earlier_pass_that_is_young_enough_stands_and_the_summary_says_how_old_it_is(night: Night) -> None:
    assert night.run("g1")[0] == ExitCode.DONE
    night.cluster.works = busy(*NODES)
    code, summary, _ = night.run("g2")
    assert code == ExitCode.DONE
    assert [(n["node"], n["fresh"], n["days"], n["within"]) for n in summary["not_run"]] == [
        (n, True, 0.0, 7.0) for n in NODES
    ]


def test_a_kept_summary_that_can_not_be_read_says_nothing(night: Night) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"cluster": "ams-prod"}')):
        (night.folder / name).mkdir()
        (night.folder / name / "summary.json").write_text(text)
    assert gate_held.earlier(night.folder, "ams-prod") == []


def test_where_every_node_is_held_nothing_ran_and_nothing_passed(night: Night) -> None:
    night.cluster.found = {n: Marks(claim="run-1/1") for n in NODES}
    code, _, _ = night.run()
    assert night.judge.ran == []
    assert code == ExitCode.INCONCLUSIVE


def test_the_summary_keeps_to_its_schema(night: Night) -> None:
    night.cluster.works = busy("gpu-1")
    _, summary, _ = night.run()
    schema = published.schema("gate")
    schema["properties"]["judgements"] = {"type": "array"}
    jsonschema.Draft202012Validator(schema).validate(summary)
