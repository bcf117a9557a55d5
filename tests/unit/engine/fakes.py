"""A small world behind the engine's ports: nodes, a GitOps branch, Argo CD, gates. Every fake subclasses its port.

`World` is what survives a kill; the fakes are thrown away with the runner, as real adapters are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from knowngood.engine.ports import Ports
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import DeadlineExceeded, JournalDamaged, LockHeld
from knowngood.model.matrix import Identity
from knowngood.model.node import Leftover, ModuleLoad, NodeState, Workload
from knowngood.model.plan import FieldChange
from knowngood.model.record import MAX_RECORD_BYTES, Record
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.checkpoint import Checkpoint
from knowngood.ports.clock import Cancel, Clock
from knowngood.ports.cluster import ClusterReader
from knowngood.ports.delivery import Delivery, SyncFailed
from knowngood.ports.gates import Gates
from knowngood.ports.gitops import FieldTaken, GitOps
from knowngood.ports.journal import Journal
from knowngood.ports.lock import Lock
from knowngood.ports.nodes import NodeWork, Outcome
from knowngood.ports.observer import Observer
from knowngood.ports.promotion import Promotion

T = TypeVar("T")
OLD, NEW = "580.173.02", "595.91.07"


class Killed(BaseException):
    """SIGKILL: nothing may catch it, nothing after it runs."""


@dataclass
class FakeNode:
    """One machine."""

    version: str
    ring: str
    loads: int = 1
    claim: str = ""
    cordoned: bool = False
    quarantined: bool = False
    drained: bool = False
    down: bool = False
    tenant: str = "vision"


@dataclass
class Commit:
    """One commit on the GitOps branch: all fields after it."""

    sha: str
    fields: dict[tuple[str, str], str]
    trailers: dict[str, str]


@dataclass
class World:
    """The cluster and the Git remote. `bad(request, node)` says what gates find; `broken` switches faults on."""

    nodes: dict[str, FakeNode]
    commits: list[Commit]
    live: dict[tuple[str, str], str] = field(default_factory=dict)
    synced: str = ""
    bad: Callable[[JudgeRequest, str, World], str] = lambda request, node, world: ""
    broken: set[str] = field(default_factory=set)
    blocked: dict[str, int] = field(default_factory=dict)  # node -> drains still to refuse
    history: list[tuple[str, str, str]] = field(default_factory=list)  # node, event, detail
    records: list[Record] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    lease: tuple[str, int] = ("", 0)
    saved: dict[str, Any] = field(default_factory=dict)
    abort: str = ""
    promoted: list[tuple[str, str]] = field(default_factory=list)
    clock: float = 0.0
    kill_after: int = -1  # appends until the kill; -1: never
    kill_before_write: bool = False
    dead: bool = False
    folder: Path = Path("nowhere")

    def head(self) -> Commit:
        return self.commits[-1]


def new_world(rings: Mapping[str, Sequence[str]], fields: Mapping[tuple[str, str], str]) -> World:
    nodes = {n: FakeNode(OLD, ring) for ring, names in rings.items() for n in names}
    first = Commit("c0", dict(fields), {})
    return World(nodes=nodes, commits=[first], live=dict(fields), synced="c0")


class FakeClock(Clock):
    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> str:
        return f"2026-08-22T03:00:00.{len(self.world.records):03d}Z"

    def monotonic(self) -> float:
        return self.world.clock

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
        assert len(repr(record)) < MAX_RECORD_BYTES
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

    def acquire(self, run: str, cancel: Cancel) -> int:
        holder, transitions = self.world.lease
        if holder not in ("", run):
            raise LockHeld(f"run {holder} holds the cluster")
        self.world.lease = (run, transitions + 1)
        return transitions + 1

    def release(self) -> None:
        if not self.world.dead:
            self.world.lease = ("", self.world.lease[1])


class FakeCheckpoint(Checkpoint):
    def __init__(self, world: World) -> None:
        self.world = world

    def save(self, run: str, state: Mapping[str, Any]) -> None:
        self.world.saved[run] = dict(state)

    def keep(self, run: str, name: str, data: bytes) -> None:
        self.world.saved[f"{run}/{name}"] = data

    def load(self, run: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.world.saved.get(run)
        return found

    def fetch(self, run: str, name: str) -> bytes:
        data: bytes = self.world.saved[f"{run}/{name}"]
        return data

    def runs(self) -> tuple[str, ...]:
        return tuple(k for k in self.world.saved if "/" not in k)

    def ask_abort(self, run: str, mode: str) -> None:
        self.world.abort = mode

    def abort_asked(self, run: str) -> str:
        return self.world.abort


class FakeCluster(ClusterReader):
    def __init__(self, world: World) -> None:
        self.world = world

    def identity(self) -> Identity:
        return Identity("uid", "ca")

    def node_names(self) -> Mapping[str, str]:
        return dict.fromkeys(self.world.nodes, "gpu") | {"liqo-1": "virtual"}

    def observe(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        return {n: self._one(n) for n in nodes}

    def _one(self, name: str) -> NodeState:
        node = self.world.nodes[name]
        if node.down:
            return NodeState(name, reachable=False, trouble="the kubelet does not answer")
        taints = ["knowngood.dev/maintenance=run:NoSchedule"] if node.claim else []
        taints += ["knowngood.dev/quarantine=run:NoSchedule"] if node.quarantined else []
        return NodeState(
            name,
            reachable=True,
            ready=True,
            boot_id=f"boot-{name}",
            uptime_seconds=1000.0 + len(self.world.history),
            load=ModuleLoad(node.version, f"boot-{name}", float(node.loads)),
            versions={"nvidia-driver": node.version},
            taints=tuple(sorted(taints)),
            unschedulable=node.cordoned,
            allocatable={"nvidia.com/gpu": "8"},
        )

    def live_value(self, change: FieldChange) -> str:
        return self.world.live.get((change.file, change.path), "")

    def workloads(self) -> Sequence[Workload]:
        up = tuple(n for n, node in self.world.nodes.items() if not node.cordoned)
        return [Workload("vision", "vision", "Deployment", "serve", 2, min(2, len(up)), up)]

    def leftovers(self) -> Sequence[Leftover]:
        return [Leftover("claim", n, node.claim) for n, node in self.world.nodes.items() if node.claim]

    def quiet(self, nodes: Sequence[str]) -> Mapping[str, str]:
        return {n: "cordoned" for n in nodes if self.world.nodes[n].cordoned}


class FakeGitOps(GitOps):
    def __init__(self, world: World) -> None:
        self.world = world

    def head(self) -> str:
        return self.world.head().sha

    def value(self, change: FieldChange) -> str:
        return self.world.head().fields[(change.file, change.path)]

    def find(self, trailers: Mapping[str, str]) -> str:
        for commit in reversed(self.world.commits):
            if all(commit.trailers.get(k) == v for k, v in trailers.items()):
                return commit.sha
        return ""

    def _push(self, fields: dict[tuple[str, str], str], trailers: Mapping[str, str]) -> str:
        sha = f"c{len(self.world.commits)}"
        self.world.commits.append(Commit(sha, fields, dict(trailers)))
        return sha

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        if found := self._find_exactly(trailers):
            return found
        fields = dict(self.world.head().fields)
        for change in changes:
            if fields[(change.file, change.path)] != change.before:
                raise FieldTaken(f"{change.file}: somebody else changed {change.path}")
            fields[(change.file, change.path)] = change.after
        return self._push(fields, trailers)

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        if found := self._find_exactly(trailers):
            return found
        fields = dict(self.world.head().fields)
        for change in changes:
            if fields[(change.file, change.path)] not in (change.after, change.before):
                raise FieldTaken(f"{change.file}: somebody else changed {change.path}")
            fields[(change.file, change.path)] = change.before
        return self._push(fields, trailers)

    def _find_exactly(self, trailers: Mapping[str, str]) -> str:
        return next((c.sha for c in reversed(self.world.commits) if c.trailers == dict(trailers)), "")

    def rehearse_way_back(self, trailers: Mapping[str, str]) -> tuple[str, str]:
        return ("c-noop", self.world.head().sha)


class FakeDelivery(Delivery):
    def __init__(self, world: World) -> None:
        self.world = world

    def ready(self) -> Sequence[str]:
        return ("auto-sync is off",) if "auto-sync-off" in self.world.broken else ()

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        back = any(c.after == OLD for c in changes)
        fault = "argo-fails-revert" if back else "argo-fails"
        if changes and fault in self.world.broken:
            raise SyncFailed(f"sync of {commit} failed")
        self.world.live = dict(self.world.head().fields)
        self.world.synced = commit
        return 1.0


class FakeNodes(NodeWork):
    """Idempotent as the playbooks are: what is already so is done."""

    def __init__(self, world: World) -> None:
        self.world = world

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        done, failed = [], {}
        for name in nodes:
            node = self.world.nodes[name]
            if node.down:
                failed[name] = "the node does not answer"
            elif node.claim and node.claim.rsplit("/", 1)[0] != fence.rsplit("/", 1)[0]:
                failed[name] = f"claimed by {node.claim}"
            else:
                node.claim, node.cordoned, node.quarantined = fence, True, False
                done.append(name)
        return Outcome(tuple(done), failed)

    def _held(self, nodes: Sequence[str], fence: str) -> dict[str, str]:
        return {n: "the claim is not ours" for n in nodes if self.world.nodes[n].claim != fence}

    def drain(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        failed = self._held(nodes, fence)
        done, given_back = [], {}
        for name in (n for n in nodes if n not in failed):
            node = self.world.nodes[name]
            if self.world.blocked.get(name, 0) > 0 and not node.drained:
                self.world.blocked[name] -= 1
                node.claim, node.cordoned = "", False
                given_back[name] = "vision/serve: its budget allows no disruption"
            else:
                node.drained = True
                done.append(name)
        return Outcome(tuple(done), failed, given_back)

    def apply(self, nodes: Sequence[str], fence: str, expect: Mapping[str, str], cancel: Cancel) -> Outcome:
        failed = self._held(nodes, fence)
        done = []
        for name in (n for n in nodes if n not in failed):
            node = self.world.nodes[name]
            want = expect["nvidia-driver"]
            assert node.drained, "never restart a driver under a tenant"
            declared = self.world.live[(f"nvidiadriver-{node.ring}.yaml", "spec.version")]
            if node.version != want and f"in-use-{name}" not in self.world.broken:
                node.version, node.loads = declared, node.loads + 1
                self.world.history.append((name, "loaded", declared))
            if f"dies-{name}" in self.world.broken and want == NEW:
                node.down = True
            if node.version == want and not node.down:
                done.append(name)
            else:
                failed[name] = f"the module is still {node.version}"
        return Outcome(tuple(done), failed)

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        failed = {n: "the claim is not ours" for n in nodes if self.world.nodes[n].claim not in ("", fence)}
        done = [n for n in nodes if n not in failed]
        for name in done:
            node = self.world.nodes[name]
            node.claim, node.cordoned, node.drained = "", False, False
            self.world.history.append((name, "released", node.version))
        return Outcome(tuple(done), failed)

    def quarantine(self, nodes: Mapping[str, str], fence: str, cancel: Cancel) -> Outcome:
        for name in nodes:
            node = self.world.nodes[name]
            node.claim, node.cordoned, node.quarantined = "", True, True
        return Outcome(tuple(nodes))


class FakeGates(Gates):
    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[JudgeRequest] = []

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        self.requests.append(request)
        results = []
        for gate in request.gates:
            for node in request.nodes:
                found = self.world.bad(request, node, self.world) if gate == "gpu_errors" else ""
                verdict = Verdict.FAIL if found else Verdict.PASS
                if found.startswith("?"):
                    verdict = Verdict.INCONCLUSIVE
                runs = self.world.nodes[node].version
                if gate == "drift" and runs != request.expect[node]["nvidia-driver"]:
                    verdict, found = Verdict.FAIL, f"runs {runs}"
                results.append(GateResult(gate, node, verdict, found or "as expected", {"xids": 0}))
        return Judgement(tuple(results))


class FakePromotion(Promotion):
    def __init__(self, world: World) -> None:
        self.world = world

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        if (release, status) not in self.world.promoted:
            self.world.promoted.append((release, status))
        return "m1"

    def record_failure(self, release: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        return "m1"


def ports(world: World, observers: tuple[Observer, ...] = ()) -> Ports:
    return Ports(
        clock=FakeClock(world),
        cluster=FakeCluster(world),
        lock=FakeLock(world),
        checkpoint=FakeCheckpoint(world),
        gitops=FakeGitOps(world),
        delivery=FakeDelivery(world),
        nodes=FakeNodes(world),
        gates=FakeGates(world),
        journal=FakeJournal(world),
        promotion=FakePromotion(world),
        observers=observers,
    )


def snapshot(world: World) -> dict[str, FakeNode]:
    """The nodes as they are, for comparison (what an oracle would see)."""
    return {n: replace(node, loads=0, claim=node.claim.rsplit("/", 1)[0]) for n, node in world.nodes.items()}
