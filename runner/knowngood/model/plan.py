"""A plan: the hops from one release to another, ring by ring. Frozen in the journal's record 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from knowngood.model.declared import Scope
from knowngood.model.field import FieldChange
from knowngood.model.jsonable import Sparse
from knowngood.model.matrix import Disruption, UndoClass
from knowngood.model.mover import (
    PLAIN,
    TOGETHER,
    Again,
    Hold,
    MoverSpec,
    Moving,
    Specs,
    Starts,
    Words,
    joined,
)

FLEET = "fleet"
"""The name of a hop's fleet part; no ring may have it."""


@dataclass(frozen=True, slots=True)
class Move(Sparse):
    """One component's step inside a hop.

    `reinstall`: nobody offers it as an update, so it is removed and installed anew.
    """

    component: str
    from_version: str
    to_version: str
    reinstall: bool = False

    def inverse(self) -> Move:
        """The way back."""
        return replace(self, from_version=self.to_version, to_version=self.from_version)


@dataclass(frozen=True, slots=True)
class PlannedRing(Sparse):
    """One ring's part of a hop: its nodes in batches, the edits that declare it, and what its nodes move from and to.

    A ring may be behind the hop's own versions. A hop's fleet part is one without nodes: it declares for all of them.
    `own` is empty in plans of versions before 0.1: there each field was
    the version itself. `at_once`: its commit itself starts the change on all of its nodes, so they are out before it.
    """

    name: str
    batches: tuple[tuple[str, ...], ...]
    changes: tuple[FieldChange, ...]
    own: tuple[Move, ...] = ()
    at_once: bool = False

    @property
    def moves(self) -> tuple[Move, ...]:
        """What the ring's nodes move from and to, one entry a component."""
        return self.own or tuple(Move(c.component, c.before, c.after) for c in self.changes)

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes of the ring, in order."""
        return tuple(n for batch in self.batches for n in batch)


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a hop takes: `turns` one after the other, each `minutes` out of service, then `soaks` of `soak` seconds.

    `minutes` 0 where there are turns: nobody knows how long one takes, and `seconds` is what is known without them.
    `again`: seconds of second loads.
    """

    seconds: float = 0.0
    turns: int = 0
    minutes: int = 0
    soaks: int = 0
    soak: float = 0.0
    again: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether nothing is missing in `seconds`."""
        return not self.turns or self.minutes > 0


@dataclass(frozen=True, slots=True)
class SecondLoad:
    """The second load of what a hop brought, on the nodes of its canaries, the `rings`, once they are proven.

    `minutes` that one takes. `lacks`: why it is not the one that would show every latent fault of the hop; where none
    can be made, that is all there is.
    """

    rings: tuple[str, ...]
    how: Again | None
    minutes: int = 0
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """Components that move together.

    `fleet` is what is declared once for all nodes, before the rings; these then have no `changes` of their own for it.
    `leaky`: what any new pod takes from then on, in words. `rings` are empty where no node must be touched. `follows`
    are versions that change along with the moves. `why` says what holds the hop at its place, the strongest reason
    first; `allowed_by` who offers each move; `procedure` how it is undone where a Git revert is not all.
    `proves_again`: gates whose evidence a new kernel voids. `not_movable`: why knowngood does not make this hop yet,
    empty where it does. `warnings`: what is not advised of the state that it leads to, although both ends are clear of
    it. `to_rings`: how what moves is declared by one object a ring instead, and why that is no hop.
    """

    name: str
    moves: tuple[Move, ...]
    scope: Scope
    disruption: Disruption
    undo: UndoClass
    rings: tuple[PlannedRing, ...]
    follows: tuple[Move, ...] = ()
    why: tuple[str, ...] = ()
    allowed_by: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    procedure: str = ""
    proves_again: tuple[str, ...] = ()
    not_movable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    disturbed: int = 0  # nodes
    expected: Expected = Expected()
    fleet: PlannedRing | None = None
    leaky: str = ""
    to_rings: tuple[str, ...] = ()
    paused: bool = (
        False  # the workers stay behind the control plane until the next minor, in pools that stay held
    )
    again: SecondLoad | None = None

    @property
    def parts(self) -> tuple[PlannedRing, ...]:
        """The fleet part, if there is one, then the rings: in this order they are made."""
        return (self.fleet, *self.rings) if self.fleet else self.rings

    @property
    def closed(self) -> bool:
        """Whether there is no way back once its commit is out."""
        return self.undo is UndoClass.FORWARD_ONLY

    @property
    def without_canary(self) -> tuple[str, ...]:
        """The components that reach all nodes at once, or that no node has: no ring goes first with them."""
        of_rings = {m.component for ring in self.rings for m in ring.moves}
        return tuple(m.component for m in self.moves if m.component not in of_rings)


@dataclass(frozen=True, slots=True)
class Resting:
    """A state between hops: it keeps every blocking rule, and an undo can stop there."""

    after: str  # the hop's name
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlannedPool:
    """The GPU nodes of one hardware profile, and the gates that judge them."""

    profile: str
    nodes: tuple[str, ...]
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do. `gates` are the required gates by kind; `warnings` are broken `warn` rules, shown.

    `pools` is empty where all GPU nodes have one profile; else `profile` names all of them.

    `schemes` maps a component to how its versions are read (`planner.version`).
    `movers` says of each component that moves how it does: a run goes by nothing newer. `reported`: what modules say
    that is not their package's version (`Matrix.reported`).
    `catalogs` says for each operator where its edges come from; `accepted` are the risks that a person took; `accepts`
    are the rules that warn of the release and why it lives with that, as its file says; `cost` is what the plan was
    chosen by, the most important first.
    """

    cluster: str
    profile: str
    from_release: str
    to_release: str
    to_versions: Mapping[str, str]
    from_versions: Mapping[str, str]
    hops: tuple[Hop, ...]
    active_gates: tuple[str, ...]
    passive_gates: tuple[str, ...]
    not_applicable: Mapping[str, str]  # gate -> why
    warnings: tuple[str, ...] = ()
    matrix_commit: str = ""
    cluster_digest: str = ""
    schemes: Mapping[str, str] = field(default_factory=dict)
    point_of_no_return: str = ""  # the first hop that can't be undone
    resting: tuple[Resting, ...] = ()
    catalogs: Mapping[str, str] = field(default_factory=dict)
    channel: str = ""
    accepted: tuple[str, ...] = ()
    cost: Mapping[str, int] = field(default_factory=dict)
    movers: Specs = field(default_factory=dict)
    reported: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pools: tuple[PlannedPool, ...] = ()
    second_load_gates: tuple[str, ...] = ()  # they judge a hop's second load
    meeting_gates: tuple[str, ...] = ()  # for them two nodes of a batch must meet, as nobody outside can
    accepts: Mapping[str, str] = field(default_factory=dict)

    @property
    def profiles(self) -> tuple[str, ...]:
        """The hardware profiles of its GPU nodes."""
        return tuple(pool.profile for pool in self.pools) or (self.profile,)

    def judged_by(self, gate: str, nodes: Sequence[str]) -> tuple[str, ...]:
        """Those of the nodes whose pool has the gate."""
        without = {node for pool in self.pools if gate not in pool.gates for node in pool.nodes}
        return tuple(node for node in nodes if node not in without)

    def strands(self, batch: Sequence[str], rest: Sequence[str]) -> bool:
        """Whether a node of what is left of a batch would meet nobody, and so could not be judged."""
        pools = [pool.nodes for pool in self.pools if {*pool.gates} & {*self.meeting_gates}]
        if not self.pools and self.meeting_gates:
            pools = [tuple(batch)]
        return any(len({*pool} & {*rest}) == 1 < len({*pool} & {*batch}) for pool in pools)

    def moving(self, ring: PlannedRing, *, undo: bool = False) -> tuple[Moving, ...]:
        """What a ring moves, with its movers; turned around for an undo."""
        moves = (m.inverse() if undo else m for m in ring.moves)
        by = {change.component: change.object for change in ring.changes}
        return tuple(
            Moving(
                m.component,
                m.from_version,
                m.to_version,
                self.mover(m.component),
                by.get(m.component),
                m.reinstall,
            )
            for m in moves
        )

    def claiming(self, part: PlannedRing) -> Specs:
        """The movers by which a part's nodes are taken: of what does not move there they are only read, so that nothing
        of it is taken out from under them.
        """
        moved = {m.component for m in part.moves}
        return {n: spec if n in moved else replace(spec, guards=()) for n, spec in self.movers.items()}

    def moved_by(self, movers: Specs) -> Plan:
        """The plan, with these movers where an older version made it, which froze none."""
        if self.movers:
            return self
        moved = {m.component for hop in self.hops for m in hop.moves}
        return replace(self, movers={name: spec for name, spec in movers.items() if name in moved})

    def together(self, ring: PlannedRing) -> bool:
        """Whether a ring's nodes can only move together."""
        return any(
            self.movers[m.component].kind in TOGETHER for m in ring.moves if m.component in self.movers
        )

    def delivers(self, part: PlannedRing) -> bool:
        """Whether a part moves what brings every commit."""
        return any(self.movers[m.component].delivers for m in part.moves if m.component in self.movers)

    @property
    def _moving(self) -> list[MoverSpec]:
        """The movers of what moves: by others nodes are only read."""
        moved = {m.component for hop in self.hops for part in hop.parts for m in part.moves}
        return [spec for name, spec in self.movers.items() if name in moved or not moved]

    @property
    def _on_nodes(self) -> list[MoverSpec]:
        """The movers of what comes to a node by what is done there; all of them where nothing does."""
        every = self._moving
        return [spec for spec in every if spec.starts is Starts.RESTART] or every

    @property
    def hold(self) -> Hold:
        """How nodes are held: by the taint alone only where nothing that moves there needs more."""
        return Hold.TAINT if {spec.hold for spec in self._on_nodes} == {Hold.TAINT} else Hold.CORDON

    @property
    def holds(self) -> tuple[str, ...]:
        """Whose work is paused while nodes are out, for all that moves."""
        return tuple(dict.fromkeys(what for spec in self._moving for what in spec.holds))

    @property
    def words(self) -> Words:
        """What people call what it moves on a node."""
        return joined([spec.words for spec in self._on_nodes]) if self.movers else PLAIN

    def words_of(self, hop: str) -> Words:
        """What people call what one hop moves on a node; all of the plan's where it is no hop or none is said."""
        moved = {m.component for h in self.hops if h.name == hop for ring in h.rings for m in ring.moves}
        said = [spec.words for name, spec in self.movers.items() if name in moved]
        return joined(said) if said else self.words

    def mover(self, component: str) -> MoverSpec:
        """How a component moves. KeyError where the plan froze no mover of it."""
        return self.movers[component]

    def versions_after(self, hops: int) -> Mapping[str, str]:
        """What a node runs after that many hops: the resting state between two of them, or either end.

        What follows is known to its line only, so no node is held to it, but where its ring brings it or the target's
        release names it.
        """
        if hops >= len(self.hops):
            return self.to_versions
        versions = dict(self.from_versions)
        for hop in self.hops[:hops]:
            brought = {m.component: m.to_version for ring in hop.rings for m in ring.moves}
            follows = (
                () if hop.paused else hop.follows
            )  # where nodes wait, it comes to them with the next hop
            versions |= {m.component: m.to_version for m in (*hop.moves, *follows)} | brought
            for m in follows:
                if m.component not in brought and self.to_versions.get(m.component) != m.to_version:
                    del versions[m.component]
        return versions

    def starts_with(self, node: str) -> Mapping[str, str]:
        """What a node runs before the run: what Git declares for its ring, which may differ from ring to ring.

        A node of a ring that does not move is where the plan ends already.
        """
        ring = next((r for h in self.hops for r in h.rings if node in r.nodes), None)
        if ring is None:
            return self.to_versions
        return {**self.from_versions, **{m.component: m.from_version for m in ring.moves}}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node the plan touches, in order, once."""
        return tuple(dict.fromkeys(n for h in self.hops for r in h.rings for n in r.nodes))
