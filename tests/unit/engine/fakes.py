"""The runner's own side of the ports: time, journal, Lease, checkpoint, promotion. Every fake subclasses its port."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.unit.engine.fake_cluster import (
    FakeCluster,
    FakeDelivery,
    FakeGates,
    FakeMachine,
    FakeNodes,
    FakeReadiness,
)
from tests.unit.engine.fake_fleet import FakeFleet
from tests.unit.engine.fake_git import FakeGitOps
from tests.unit.engine.fake_registry import FakeRegistry
from tests.unit.engine.world import FakeNode, Holder, Killed, World

from knowngood.engine.ports import Ports
from knowngood.model.bmcs import BmcState
from knowngood.model.errors import DeadlineExceeded, JournalDamaged, LockHeld, Unreachable, UsageError
from knowngood.model.evidence import Appraisal, evidence_of
from knowngood.model.finding import Finding
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.mover import HOLDS
from knowngood.model.node import Leftover
from knowngood.model.record import MAX_RECORD_BYTES, Record
from knowngood.model.run_summary import RunSummary, summary_of
from knowngood.model.state import RunState
from knowngood.planner.status import appraise
from knowngood.ports.bmcs import BmcReader
from knowngood.ports.cancel import Cancel
from knowngood.ports.checkpoint import Checkpoint
from knowngood.ports.clock import Clock
from knowngood.ports.holds import Holds, LetGo, Taken, Term
from knowngood.ports.journal import Journal
from knowngood.ports.load import SyntheticLoad
from knowngood.ports.lock import Beat, Lock, no_beat
from knowngood.ports.observer import Observer
from knowngood.ports.promotion import Promotion, Recorded

T = TypeVar("T")
POOL = "MachineConfigPool gpu"
"""What FakeHolds holds."""


class FakeClock(Clock):
    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> str:
        self.world.ticks += 1
        return f"2026-08-22T03:00:00.{self.world.ticks:06d}Z"

    def monotonic(self) -> float:
        return self.world.clock

    def jumped(self) -> float:
        return self.world.jumped

    def wait_for(
        self,
        condition: Callable[[], T | None],
        *,
        deadline: float,
        what: str,
        cancel: Cancel,
        every: float = 1.0,
    ) -> T:
        began = self.world.clock
        while not (answer := condition()):
            cancel.check()
            self.world.clock += every
            if self.world.clock - began > deadline:
                raise DeadlineExceeded(what)
        return answer


class FakeJournal(Journal):
    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def folder(self) -> Path:
        return self.world.folder

    def records(self) -> tuple[Record, ...]:
        return tuple(self.world.records)

    def append(self, record: Record) -> None:
        world = self.world
        size = len(json.dumps(to_json(record))) + 1
        if size > MAX_RECORD_BYTES:
            raise ValueError(f"a record of {size} bytes")
        assert record.seq == len(world.records)
        dies = world.kill_after == 0
        world.kill_after -= 1
        assert not world.dead, "a killed runner wrote a record"
        world.dead = dies
        if dies and world.kill_before_write:
            raise Killed
        world.records.append(record)
        if dies:
            raise Killed

    def put(self, name: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.world.files[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        if digest not in self.world.files:
            raise JournalDamaged(f"{digest} is missing")
        return self.world.files[digest]


class FakeLock(Lock):
    def __init__(self, world: World) -> None:
        self.world = world
        self.mine: Holder | None = None

    def acquire(self, run: str, cancel: Cancel, beat: Beat = no_beat, *, above: int = 0) -> int:
        world = self.world
        holder, transitions = world.lease
        if holder not in ("", run):
            raise LockHeld(f"run {holder} holds the cluster")
        world.leases += transitions == 0
        fence = max(transitions, above) + 1
        world.lease = (run, fence)
        world.beat = beat
        self.mine = Holder((run, fence, world.leases), cancel)
        world.holders.append(self.mine)
        try:
            world.moment("lease")
        except Killed:
            world.holders.pop()
            raise
        return fence

    def release(self) -> None:
        if self.mine is None:
            return
        world = self.world
        world.holders.remove(self.mine)
        if not world.dead and self.mine.lease == (*world.lease, world.leases):
            world.lease = ("", world.lease[1])
        self.mine = None


class FakeCheckpoint(Checkpoint):
    """As strict as the real one: what is replaced must be what was seen, and is never newer nor ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[str, int] = {}

    def save(self, state: RunState, *, heed: bool = False) -> str:
        there: RunState | None = self.world.saved.get(state.run)
        written = self.world.writes.get(state.run, 0)
        if self.seen.setdefault(state.run, written) != written:
            raise LockHeld(f"somebody else wrote the checkpoint of {state.run}")
        overtaken = there and (
            there.seq > state.seq or (there.end and there.seq not in {state.reopened, state.seq})
        )
        if overtaken:
            raise LockHeld(f"the checkpoint of {state.run} is newer")
        if heed and self.world.abort:
            return str(self.world.abort)
        self.seen[state.run] = self.world.writes[state.run] = written + 1
        self.world.saved[state.run] = state
        self.world.moment("save")
        return ""

    def keep(self, run: str, name: str, data: bytes) -> None:
        self.world.saved[f"{run}/{name}"] = data

    def load(self, run: str) -> RunState | None:
        found: RunState | None = self.world.saved.get(run)
        self.seen[run] = self.world.writes.get(run, 0)
        return from_json(RunState, json.loads(json.dumps(to_json(found)))) if found else None

    def fetch(self, run: str, name: str) -> bytes:
        data: bytes = self.world.saved[f"{run}/{name}"]
        return data

    def runs(self) -> tuple[RunSummary, ...]:
        states = [v for k, v in self.world.saved.items() if "/" not in k]
        return tuple(summary_of(state) for state in reversed(states))

    def forget(self, run: str) -> None:
        for key in [k for k in self.world.saved if k == run or k.startswith(f"{run}/")]:
            del self.world.saved[key]

    def ask_abort(self, run: str, mode: str) -> None:
        self.world.abort = mode

    def abort_asked(self, run: str, within: float | None = None) -> str:
        return self.world.abort


class FakePromotion(Promotion):
    """`matrix-refuses` and `matrix-away` in `world.broken`: the remote says no, or does not answer."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ready(self, release: str, cluster: str) -> str:
        self._ask()
        return "a protected branch says no only to a real push"

    def appraise(self, evidence: Mapping[str, Any], now: str) -> Appraisal:
        """As the real one: the pure machine, on the scene's matrix."""
        if "matrix-unreadable" in self.world.broken:
            raise UsageError("the matrix at the branch's head can't be read")
        assert self.world.standard is not None
        return appraise(evidence_of(evidence), self.world.standard(self.world, now))

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, Any]) -> Recorded:
        self._ask()
        self.world.proof = dict(evidence)
        if (release, status) not in self.world.promoted:
            self.world.promoted.append((release, status))
            self.world.moment("promote")
        return Recorded("m1", "branch main of file:///m")

    def record_failure(self, release: str, cluster: str, evidence: Mapping[str, Any]) -> Recorded:
        self._ask()
        self.world.failures.setdefault(str(evidence["run"]), dict(evidence))
        self.world.moment("record")
        return Recorded("m1", "branch main of file:///m")

    def _ask(self) -> None:
        if "matrix-refuses" in self.world.broken:
            raise UsageError("push: the remote does not take our commits: protected branch hook declined")
        if "disk-full" in self.world.broken:
            raise OSError(28, "No space left on device")
        if "matrix-away" in self.world.broken:
            raise Unreachable("fetch: could not resolve host", hint="is the remote up?")


class FakeLoad(SyntheticLoad):
    """`no-room-<node>` in `world.broken`: its pod can't be placed there."""

    def __init__(self, world: World) -> None:
        self.world = world

    def start(self, run: str, gpus: Mapping[str, int], seconds: float) -> None:
        for node, count in gpus.items():
            self.world.load_on.setdefault(node, count)
            self.world.moment(f"load {node}")

    def working(self, run: str) -> Mapping[str, int]:
        return {n: g for n, g in self.world.load_on.items() if f"no-room-{n}" not in self.world.broken}

    def trouble(self, run: str) -> Mapping[str, str]:
        return {n: "not scheduled" for n in self.world.load_on if f"no-room-{n}" in self.world.broken}

    def clear(self, run: str, cancel: Cancel) -> str:
        if self.world.load_on:
            self.world.load_on.clear()
            self.world.moment("load cleared", cancel)
        return ""


class FakeHolds(Holds):
    """One pool. In `world.broken`: `pool-rolls`, `pool-stays` (can't be let go), `certificates-end`, `alerts-go-on`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def bound(self, kinds: Collection[str]) -> tuple[str, str]:
        ends = "certificates-end" in self.world.broken
        return ("2026-08-22T03:30:00Z", "a certificate ends at half past three") if ends else ("", "")

    def take(self, kinds: Collection[str], nodes: Sequence[str], term: Term) -> Taken:
        assert set(kinds) <= HOLDS
        if "checks-busy" in self.world.broken:
            return Taken(busy={"MachineHealthCheck gpu": "run other holds it"})
        if not kinds:
            return Taken()
        if "pool-rolls" in self.world.broken:
            return Taken(busy={POOL: "it is updating its nodes"})
        if self.world.paused.setdefault(POOL, term.run) != term.run:
            return Taken(busy={POOL: f"run {self.world.paused[POOL]} holds it"})
        self.world.held_for |= set(nodes)
        self.world.moment("held")
        return Taken((POOL,), told=("alerts go on",) if "alerts-go-on" in self.world.broken else ())

    def keep(self, held: Sequence[str], term: Term) -> Mapping[str, str]:
        assert list(held) == [POOL]
        if self.world.lifts == 0:
            return {}
        self.world.lifts -= 1
        self.world.moment("held again")
        return {POOL: "somebody had it go on: held again"}

    def standing(self) -> Sequence[Leftover]:
        starts = "moves its nodes on"
        return [
            Leftover("hold", what, f"of run {run}", run, starts) for what, run in self.world.paused.items()
        ]

    def let_go(self, kinds: Collection[str], run: str) -> LetGo:
        if self.world.paused.get(POOL) != run or "machine-config-pool" not in kinds:
            return LetGo()
        if "pool-stays" in self.world.broken:
            return LetGo(failed={POOL: "403: you may not patch it"})
        del self.world.paused[POOL]
        self.world.moment("let go")
        return LetGo((POOL,))


class FakeBmcs(BmcReader):
    """`world.bmcs`: what each node's BMC tells; of others nothing is known, as where none is named."""

    def __init__(self, world: World) -> None:
        self.world = world

    def look(self, nodes: Sequence[str]) -> Mapping[str, BmcState]:
        return {n: self.world.bmcs[n] for n in nodes if n in self.world.bmcs}

    def ready(self, nodes: Sequence[str], versions: Mapping[str, Sequence[str]]) -> Sequence[Finding]:
        self.world.flashes = {component: tuple(found) for component, found in versions.items()}
        return self.world.found.get("bmcs", [])


def ports(world: World, observers: tuple[Observer, ...] = ()) -> Ports:
    return Ports(
        clock=FakeClock(world),
        cluster=FakeCluster(world),
        lock=FakeLock(world),
        checkpoint=FakeCheckpoint(world),
        gitops=FakeGitOps(world),
        delivery=FakeDelivery(world),
        nodes=FakeNodes(world),
        fleet=FakeFleet(world),
        gates=FakeGates(world),
        journal=FakeJournal(world),
        promotion=FakePromotion(world),
        readiness=FakeReadiness(world),
        registry=FakeRegistry(world),
        load=FakeLoad(world),
        holds=FakeHolds(world),
        machine=FakeMachine(world),
        bmcs=FakeBmcs(world),
        observers=observers,
    )


def snapshot(world: World) -> dict[str, FakeNode]:
    """The nodes as they are, for comparison (what an oracle would see)."""
    return {
        n: replace(node, loads=0, loaded_at=0.0, claim=node.claim.rsplit("/", 1)[0])
        for n, node in world.nodes.items()
    }
