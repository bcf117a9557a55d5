"""`doctor` does the whole list whatever one check finds, by the same checks as a run, and writes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_world, an_engine
from tests.unit.engine.world import World

from knowngood.engine.checks import CHECKS
from knowngood.engine.doctor import examine
from knowngood.engine.work import Work
from knowngood.model.errors import Inconclusive, KnowngoodError, Unreachable, UsageError
from knowngood.model.examination import Line
from knowngood.model.finding import refused, unknown
from knowngood.model.state import RunState
from knowngood.model.verdict import Verdict
from knowngood.ports.cancel import Cancel

BY_NAME = {
    "tools": "tools",
    "room": "room",
    "rights": "rights",
    "clock": "clock",
    "lease": "lease",
    "probes": "probes",
    "push": "taking",
    "declaring": "declared",
    "systems": "systems",
    "delivery": "ready",
    "windows": "windows",
}
"""Check -> what a fake finds."""


def examined(world: World) -> dict[str, Line]:
    work = Work(ports(world), a_plan(), a_cluster(), a_hardware(), "doctor", "", RunState(), Cancel())
    return {line.check: line for line in examine(work)}


def test_all_lines_pass_where_a_run_would_start_and_nothing_is_written() -> None:
    world = a_world()
    lines = examined(world)
    assert [line.verdict for line in lines.values()] == [Verdict.PASS] * len(CHECKS)
    assert (len(world.commits), world.records, world.writes) == (1, [], {})


@pytest.mark.parametrize("check", BY_NAME)
def test_what_one_check_finds_keeps_no_other_from_being_asked(check: str) -> None:
    world, no = a_world(), refused("here", "it is wrong", "mend it")
    world.found[BY_NAME[check]] = [no]
    lines = examined(world)
    assert {name for name, line in lines.items() if line.verdict is not Verdict.PASS} == {check}
    assert lines[check].findings == (no,)
    end = an_engine(a_world_with(BY_NAME[check])).run().end
    assert end is not None
    assert "here: it is wrong (mend it)" in end.why


def a_world_with(found: str) -> World:
    world = a_world()
    world.found[found] = [refused("here", "it is wrong", "mend it")]
    return world


def test_what_asks_about_hops_says_nothing_where_there_are_none() -> None:
    """It passed: nothing had been asked."""
    plan = replace(a_plan(), hops=())
    work = Work(ports(a_world()), plan, a_cluster(), a_hardware(), "doctor", "", RunState(), Cancel())
    lines = {line.check: line for line in examine(work)}
    not_asked = {name for name, line in lines.items() if line.verdict is Verdict.INCONCLUSIVE}
    assert not_asked == {check.name for check in CHECKS if check.of_hops}
    assert "not asked" in lines["operators"].findings[0].what


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Inconclusive("no answer", hint="wait"), Verdict.INCONCLUSIVE),
        (UsageError("no", hint="wait"), Verdict.FAIL),
    ],
)
def test_what_a_check_raises_is_its_finding(
    error: KnowngoodError, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr("tests.unit.engine.fakes.FakeReadiness.clock", raising)
    lines = examined(a_world())
    assert lines["clock"].verdict is verdict
    assert [f.hint for f in lines["clock"].findings] == ["wait"]
    assert lines["record"].verdict is Verdict.PASS


def test_a_line_is_as_bad_as_the_worst_of_what_it_found() -> None:
    line = Line("x", "x", [unknown("a", "?"), refused("b", "no")])
    assert line.verdict is Verdict.FAIL


def test_nodes_that_cannot_be_read_are_a_line_and_what_needs_them_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise Unreachable("no node answers")

    monkeypatch.setattr("tests.unit.engine.fakes.FakeCluster.begin", away)
    lines = examined(a_world())
    assert [lines[check].verdict for check in ("nodes", "images")] == [Verdict.INCONCLUSIVE] * 2
    assert lines["delivery"].verdict is Verdict.PASS
