"""A model of what can happen to a run: two machines, one cluster, in any order; some things never happen.

Runners are killed, stopped, or put to sleep inside an effect while the other machine goes on; Leases are deleted,
answers lost, clocks jump, others push, nodes fall sick and get well. `EXAMPLES=5000 make fuzz` plays longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.engine import scene
from tests.unit.engine.fake_cluster import FakeCluster, FakeGates, FakeNodes
from tests.unit.engine.fakes import FakePromotion
from tests.unit.engine.scene import RINGS, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, Commit, Killed, World

from knowngood.engine.engine import Engine
from knowngood.model.claims import Hold, held
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Interrupted, LockHeld, Unreachable, UsageError
from knowngood.model.state import End
from knowngood.model.verdict import Judgement, Verdict
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome
from knowngood.ports.promotion import Recorded

EXAMPLES = int(os.environ.get("EXAMPLES", "200"))
SMALL = {name: RINGS[name] for name in ("ring-0", "ring-1")}
NODES = tuple(node for ring in SMALL.values() for node in ring)
FIELD, FOREIGN = ("nvidiadriver-ring-1.yaml", "spec.version"), "570.00.00"
OTHER = {"A": "B", "B": "A"}

machines = st.sampled_from(("A", "B"))
moments = st.integers(0, 70)
EVENTS = ("nothing", "kill", "kill", "signal", "lost answer", "sleep", "sleep without a Lease")
events = st.sampled_from(EVENTS)
ends = st.sampled_from(("nothing", "kill", "signal"))


@dataclass
class Book:
    """What an observer who sees everything writes down."""

    judged: dict[str, int]  # node -> its module load that passed a judgement while it was ours
    proven: set[str]  # runs whose last proof passed
    wrong: list[str]  # what must never happen


class WatchedNodes(FakeNodes):
    """Writes down what is released."""

    def __init__(self, world: World, book: Book) -> None:
        super().__init__(world)
        self.book = book

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        for name in nodes:
            node = self.world.nodes[name]
            if node.claim == fence and node.loads != self.book.judged.get(name, 1):
                self.book.wrong.append(f"{name} was released with load {node.loads}, which nobody judged")
        return super().release(nodes, fence, cancel)


class WatchedGates(FakeGates):
    """Writes down what passed."""

    def __init__(self, world: World, book: Book) -> None:
        super().__init__(world)
        self.book = book

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        bad = {result.node for result in found.bad()}
        if request.claimed and not request.taking_baseline:
            good = (node for node in request.nodes if node not in bad)
            self.book.judged |= {node: self.world.nodes[node].loads for node in good}
        if request.name == "prove" and found.verdict is Verdict.PASS:
            self.book.proven.add(request.run)
        return found


class WatchedPromotion(FakePromotion):
    """A promotion happens only after the proof."""

    def __init__(self, world: World, book: Book) -> None:
        super().__init__(world)
        self.book = book

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, object]) -> Recorded:
        if str(evidence["run"]) not in self.book.proven:
            self.book.wrong.append(f"{release} was promoted without its proof")
        return super().promote(release, status, cluster, evidence)


class TwoMachines(RuleBasedStateMachine):
    """Everything that happens, as rules; what must hold after each, as invariants."""

    @initialize()
    def begin(self) -> None:
        self.world = a_world()
        self.book = Book({}, set(), [])
        self.sick: set[str] = set()
        self.ours = ""  # what the field held before somebody else took it
        self.number = 1
        self.world.bad = lambda request, node, world: (
            "Xid 31"
            if node in self.sick and world.nodes[node].version == NEW and not request.taking_baseline
            else ""
        )

    @property
    def run_id(self) -> str:
        return f"run-{self.number}"

    @property
    def end(self) -> End | None:
        """How the run ended, as the cluster says."""
        state = self.world.saved.get(self.run_id)
        return state.end if state else None

    def engine(self) -> Engine:
        engine = an_engine(self.world, run=self.run_id)
        world, book = self.world, self.book
        engine.ports = replace(
            engine.ports,
            nodes=WatchedNodes(world, book),
            gates=WatchedGates(world, book),
            promotion=WatchedPromotion(world, book),
        )
        return engine

    def play(self, machine: str, then: Callable[[Engine], None], *, back: bool = False) -> None:
        """Go on on a machine, with `then` preparing what happens to its runner. How it ends is the run's affair."""
        self.go_to(machine)
        engine = self.engine()
        if back:
            engine.roll_back()
        then(engine)
        with suppress(Killed, Interrupted, LockHeld, Unreachable, *((UsageError,) if back else ())):
            engine.run()
        self.world.revived()

    def strike(self, at: int, event: str, other: str, later: tuple[int, str]) -> Callable[[Engine], None]:
        """What hits a runner at the moment after `at` others."""

        def prepare(engine: Engine) -> None:
            world = self.world
            if event == "nothing":
                return
            world.strike_at = len(world.moments) + at
            world.signal = engine.cancel if event == "signal" else None
            if event == "lost answer":
                world.meanwhile = self.lose
            if event.startswith("sleep"):
                world.meanwhile = lambda: self.sleep(OTHER[other], later, lease="without" in event)

        return prepare

    def go_to(self, machine: str) -> None:
        """Each machine has a folder for each run."""
        self.world.at(f"{machine}/{self.run_id}")

    @staticmethod
    def lose() -> None:
        raise Unreachable("the answer got lost")

    def sleep(self, other: str, later: tuple[int, str], *, lease: bool) -> None:
        """A runner sleeps inside an effect; its Lease runs out or is deleted, and the other machine goes on."""
        if lease:
            self.world.lease = ("", 0)
        self.play(other, self.strike(later[0], later[1], other, (0, "nothing")))
        self.go_to(OTHER[other])

    @rule(machine=machines, at=moments, event=events, later=st.tuples(moments, ends))
    def go_on(self, machine: str, at: int, event: str, later: tuple[int, str]) -> None:
        """`upgrade`, or `resume`."""
        assume(self.end is None)
        self.play(machine, self.strike(at, event, machine, later))

    @rule(machine=machines, at=moments, event=events, later=st.tuples(moments, ends))
    def take_back(self, machine: str, at: int, event: str, later: tuple[int, str]) -> None:
        """`rollback`: an open run is asked to stop, a held one is opened again."""
        assume(self.run_id in self.world.saved)
        back = self.end is not None
        if not back:
            self.world.abort = "stop"
        else:
            self.world.abort = ""
        self.play(machine, self.strike(at, event, machine, later), back=back)

    @rule(machine=machines)
    def resume_what_has_ended(self, machine: str) -> None:
        """Nothing is done, whatever that machine knew."""
        assume(self.end is not None)
        before = (self.world.saved[self.run_id], len(self.world.commits), list(self.world.history))
        self.play(machine, lambda _engine: None)
        assert (self.world.saved[self.run_id], len(self.world.commits), self.world.history) == before

    @precondition(
        lambda self: self.end is not None and self.end.name == "restored" and not self.world.failures
    )
    @rule()
    def try_again(self) -> None:
        self.number += 1
        self.world.abort = ""

    @rule(mode=st.sampled_from(("stop", "hold", "")))
    def abort(self, mode: str) -> None:
        self.world.abort = mode

    @rule()
    def delete_the_lease(self) -> None:
        self.world.lease = ("", 0)

    @rule(node=st.sampled_from(NODES))
    def fall_sick(self, node: str) -> None:
        self.sick.add(node)

    @rule()
    def get_well(self) -> None:
        self.sick.clear()

    @rule(seconds=st.sampled_from((-3600.0, 60.0, 86400.0)))
    def jump(self, seconds: float) -> None:
        """The wall clock, and so the journal's times, may go back; the monotonic one only goes on."""
        self.world.clock += max(seconds, 0.0)
        self.world.ticks = max(0, self.world.ticks + int(seconds))

    @rule(ours=st.sampled_from((False, False, False, True)))
    def somebody_pushes(self, ours: bool) -> None:
        """Another file, or the very field that a ring moves."""
        fields = dict(self.world.head().fields)
        fields["other.yaml", "spec.replicas"] = str(len(self.world.commits))
        if ours:
            self.ours = self.ours or fields[FIELD]
            fields[FIELD] = FOREIGN
        self.world.commits.append(Commit(f"c{len(self.world.commits)}", fields, {}))

    @invariant()
    def nothing_happened_that_must_never_happen(self) -> None:
        assert not self.book.wrong
        assert not self.world.too_late, "two runners acted at once"

    @invariant()
    def status_names_whatever_is_ours(self) -> None:
        """By the checkpoint of any run, from any machine, together with what the nodes say."""
        marks = FakeCluster(self.world).marks()
        ours = {node for node, its in marks.items() if its.any}
        named: set[str] = set()
        for key, state in self.world.saved.items():
            if "/" not in key:
                named |= {n for n, h in held(state, NODES, marks).items() if h.hold is not Hold.IN_SERVICE}
        assert ours <= named

    def teardown(self) -> None:
        """Whatever happened, the run can be brought to an end by its own commands, and what it leaves is named."""
        self.sick.clear()
        self.to_an_end()
        if self.end is not None and self.end.name == "held":
            self.hold_is_named()
            self.give_the_field_back()
            self.play("A", lambda _engine: None, back=True)
            self.to_an_end()
            assert self.end.name == "restored", self.end
        end = self.end
        assert end is not None
        self.nothing_happened_that_must_never_happen()
        self.status_names_whatever_is_ours()
        assert not [n for n in NODES if self.world.nodes[n].claim], "no claim outlives a run that is over"
        shut = {n for n in NODES if self.world.nodes[n].quarantined}
        assert shut <= set(end.nodes)
        runs = {node.version for node in map(self.world.nodes.__getitem__, NODES)}
        assert end.name == "quarantined" or runs == {NEW if end.name == "done" else OLD}, (end, runs)

    def to_an_end(self) -> None:
        """`resume`, on any machine: each of them can bring a run to its end."""
        machine = "AB"[len(self.world.moments) % 2]
        for _ in range(3):
            if self.end is None:
                self.play(machine, lambda _engine: None)
        self.world.abort = ""

    def hold_is_named(self) -> None:
        """A held run keeps what a human must decide on, and names it."""
        assert self.end is not None
        out = {n for n in NODES if self.world.nodes[n].claim or self.world.nodes[n].quarantined}
        assert out <= set(self.end.nodes) or self.end.why.startswith("asked to hold"), (out, self.end)

    def give_the_field_back(self) -> None:
        """The human whom a held run names puts back what was changed under it."""
        fields = dict(self.world.head().fields)
        if fields[FIELD] == FOREIGN:
            fields[FIELD] = self.ours
            self.world.commits.append(Commit(f"c{len(self.world.commits)}", fields, {}))


@contextmanager
def small_scene() -> Iterator[None]:
    """Two rings of two nodes: the canary's and a later one."""
    before = scene.RINGS
    scene.RINGS = SMALL
    try:
        yield
    finally:
        scene.RINGS = before


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_scene():
        yield


TestTwoMachines = TwoMachines.TestCase
TestTwoMachines.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=8,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
