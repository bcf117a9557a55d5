"""A fleet's runs side by side: what starts, what does not, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from knowngood.cli.fleet_run import FleetRun
from knowngood.model.errors import ExitCode, Location, Refused, Unreachable
from knowngood.model.stages import Stage
from knowngood.ports.cancel import Cancel

NOWHERE = Location("fleet.yaml")


@dataclass
class FakeRun:
    """Ends when it may, with the code it was given, or as an interrupted one."""

    code: int
    may_end: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False

    def wait(self) -> int:
        assert self.may_end.wait(20)
        return int(ExitCode.INTERRUPTED) if self.interrupted else self.code

    def interrupt(self) -> None:
        self.interrupted = True
        self.may_end.set()

    def last_words(self) -> str:
        return "restored: the gate said no"


@dataclass
class Fleet:
    """Clusters with the codes they end with; the matrix pins what ended well, unless it `forgets`."""

    stages: Sequence[Stage]
    codes: Mapping[str, int]
    forgets: Sequence[str] = ()
    waits: Sequence[str] = ()
    runs: dict[str, FakeRun] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    cancel: Cancel = field(default_factory=Cancel)
    most: int = 0

    def begin(self, cluster: str) -> FakeRun:
        run = self.runs[cluster] = FakeRun(self.codes[cluster])
        self.most = max(self.most, sum(not r.may_end.is_set() for r in self.runs.values()))
        if self.codes[cluster] == 0 and cluster not in self.forgets:
            self.pinned.add(cluster)
        if cluster not in self.waits:
            run.may_end.set()
        return run

    def play(self) -> tuple[ExitCode, FleetRun]:
        aim = {name: "r595" for stage in self.stages for name in stage.clusters}
        run = FleetRun(self.stages, aim, self.begin, lambda: {*self.pinned}, self.cancel)
        return run.play(), run


def stages(*clusters: tuple[str, ...], at_once: int = 2) -> list[Stage]:
    return [Stage(f"s{n}", names, at_once, NOWHERE) for n, names in enumerate(clusters)]


def test_all_stages_end_proven() -> None:
    fleet = Fleet(stages(("a", "b"), ("c",)), {"a": 0, "b": 0, "c": 0})
    code, run = fleet.play()
    assert (code, [*fleet.runs]) == (ExitCode.DONE, ["a", "b", "c"])
    assert all(e.code == 0 for e in run.ended.values())


def test_the_stage_of_one_that_was_undone_is_the_last() -> None:
    fleet = Fleet(stages(("a", "b"), ("c",)), {"a": 0, "b": 6, "c": 0})
    code, run = fleet.play()
    assert (code, sorted(fleet.runs)) == (ExitCode.RESTORED, ["a", "b"])
    assert (run.ended["b"].code, run.ended["b"].why) == (6, "restored: the gate said no")


def test_the_worst_end_is_the_fleets() -> None:
    assert Fleet(stages(("a", "b", "c"), at_once=3), {"a": 6, "b": 5, "c": 1}).play()[0] is ExitCode.HUMAN


def test_done_without_a_pin_in_the_matrix_is_not_proven() -> None:
    """Its record waits for a merge, or Git declared it already and nobody has judged it."""
    fleet = Fleet(stages(("a",), ("b",)), {"a": 0, "b": 0}, forgets=["a"])
    code, run = fleet.play()
    assert (code, [*fleet.runs]) == (ExitCode.INCONCLUSIVE, ["a"])
    assert "its record is not delivered" in run.ended["a"].why


def test_one_that_can_not_start_stops_the_line_and_those_beside_it_go_to_their_end() -> None:
    fleet = Fleet(stages(("a", "b"), ("c",)), {"a": 0, "b": 0, "c": 0})
    begin = fleet.begin

    def refuses(cluster: str) -> FakeRun:
        if cluster == "b":
            raise Refused("run r1 to r610 is open on b")
        return begin(cluster)

    fleet.begin = refuses  # type: ignore[method-assign]
    code, run = fleet.play()
    assert (code, [*fleet.runs]) == (ExitCode.REFUSED, ["a"])
    assert run.ended["b"].why == "run r1 to r610 is open on b"


def test_a_matrix_that_can_not_be_read_any_more_proves_nothing() -> None:
    fleet = Fleet(stages(("a",), ("b",)), {"a": 0, "b": 0})
    asked = iter([{*""}])

    def proven() -> set[str]:
        try:
            return next(asked)
        except StopIteration:
            raise Unreachable("branch main can't be read") from None

    aim = {"a": "r595", "b": "r595"}
    run = FleetRun(fleet.stages, aim, fleet.begin, proven, fleet.cancel)
    assert run.play() is ExitCode.INCONCLUSIVE
    assert [*fleet.runs] == ["a"]
    assert "can't be read: branch main" in run.ended["a"].why


def test_what_ends_us_interrupts_every_run_and_is_not_waited_for() -> None:
    """They would go on for hours, and nobody would start what comes next."""
    fleet = Fleet(stages(("a", "b")), dict.fromkeys("ab", 0), waits=["b"])
    begin = fleet.begin

    def breaks(cluster: str) -> FakeRun:
        if cluster == "a":
            return begin("b")
        raise MemoryError

    fleet.begin = breaks  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        fleet.play()
    assert fleet.runs["b"].interrupted


def test_who_stops_the_fleet_stops_every_run_and_starts_none() -> None:
    fleet = Fleet(stages(("a", "b", "c"), ("d",)), dict.fromkeys("abcd", 0), forgets=[*"ab"], waits=[*"ab"])
    threading.Timer(0.2, lambda: fleet.cancel.set("SIGINT")).start()
    code, run = fleet.play()
    assert (code, sorted(fleet.runs)) == (ExitCode.INTERRUPTED, ["a", "b"])
    assert all(r.interrupted for r in fleet.runs.values())
    assert {e.code for e in run.ended.values()} == {int(ExitCode.INTERRUPTED)}
    assert fleet.most == 2
