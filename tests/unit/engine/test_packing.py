"""The checkpoint is bounded, whatever a run moves, and gives back exactly what was packed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine.scene import a_plan, a_world, an_engine

from knowngood.model import packing
from knowngood.model.detail import Detail
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.packing import CHUNK, LIMIT, Packer, bound
from knowngood.model.plan import Plan, PlannedRing
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import End, RunState, StepResult, after
from knowngood.model.steppath import StepPath

REASON = "drift: 7 of 8 GPUs are allocatable; " * 12


class Kept:
    """The files beside one checkpoint, and the newest document."""

    def __init__(self) -> None:
        self.packer = Packer()
        self.files: dict[str, bytes] = {}
        self.document = ""

    def save(self, state: RunState) -> int:
        """Pack as an adapter does; the document's bytes."""
        packed = self.packer.pack(state)
        self.files |= packed.files
        self.document = json.dumps(packed.document)
        return len(self.document)

    def load(self) -> RunState:
        return Packer().unpack(json.loads(self.document), self.files.__getitem__)


def wide_plan(nodes: int, batch: int = 2) -> Plan:
    """One canary ring, one ring with all other nodes, with the long names of a real cluster."""
    names = tuple(f"gpu-{i:04d}.ocp.ams.example.com" for i in range(nodes))
    (hop,) = a_plan().hops
    rings = tuple(
        PlannedRing(name, tuple(some[i : i + batch] for i in range(0, len(some), batch)), ())
        for name, some in (("ring-0", names[:2]), ("ring-1", names[2:]))
    )
    return replace(a_plan(), hops=(replace(hop, rings=rings),))


def states(plan: Plan) -> Iterator[RunState]:
    """A long run's states: each step of each batch says something of each of its nodes; the end names them all."""
    (hop,) = plan.hops
    state = after(RunState(), Record(0, RecordType.PLAN, "t0", detail={"run": "r"}, files={"plan": "p"}))
    for ring in hop.rings:
        for number, batch in enumerate(ring.batches):
            for verb in ("claim", "drain", "baseline", "apply", "judge", "release"):
                path = f"hop-1/{ring.name}/batch-{number}/{verb}"
                said = {"done": list(batch), "failed": dict.fromkeys(batch, REASON)}
                nodes = {"nodes": list(batch)}
                state = after(state, Record(state.next_seq, RecordType.INTENT, "t1", path, detail=nodes))
                yield state
                files = {"detail": "0" * 64, "judgement": "1" * 64}
                outcome = Record(state.next_seq, RecordType.OUTCOME, "t2", path, Status.OK, said, files)
                state = after(state, outcome)
    end = {"end": "held", "exit": 5, "why": "w" * 800, "nodes": dict.fromkeys(plan.nodes, REASON)}
    yield after(state, Record(state.next_seq, RecordType.FINISHED, "t3", detail=end))


def test_the_checkpoint_of_a_thousand_nodes_stays_under_256_kib_and_under_its_bound() -> None:
    plan, kept, largest = wide_plan(1000), Kept(), 0
    last = RunState()
    for number, last in enumerate(states(plan)):
        if number % 50 == 0 or last.end:
            largest = max(largest, kept.save(last))
    assert largest < 256 * 1024
    assert largest <= bound(plan, {}) < 256 * 1024
    assert len(json.dumps(to_json(last))) > 3 * 1024 * 1024, "and it was worth it"
    assert kept.load() == last


def test_a_run_that_goes_on_elsewhere_keeps_the_files_that_are_there() -> None:
    kept = Kept()
    every = list(states(wide_plan(60)))
    for state in every[:150]:
        kept.save(state)
    known = len(kept.files)
    assert known
    elsewhere = Packer()
    taken = elsewhere.unpack(json.loads(kept.document), kept.files.__getitem__)
    assert taken == every[149]
    kept.packer = elsewhere
    kept.save(taken)
    assert len(kept.files) == known
    for state in every[150:]:
        kept.save(state)
    assert kept.load() == every[-1]


def test_what_changes_after_it_was_settled_is_packed_anew() -> None:
    """An abort marks the outcome that came last, whenever it is asked for."""
    kept = Kept()
    state = list(states(wide_plan(200)))[400]
    kept.save(state)
    archived = len(json.loads(kept.document)["archived"])
    assert archived
    aborted = after(
        state, Record(state.next_seq, RecordType.ABORTED, "t", state.last, detail={"mode": "stop"})
    )
    kept.save(aborted)
    assert kept.load() == aborted
    gone = replace(aborted, intended=aborted.intended[3:], results=dict(list(aborted.results.items())[3:]))
    kept.save(gone)
    assert kept.load() == gone


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), min_size=1, max_size=40),
    st.integers(0, 5000),
)
def test_what_was_packed_is_unpacked(steps: list[tuple[bool, int]], words: int) -> None:
    """Any order of answered and unanswered steps, of any size."""
    kept, state = Kept(), RunState(run="r", seq=3, reopened=2, fence=7, who="ada@a")
    for number, (answered, size) in enumerate(steps):
        path = StepPath(f"step-{number}/x")
        state = replace(state, intended=(*state.intended, path), open=path, seq=state.seq + 1)
        if answered:
            result = StepResult(Status.OK, Detail(why="x" * size, results=0), {}, "a", "b")
            state = replace(state, results={**state.results, path: result}, open=StepPath())
        kept.save(state)
        assert kept.load() == state
    state = replace(state, end=End("held", ExitCode.HUMAN, "w", {"n": "y" * words}))
    kept.save(state)
    assert kept.load() == state


def test_a_plan_that_would_not_fit_is_refused_before_anything_is_written() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.plan = wide_plan(30_000)
    assert bound(engine.plan, {}) > LIMIT
    with pytest.raises(UsageError, match="30000 nodes are too many for one run"):
        engine.run()
    assert (world.records, world.saved, world.history, len(world.commits)) == ([], {}, [], 1)
    assert world.lease[0] == ""


def test_what_record_0_freezes_counts_toward_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_plan()
    assert bound(plan, {"x": "y" * 5000}) - bound(plan, {}) >= 5000
    monkeypatch.setattr(packing, "CHUNK", CHUNK * 2)
    assert bound(plan, {}) > CHUNK * 2
