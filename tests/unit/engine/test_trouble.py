"""What goes wrong outside the verdicts: the table, row by row. "Could not" is never "no", and never "yes"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.engine.fake_cluster import FakeCluster, FakeDelivery, FakeGates, FakeNodes
from tests.unit.engine.fake_git import FakeGitOps
from tests.unit.engine.fakes import snapshot
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
from knowngood.model.field import FieldChange
from knowngood.model.finding import refused
from knowngood.model.matrix import Identity
from knowngood.model.mover import Hold, Moving, Specs
from knowngood.model.state import End, fold
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel
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

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        self.once.meet()
        return super().claim(nodes, fence, cancel, hold=hold, specs=specs)

    def drain(
        self, nodes: Sequence[str], fence: str, cancel: Cancel, *, users: Collection[str], keep: bool = False
    ) -> Outcome:
        self.once.meet()
        return super().drain(nodes, fence, cancel, users=users, keep=keep)

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        self.once.meet()
        return super().apply(nodes, fence, moves, cancel)

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


class AwayAtFirst(FakeDelivery):
    """Argo CD can't be asked the first time, or never."""

    def __init__(self, world: World, times: int) -> None:
        super().__init__(world)
        self.times = times

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        if changes and self.times > 0:
            self.times -= 1
            raise Unreachable("the API server does not answer")
        return super().wait(commit, changes, deadline, cancel)


def test_what_did_not_answer_is_asked_once_more_before_it_counts() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, delivery=AwayAtFirst(world, 1))
    assert engine.run().end == End("done", ExitCode.DONE)


def test_what_does_not_answer_twice_interrupts_and_undoes_nothing() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, delivery=AwayAtFirst(world, 2))
    with pytest.raises(Interrupted, match="does not answer"):
        engine.run()
    assert an_engine(world).run().end == End("done", ExitCode.DONE)


class NobodyHome(FakeCluster):
    """The API server went away after the run had begun."""

    def identity(self) -> Identity:
        raise Unreachable("the API server does not answer")


def test_an_api_server_that_stays_away_interrupts_and_undoes_nothing() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, delivery=AwayAtFirst(world, 1), cluster=NobodyHome(world))
    with pytest.raises(Interrupted):
        engine.run()
    assert an_engine(world).run().end == End("done", ExitCode.DONE)


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


def test_a_right_that_is_taken_away_while_gates_judge_undoes_no_canary() -> None:
    """The API server answers, but exec is forbidden since a minute: the gates could read nothing."""
    world = a_world()

    def taken_away(request: JudgeRequest, node: str, w: World) -> str:
        if request.name.endswith("batch-1/judge"):
            w.found["rights"] = [refused("create pods/exec", "not allowed")]
            return "?UsageError: pods/exec: forbidden"
        return ""

    world.bad = taken_away
    with pytest.raises(Interrupted, match="may not"):
        an_engine(world).run()
    assert {world.nodes[n].version for n in ("gpu-1", "gpu-2")} == {NEW}
    world.bad = lambda *_: ""
    world.found.clear()
    assert an_engine(world).run().end == End("done", ExitCode.DONE)


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

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        others = tuple(n for n in nodes if n != self.node or self.verb != "apply")
        return self._kept(nodes, "apply", super().apply(others, fence, moves, cancel))

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        others = tuple(n for n in nodes if n != self.node or self.verb != "claim")
        return self._kept(nodes, "claim", super().claim(others, fence, cancel, hold=hold, specs=specs))

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


def test_a_clock_that_jumps_interrupts_the_way_forward_and_keeps_no_way_back() -> None:
    world = a_world()
    engine = an_engine(world)

    def jump(request: JudgeRequest, node: str, w: World) -> str:
        w.jumped = 7200.0 if request.name.endswith("batch-1/judge") else w.jumped
        return ""

    world.bad = jump
    with pytest.raises(Interrupted, match="clock jumped by 7200 s"):
        engine.run()
    world.abort = "stop"
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored", end.why


def test_on_the_way_back_a_node_that_others_keep_does_not_keep_the_rest() -> None:
    """gpu-1's old driver image is gone from the mirror: it stays out, held and named; gpu-2 comes back."""
    world = a_world()
    world.bad = sick("gpu-2")
    engine = an_engine(world)

    class OldImageGone(FakeNodes):
        def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
            if moves[0].after != OLD:
                return super().apply(nodes, fence, moves, cancel)
            done = super().apply(tuple(n for n in nodes if n != "gpu-1"), fence, moves, cancel)
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
