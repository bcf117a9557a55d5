"""What goes wrong outside the verdicts: the table, row by row. "Could not" is never "no", and never "yes"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine.fake_cluster import FakeCluster, FakeDelivery, FakeGates, FakeGitOps, FakeNodes
from tests.unit.engine.fakes import FakeJournal, snapshot
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.engine import Engine
from knowngood.engine.trouble import TABLE, Meaning, Phase, meaning
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import (
    CouldNot,
    DeadlineExceeded,
    ExitCode,
    Inconclusive,
    Interrupted,
    Refused,
    Unreachable,
    UsageError,
)
from knowngood.model.matrix import Identity
from knowngood.model.plan import FieldChange
from knowngood.model.record import Record
from knowngood.model.state import End, fold
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.clock import Cancel
from knowngood.ports.delivery import SyncFailed
from knowngood.ports.gitops import FieldTaken, RenderMismatch
from knowngood.ports.nodes import Outcome

LOGIN = UsageError("the API server does not know our credentials (401)", hint="log in again")
FORBIDDEN = UsageError("PATCH nodes/gpu-1: forbidden")
AWAY = Unreachable("GET nodes: no answer")
BUSY = Inconclusive("PATCH nodes/gpu-1: 429 TooManyRequests")


@pytest.mark.parametrize(
    ("error", "start", "forward", "back"),
    [
        (LOGIN, Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN),
        (AWAY, Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN),
        (BUSY, Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN),
        (DeadlineExceeded("Argo CD is late"), Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN),
        (CouldNot("ImagePullBackOff"), Meaning.UNCHANGED, Meaning.INTERRUPT, Meaning.AGAIN),
        (SyncFailed("sync Failed"), Meaning.NO, Meaning.NO, Meaning.AGAIN),
        (FieldTaken("spec.version is 1"), Meaning.TAKEN, Meaning.TAKEN, Meaning.TAKEN),
        (RenderMismatch("and another"), Meaning.NO, Meaning.NO, Meaning.NO),
        (Refused("a rule"), Meaning.NO, Meaning.NO, Meaning.NO),
        (ZeroDivisionError(), Meaning.UNSURE, Meaning.UNSURE, Meaning.UNSURE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_means_what_the_table_says(
    error: Exception, start: Meaning, forward: Meaning, back: Meaning
) -> None:
    assert [meaning(error, phase) for phase in Phase] == [start, forward, back]


def test_the_docs_have_each_row_of_the_table() -> None:
    text = (Path(__file__).parents[3] / "docs" / "trouble.md").read_text()
    rows = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {row.name for row in TABLE} <= rows


# --- once in each call of each port, forward: interrupted, resumed, done; nothing speaks against the release


@dataclass
class Once:
    """Fails one call, the `at`th of those that are asked to `meet` it."""

    error: Exception
    at: int
    calls: int = 0

    def meet(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise self.error


class TroubledGitOps(FakeGitOps):
    once: Once

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        self.once.meet()
        return super().declare(changes, subject, trailers)

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        self.once.meet()
        return super().undo(commit, changes, subject, trailers)


class TroubledDelivery(FakeDelivery):
    once: Once

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        if changes:
            self.once.meet()
        return super().wait(commit, changes, deadline, cancel)


class TroubledNodes(FakeNodes):
    once: Once

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        self.once.meet()
        return super().claim(nodes, fence, cancel)

    def drain(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, keep: bool = False) -> Outcome:
        self.once.meet()
        return super().drain(nodes, fence, cancel, keep=keep)

    def apply(self, nodes: Sequence[str], fence: str, expect: Mapping[str, str], cancel: Cancel) -> Outcome:
        self.once.meet()
        return super().apply(nodes, fence, expect, cancel)

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        self.once.meet()
        return super().release(nodes, fence, cancel)


def troubled(world: World, once: Once) -> Engine:
    """An engine whose Git, Argo CD and playbooks meet one trouble."""
    engine = an_engine(world)
    gitops, delivery, nodes = TroubledGitOps(world), TroubledDelivery(world), TroubledNodes(world)
    gitops.once = delivery.once = nodes.once = once
    engine.ports = replace(engine.ports, gitops=gitops, delivery=delivery, nodes=nodes)
    return engine


CALLS_OF_A_RING = 6  # declare, deliver, claim, drain, apply, release


@pytest.mark.parametrize("at", range(2, 2 * CALLS_OF_A_RING + 1))
@pytest.mark.parametrize("error", [LOGIN, FORBIDDEN, AWAY, BUSY], ids=["401", "403", "away", "429"])
def test_trouble_on_the_way_forward_interrupts_and_a_resume_ends_done(error: Exception, at: int) -> None:
    """Nobody is undone and nothing is written against the release, whichever call met it."""
    world = a_world()
    with suppress(Interrupted):
        troubled(world, Once(error, at)).run()
    ended = fold(world.records).end or an_engine(world).run().end
    assert ended == End("done", ExitCode.DONE)
    assert world.failures == {}
    assert not [c for c in world.commits if "Knowngood-Undoes" in c.trailers]


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize(
    "error", [LOGIN, AWAY, BUSY, SyncFailed("sync Failed")], ids=["401", "away", "429", "sync"]
)
def test_a_hiccup_on_the_way_back_is_waited_out(error: Exception, at: int) -> None:
    """A second of Git that is away in an undo quarantined nodes for ever."""
    world = a_world()
    world.bad = sick("gpu-1")
    before = snapshot(world)
    ended = troubled(world, Once(error, CALLS_OF_A_RING - 1 + at)).run().end
    assert ended is not None
    assert ended.name == "restored", ended.why
    assert snapshot(world) == before


class AlwaysAway(FakeGitOps):
    """Git never takes the revert."""

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        raise Unreachable("push: the remote hung up")


def test_a_way_back_that_outlasts_its_deadline_is_interrupted_names_no_node_bad_and_goes_on_later() -> None:
    world = a_world()
    world.bad = sick("gpu-1")
    before = snapshot(world)
    engine = an_engine(world)
    engine.ports = replace(engine.ports, gitops=AlwaysAway(world))
    with pytest.raises(Interrupted, match="hung up"):
        engine.run()
    assert not any(node.quarantined for node in world.nodes.values())
    assert world.nodes["gpu-1"].cordoned
    ended = an_engine(world).run().end
    assert ended is not None
    assert ended.name == "restored"
    assert snapshot(world) == before


# --- gates that could not ask


class LoggedOut(FakeCluster):
    """The token expired: the gates could read nothing, and neither can we."""

    def identity(self) -> Identity:
        raise LOGIN


def test_a_token_that_expires_while_gates_judge_undoes_no_canary() -> None:
    world = a_world()
    world.bad = sick("gpu-1", "gpu-2", what="?UsageError: the API server does not know our credentials (401)")
    engine = an_engine(world)
    engine.ports = replace(engine.ports, cluster=LoggedOut(world))
    with pytest.raises(Interrupted, match="401"):
        engine.run()
    assert {world.nodes[n].version for n in ("gpu-1", "gpu-2")} == {NEW}
    world.bad = lambda *_: ""
    assert an_engine(world).run().end == End("done", ExitCode.DONE)
    assert world.failures == {}


class Killed9(FakeGates):
    """The gates' process is killed in these judgements."""

    left: int = 1

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        if request.name.endswith(("batch-1/judge", "batch-1/retest")) and self.left:
            self.left -= 1
            return Judgement((), trouble="the gates ended with -9")
        return super().judge(request, cancel)


@pytest.mark.parametrize(("times", "interrupted"), [(1, False), (2, True)])
def test_gates_that_were_killed_judge_nobody(times: int, interrupted: bool) -> None:
    world = a_world()
    engine = an_engine(world)
    gates = Killed9(world)
    gates.left = times
    engine.ports = replace(engine.ports, gates=gates)
    if interrupted:
        with pytest.raises(Interrupted, match="-9"):
            engine.run()
        engine = an_engine(world)
    assert engine.run().end == End("done", ExitCode.DONE)
    assert world.failures == {}


# --- nodes that could not be done, for reasons of others


class Kept(FakeNodes):
    """A verb can't be done on a node, for a reason that is not its own."""

    verb, node, why = "claim", "gpu-1", "somebody has cordoned it"

    def apply(self, nodes: Sequence[str], fence: str, expect: Mapping[str, str], cancel: Cancel) -> Outcome:
        others = tuple(n for n in nodes if n != self.node or self.verb != "apply")
        return self._kept(nodes, "apply", super().apply(others, fence, expect, cancel))

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        others = tuple(n for n in nodes if n != self.node or self.verb != "claim")
        return self._kept(nodes, "claim", super().claim(others, fence, cancel))

    def _kept(self, nodes: Sequence[str], verb: str, outcome: Outcome) -> Outcome:
        if verb != self.verb or self.node not in nodes:
            return outcome
        return replace(outcome, failed={self.node: self.why}, could_not=(self.node,))


@pytest.mark.parametrize(
    ("verb", "why"),
    [("claim", "somebody has cordoned it"), ("apply", "driver pod nvidia-driver-ctr: ImagePullBackOff")],
)
def test_a_foreign_cordon_or_an_image_that_is_not_pulled_interrupts(verb: str, why: str) -> None:
    world = a_world()
    engine = an_engine(world)
    nodes = Kept(world)
    nodes.verb, nodes.why = verb, why
    engine.ports = replace(engine.ports, nodes=nodes)
    with pytest.raises(Interrupted, match=why):
        engine.run()
    assert not any(node.quarantined for node in world.nodes.values())
    assert an_engine(world).run().end == End("done", ExitCode.DONE)
    assert world.failures == {}


def test_on_the_way_back_a_node_that_others_keep_does_not_keep_the_rest() -> None:
    """gpu-1's old driver image is gone from the mirror: it stays out, held and named; gpu-2 comes back."""
    world = a_world()
    world.bad = sick("gpu-2")
    engine = an_engine(world)

    class OldImageGone(FakeNodes):
        def apply(
            self, nodes: Sequence[str], fence: str, expect: Mapping[str, str], cancel: Cancel
        ) -> Outcome:
            if expect["nvidia-driver"] != OLD:
                return super().apply(nodes, fence, expect, cancel)
            done = super().apply(tuple(n for n in nodes if n != "gpu-1"), fence, expect, cancel)
            return replace(done, failed={"gpu-1": "ImagePullBackOff"}, could_not=("gpu-1",))

    engine.ports = replace(engine.ports, nodes=OldImageGone(world))
    end = engine.run().end
    assert end is not None
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN)
    assert dict(end.nodes) == {"gpu-1": "ImagePullBackOff"}
    assert dict(end.moved) == {"gpu-1": f"may run nvidia-driver {NEW}"}
    assert (world.nodes["gpu-1"].claim != "", world.nodes["gpu-1"].quarantined) == (True, False)
    assert (world.nodes["gpu-2"].version, world.nodes["gpu-2"].cordoned) == (OLD, False)
    back = an_engine(world)
    back.roll_back()
    again = back.run().end
    assert again is not None
    assert again.name == "restored", again.why


# --- the disk


class FullDisk(FakeJournal):
    """The journal takes nothing more from one record on."""

    full_from = 0

    def append(self, record: Record) -> None:
        if record.seq >= self.full_from:
            raise UsageError(
                "the journal can't be written: No space left on device", hint="is the disk full?"
            )
        super().append(record)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_full_disk_interrupts_also_at_ctrl_c(cancelled: bool) -> None:
    world = a_world()
    engine = an_engine(world)
    journal = FullDisk(world)
    journal.full_from = 25
    engine.ports = replace(engine.ports, journal=journal)

    def stop(request: JudgeRequest, node: str, w: World) -> str:
        if cancelled and len(w.records) >= journal.full_from - 1:
            engine.cancel.set("SIGINT")
        return ""

    world.bad = stop
    with pytest.raises(Interrupted) as stopped:
        engine.run()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    world.bad = lambda *_: ""
    assert an_engine(world).run().end == End("done", ExitCode.DONE)


# --- what speaks against a release


def flaky(times: int, node: str = "gpu-1") -> Callable[[JudgeRequest, str, World], str]:
    """A gate that says no so many times on the new version, then never again."""
    said = [0]

    def find(request: JudgeRequest, n: str, world: World) -> str:
        if n != node or world.nodes[n].version != NEW or request.taking_baseline or said[0] >= times:
            return ""
        said[0] += 1
        return "Xid 31"

    return find


def test_a_canary_is_tested_once_more_before_the_line_stops() -> None:
    world = a_world()
    world.bad = flaky(1)
    assert an_engine(world).run().end == End("done", ExitCode.DONE)
    assert world.failures == {}


def test_a_canary_that_fails_twice_is_undone_and_speaks_against_the_release() -> None:
    world = a_world()
    world.bad = flaky(2)
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    assert world.failures["run-1"]["status"] == "failed"


def test_a_fail_that_could_not_be_measured_again_is_not_evidence() -> None:
    """It failed, and then nothing could be read: undone, for nothing passed, but not held against the release."""
    world = a_world()
    answers = iter(("Xid 31", "?the kernel log lost lines"))

    def find(request: JudgeRequest, n: str, w: World) -> str:
        new = n == "gpu-1" and w.nodes[n].version == NEW and not request.taking_baseline
        return next(answers, "") if new else ""

    world.bad = find
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    assert world.failures["run-1"]["status"] == "inconclusive"


class FallenOff(FakeGates):
    """A GPU falls off the bus on the new driver: the gate names what it failed for."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        named = [
            replace(r, measured={"failed": ["Xid 79"]}) if r.verdict is Verdict.FAIL else r
            for r in found.results
        ]
        return replace(found, results=tuple(named))


def test_a_fail_that_the_profile_lists_needs_no_second_test() -> None:
    world = a_world()
    world.bad = sick("gpu-1", what="Xid 79")
    engine = an_engine(world)
    gates = {"gpu_errors": {"kind": "passive", "failsAtOnce": ["Xid 79"]}}
    engine.profile = replace(engine.profile, gates=gates)
    fakes = FallenOff(world)
    engine.ports = replace(engine.ports, gates=fakes)
    end = engine.run().end
    assert end is not None
    assert end.name == "restored"
    assert not [r for r in fakes.requests if r.name.endswith("batch-1/retest")]
    assert world.failures["run-1"]["status"] == "failed"


# --- nothing is released that did not pass, whatever was applied


def sick_at_baseline(cured: bool) -> Callable[[JudgeRequest, str, World], str]:
    """gpu-1 fails on the drained node before anything is applied."""

    def find(request: JudgeRequest, n: str, w: World) -> str:
        if n != "gpu-1" or not request.name.endswith(("batch-1/baseline", "undo/judge", "undo/retest")):
            return ""
        return "" if cured and "undo" in request.name else "Xid 48"

    return find


class Baseline(FakeGates):
    """The fake's gpu_errors is passive; here the active gate of the baseline fails."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        said = {n: self.world.bad(request, n, self.world) for n in request.nodes}
        results = [
            GateResult(r.gate, r.node, Verdict.FAIL, said[r.node])
            if r.gate == "smoke_training" and said[r.node]
            else r
            for r in found.results
        ]
        return replace(found, results=tuple(results))


@pytest.mark.parametrize("cured", [True, False])
def test_a_node_that_fails_its_baseline_must_pass_that_gate_before_it_goes_back(cured: bool) -> None:
    """Nothing was applied, `restored` was said, and the sick node went back to its tenants."""
    world = a_world()
    world.bad = sick_at_baseline(cured)
    engine = an_engine(world)
    gates = Baseline(world)
    engine.ports = replace(engine.ports, gates=gates)
    end = engine.run().end
    assert end is not None
    again = [r for r in gates.requests if r.name.endswith("undo/judge")]
    assert [("smoke_training" in r.gates, "gpu-1" in r.nodes) for r in again] == [(True, True)]
    assert end.name == ("restored" if cured else "quarantined"), end.why
    assert world.nodes["gpu-1"].quarantined is not cured
    released = [h for h in world.history if h[:2] == ("gpu-1", "released")]
    assert bool(released) is cured


def test_a_release_comes_after_the_proof() -> None:
    """A node whose reading differs after the undo stays out of service; the end names it, and calls it held."""
    world = a_world()
    world.bad = sick("gpu-1")
    order: list[str] = []
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    order = [r.step for r in world.records if "/undo/" in r.step and r.status]
    at = "hop-1/ring-0/undo/"
    assert order.index(f"{at}judge") < order.index(f"{at}verify") < order.index(f"{at}release")


def test_a_run_that_ended_quarantined_can_be_rolled_back() -> None:
    world = a_world()
    before = snapshot(world)
    world.bad = lambda request, n, w: "Xid 79" if n == "gpu-1" and w.nodes[n].loads > 1 else ""
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "quarantined"
    world.bad = lambda *_: ""
    back = an_engine(world)
    back.roll_back()
    again = back.run().end
    assert again is not None
    assert again.name == "restored", again.why
    assert snapshot(world) == before
    assert [r.step for r in world.records if r.step == "hop-1/ring-0/undo-2/verify" and r.status]


def test_every_end_names_what_still_runs_or_declares_the_new_version() -> None:
    """ring-1 is held by its bad node; ring-0 passed and stays: both are named."""
    world = a_world()
    world.bad = sick("gpu-4")
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "held"
    assert set(end.moved) == {"gpu-1", "gpu-2", "gpu-3", "gpu-4"}


def _detail(world: World, step: str) -> Mapping[str, Any]:
    return next(r.detail for r in reversed(world.records) if r.step == step and r.status)


def test_the_outcome_says_which_nodes_a_gate_measured() -> None:
    world = a_world()
    world.bad = sick("gpu-1")
    an_engine(world).run()
    assert list(_detail(world, "hop-1/ring-0/batch-1/judge")["measured"]) == ["gpu-1"]
