"""A small world behind the engine's ports: nodes, a GitOps branch, Argo CD, gates. Every fake subclasses its port.

`World` is what survives a kill; the fakes are thrown away with the runner, as real adapters are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from knowngood.model.bmcs import BmcState
from knowngood.model.context import JudgeRequest
from knowngood.model.evidence import GateSuite
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding
from knowngood.model.record import Record
from knowngood.planner.status import Standard
from knowngood.ports.cancel import Cancel
from knowngood.ports.lock import Beat, no_beat
from knowngood.ports.registry import Images, Looked

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
    boots: int = 1
    made_by: str = "25.10.1"  # the operator's version whose driver pod it has
    loaded_at: float = 10.0  # seconds since boot
    claim: str = ""
    tainted: str = ""  # the run that our maintenance taint names
    shut_by: str = ""  # the run that quarantined it
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
class Holder:
    """A runner that took the Lease: holder, fence and which Lease it was."""

    lease: tuple[str, int, int]
    cancel: Cancel
    late: bool = False


@dataclass
class World:
    """The cluster and the Git remote. `bad(request, node)` says what gates find; `broken` switches faults on."""

    nodes: dict[str, FakeNode]
    commits: list[Commit]
    live: dict[tuple[str, str], str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)  # what Git says beside the versions, path -> text
    synced: str = ""
    at_once: bool = False  # what the live objects declare comes by itself
    by_label: bool = False  # what moves comes without a load: it stands on the one that is there
    operator: str = "25.10.1"  # what of it runs, where a plan moves one
    operator_at_start: str = "25.10.1"
    bad: Callable[[JudgeRequest, str, World], str] = lambda request, node, world: ""
    broken: set[str] = field(default_factory=set)
    blocked: dict[str, int] = field(default_factory=dict)  # node -> drains still to refuse
    history: list[tuple[str, str, str]] = field(default_factory=list)  # node, event, detail
    records: list[Record] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    lease: tuple[str, int] = ("", 0)
    beat: Beat = no_beat  # the heartbeat of the Lease's holder
    saved: dict[str, Any] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)  # run -> how often its checkpoint was written
    machines: dict[str, tuple[list[Record], dict[str, bytes]]] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)  # what of others' work is held -> by which run
    held_for: set[str] = field(default_factory=set)  # the nodes for which it ever was
    lifts: int = 0  # how often somebody has what is held go on, unasked
    idle: set[str] = field(default_factory=set)  # nodes on which no tenant works
    load_on: dict[str, int] = field(default_factory=dict)  # our synthetic load: node -> GPUs
    ticks: int = 0  # every look at the clock is later than the one before
    abort: str = ""
    found: dict[str, list[Finding]] = field(default_factory=dict)  # by call: rights, declared, ready, windows
    rights_asked_for: tuple[FieldChange, ...] = ()
    images: Images = field(default_factory=Images)  # what the registry says
    coming: dict[str, Looked] = field(default_factory=dict)  # and of a release that is not there yet
    bmcs: dict[str, BmcState] = field(default_factory=dict)
    flashes: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # what BMCs were asked whether they take it
    promoted: list[tuple[str, str]] = field(default_factory=list)
    proof: dict[str, Any] = field(default_factory=dict)  # the evidence that was promoted
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)  # run -> evidence against the release
    suite: GateSuite = field(default_factory=lambda: GateSuite("a1b2c3d4e5f6a7b8"))
    standard: Callable[[World, str], Standard] | None = None  # what the matrix says of evidence
    clock: float = 0.0
    jumped: float = 0.0  # seconds by which the runner's wall clock jumped
    kill_after: int = -1  # appends until the kill; -1: never
    kill_before_write: bool = False
    dead: bool = False
    moments: list[str] = field(default_factory=list)  # inside effects, as they came
    strike_at: int = -1  # the moment at which the runner is hit; -1: never
    signal: Cancel | None = None  # what hits it: SIGINT by this; None: SIGKILL
    meanwhile: Callable[[], None] | None = None  # what happens at that moment instead
    holders: list[Holder] = field(default_factory=list)  # of the Lease; the last is the runner that acts now
    leases: int = 0  # how often the Lease was made
    too_late: list[str] = field(default_factory=list)  # done by a runner that had been told to stop
    folder: Path = Path("nowhere")

    def uptime(self) -> float:
        """Seconds since boot, on every node: all that happens takes time."""
        return 1000.0 + len(self.history)

    def load(self, name: str, version: str) -> None:
        """A node's module is loaded anew, by the run or by somebody else."""
        node = self.nodes[name]
        self.history.append((name, "loaded", version))
        node.version = version
        if not self.by_label:
            node.loads, node.loaded_at = node.loads + 1, self.uptime()
        node.boots += "boots" in self.broken  # what moves comes with a boot
        node.made_by = self.operator

    def sync(self, commit: str) -> None:
        """Argo CD has it; where that starts by itself, every node of a ring begins, whoever works there."""
        self.live, self.synced = dict(self.head().fields), commit
        for name, node in self.nodes.items() if self.at_once else ():
            if (declared := self.declared(node)) != node.version:
                assert node.claim, f"{name} starts unclaimed"
                assert node.drained, f"{name} starts under its tenants"
                self.load(name, declared)

    def declared(self, node: FakeNode) -> str:
        """The driver that the live objects declare for a node."""
        of_ring = self.live.get((f"nvidiadriver-{node.ring}.yaml", "spec.version"), "")
        return of_ring or self.live[("clusterpolicy.yaml", "spec.driver.version")]

    def head(self) -> Commit:
        return self.commits[-1]

    def moment(self, what: str, cancel: Cancel | None = None) -> None:
        """A moment inside an effect, between two of its writes: here a signal may hit the runner.

        `cancel`: what this effect looks at; one without it ends before the signal is heeded.
        """
        assert not self.dead, "a killed runner acts"
        self.moments.append(what)
        if len(self.moments) - 1 == self.strike_at:
            if self.meanwhile is not None:
                self.meanwhile()
            elif self.signal is None:
                self.dead = True
                raise Killed
            else:
                self.signal.set("SIGINT")
        if self.holders:
            self._renew(self.holders[-1], what, at_once=cancel is None)
        if cancel is not None:
            cancel.check()

    def _renew(self, holder: Holder, what: str, *, at_once: bool) -> None:
        """A runner that lost its Lease hears of it within one renewal: in a batch it may touch one more node."""
        if holder.lease != (*self.lease, self.leases):
            if holder.cancel.is_set():
                self.too_late.append(what)
            elif holder.late or at_once:
                holder.cancel.set("the Lease was taken over")
            holder.late = True

    def at(self, machine: str) -> World:
        """Go to a machine: its journal is the one that is read and written from now on. The cluster stays."""
        mine = next((m for m, (records, _) in self.machines.items() if records is self.records), "")
        if not mine:
            self.machines.setdefault("the first", (self.records, self.files))
        self.records, self.files = self.machines.setdefault(machine, ([], {}))
        return self.revived()

    def revived(self) -> World:
        """The machine is up again, its runner gone."""
        self.dead, self.kill_after, self.strike_at = False, -1, -1
        self.signal, self.meanwhile, self.beat = None, None, no_beat
        return self


def new_world(rings: Mapping[str, Sequence[str]], fields: Mapping[tuple[str, str], str]) -> World:
    nodes = {n: FakeNode(OLD, ring) for ring, names in rings.items() for n in names}
    first = Commit("c0", dict(fields), {})
    return World(nodes=nodes, commits=[first], live=dict(fields), synced="c0")
