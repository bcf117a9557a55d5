"""`doctor` before it asks the cluster: what Git, the plan, the matrix's evidence and somebody's yes have to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood
from tests.unit.engine.fleet_scene import operator_plan

from knowngood.cli.commands import doctor
from knowngood.cli.commands.doctor import Doctor
from knowngood.cli.matrix_source import at
from knowngood.cli.options import Settings
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import Refused, Unreachable
from knowngood.model.examination import Line
from knowngood.model.matrix import UndoClass
from knowngood.model.plan import Plan
from knowngood.model.verdict import Verdict
from knowngood.planner.consent import Consent

SOURCE = at(matrix_dir())


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(doctor, "declared_versions", lambda _: {})


def lines(release: str, consent: Consent | None = None) -> Mapping[str, Line]:
    asked = Doctor(Settings(), SOURCE, "ams-prod", release, "file", consent or Consent())
    return {line.check: line for line in asked.examined().lines}


def onward(*_: object, **__: object) -> Plan:
    plan = operator_plan()
    return replace(plan, hops=tuple(replace(hop, undo=UndoClass.FORWARD_ONLY) for hop in plan.hops))


def test_where_git_does_not_answer_no_plan_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise Unreachable("no answer")

    monkeypatch.setattr(doctor, "declared_versions", away)
    found = lines("r595")
    assert (found["git"].verdict, found["plan"].verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert "what Git declares is not known" in found["plan"].findings[0].what


def test_where_there_is_nothing_to_do_it_says_so() -> None:
    plan = lines("r580")["plan"]
    assert plan.verdict is Verdict.PASS
    assert plan.notes[0].startswith("nothing to do: Git declares r580 already")


@pytest.mark.parametrize("yes", [("--accept-no-canary", "nfd"), ("--accept-forward-only",), ("--try-again",)])
def test_a_yes_without_a_release_is_refused(yes: tuple[str, ...]) -> None:
    said = knowngood("doctor", "ams-prod", *yes)
    assert said.code == 2
    assert "--to RELEASE" in said.err


def test_every_yes_that_a_run_would_ask_for_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "make_plan", onward)
    found = lines("r595")["consent"]
    assert found.verdict is Verdict.FAIL
    assert ["--accept-no-canary gpu-operator" in f.hint for f in found.findings] == [True, False]
    assert "--accept-forward-only" in found.findings[1].hint
    yes = Consent(frozenset({"gpu-operator"}), forward_only=True)
    assert lines("r595", yes)["consent"].verdict is Verdict.PASS
    wrong = lines("r595", Consent(frozenset({"nfd"})))["consent"]
    assert "does not move it without a canary" in wrong.findings[0].what


def test_a_release_that_failed_here_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def barred(*_: object, **__: object) -> None:
        raise Refused("r595 failed in run r1", hint="--try-again goes there once more")

    monkeypatch.setattr(doctor, "heeded", barred)
    asked = Doctor(Settings(), SOURCE, "ams-prod", "r595", "file")
    asked._history(onward(), Path("kubeconfig"))
    assert asked.lines[0].verdict is Verdict.FAIL
    assert "--try-again" in asked.lines[0].findings[0].hint


def test_a_cluster_on_which_nothing_can_move_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check passed: nothing was asked."""
    monkeypatch.setattr(doctor, "still", lambda *_: replace(operator_plan(), hops=()))
    bare = replace(SOURCE.matrix.clusters["ams-prod"], declarations=())
    known = replace(SOURCE.matrix, clusters={**SOURCE.matrix.clusters, "ams-prod": bare})
    found = Doctor(Settings(), replace(SOURCE, matrix=known), "ams-prod", "", "file").examined()
    movable = next(line for line in found.lines if line.check == "movable")
    assert movable.verdict is Verdict.FAIL
    assert "the cluster file names nothing" in movable.findings[0].what
