"""A hop's parts: what is declared once for all nodes, then the rings, with their edits and what their nodes get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from knowngood.model.declared import Scope
from knowngood.model.field import FieldChange, Place
from knowngood.model.matrix import Declaration, Ring
from knowngood.model.mover import MoverSpec, Starts
from knowngood.model.plan import FLEET, Move, PlannedRing
from knowngood.planner.edges.path import minor
from knowngood.planner.moving import said_of, unsaid
from knowngood.planner.plan.case import Case
from knowngood.planner.search.question import EUS

There = Mapping[str, tuple[str, str]]
"""Component -> its version on the nodes before a hop and after it."""


@dataclass
class Parts:
    """Makes the parts of hops one after the other; knows what each ring has by then."""

    case: Case
    _rings: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(
        self,
        moves: tuple[Move, ...],
        follows: tuple[Move, ...],
        versions: Mapping[str, str],
        *,
        waits: bool = False,
    ) -> tuple[PlannedRing | None, tuple[PlannedRing, ...]]:
        """The fleet part, None where nothing is declared once for all nodes, and the rings.

        `versions` are those before the hop: what an operator makes anew on the nodes keeps its own, but for what
        `follows`. `waits`: nodes stay as they are until the next hop, and come with that one to where it ends.
        """
        once = tuple(m for m in moves if self._once(m.component))
        fleet = PlannedRing(FLEET, (), _each_once(c for m in once for c in self._changes(m, None)), once)
        there = {name: (version, version) for name, version in versions.items()}
        there |= {m.component: (m.from_version, m.to_version) for m in follows}
        if waits:
            return fleet if once else None, ()
        rings = tuple(self._ring(ring, moves, once, there) for ring in self.case.cluster.rings)
        return fleet if once else None, tuple(ring for ring in rings if ring.own)

    def _once(self, component: str) -> bool:
        declaration = self.case.declaration(component)
        return declaration is not None and declaration.scope is Scope.CLUSTER

    def _anew(self, ring: Ring, these: Sequence[Move], own: Sequence[Move], there: There) -> Iterator[Move]:
        """What these moves make anew on the ring's nodes, each at the version that it has there or that follows."""
        moving = {m.component for m in own}
        settles = (name for m in these for name in self._mover(m.component).settles)
        for name in dict.fromkeys(settles):
            if name in there and name not in moving:
                before, after = there[name]
                has = self._has(Move(name, before, after), ring)
                yield Move(name, has, after if before != after else has)

    def _ring(self, ring: Ring, moves: tuple[Move, ...], once: tuple[Move, ...], there: There) -> PlannedRing:
        batches = tuple(ring.nodes[i : i + ring.batch] for i in range(0, len(ring.nodes), ring.batch))
        here = [m for m in moves if self._of_nodes(m.component) and self._open(m, ring)]
        own = tuple(Move(m.component, self._has(m, ring), m.to_version) for m in here)
        changes = _each_once(c for m in own if not self._once(m.component) for c in self._changes(m, ring))
        anew = tuple(self._anew(ring, (*once, *here), own, there))
        for m in (*own, *anew):
            self._rings[m.component, ring.name] = m.to_version
        at_once = any(self._mover(c.component).starts is Starts.DECLARE for c in changes)
        return PlannedRing(ring.name, batches, changes, (*own, *anew), at_once)

    def _of_nodes(self, component: str) -> bool:
        """Whether it comes to each node by what we do there, and not by its commit or an approval alone."""
        return not self._once(component) or self._mover(component).starts is Starts.RESTART

    def _mover(self, component: str) -> MoverSpec:
        return self.case.component(component).mover or MoverSpec()

    def _changes(self, move: Move, ring: Ring | None) -> Iterator[FieldChange]:
        """The edits that declare a move, for a ring or for all: one a field of its mover."""
        declaration, mover = self.case.declaration(move.component), self.case.component(move.component).mover
        if declaration is None:
            return
        if mover is None or not mover.understands(declaration.kind, declaration.path):
            yield _change(declaration, ring, declaration.path, move.from_version, move.to_version)
            return
        ends = (move.from_version, move.to_version)
        if any(unsaid(mover, declaration, end) for end in ends):
            return  # such a hop is not movable, and says why
        before = said_of(mover, declaration, move.from_version, self._channel(move, move.from_version))
        channel = self._channel(move, move.to_version)
        for path, after in said_of(mover, declaration, move.to_version, channel).items():
            if before[path] != after:
                yield _change(declaration, ring, path, before[path], after)

    def _channel(self, move: Move, version: str) -> str:
        """The update channel in which a version stands on the way; "" for the stable one of its own minor.

        In eus the whole way is in the goal's. Where the way begins, nobody has asked for that yet.
        """
        began = self.case.before(move.component)
        if self.case.wishes.channel != EUS or version == began:
            return ""
        return f"{EUS}-{minor(self.case.target.components[move.component])}"

    def _open(self, move: Move, ring: Ring) -> bool:
        """Whether the ring does not have the target's version already."""
        return not self.case.by_ring(move.component) or ring in self.case.open_rings(move.component)

    def _has(self, move: Move, ring: Ring) -> str:
        known = self._rings.get((move.component, ring.name))
        if known is None and self._once(move.component):
            return move.from_version
        return known or self.case.before(move.component, ring.name) or move.from_version


def _each_once(changes: Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    """Each field once: two components may be declared by the same one."""
    found: dict[Place, FieldChange] = {}
    for change in changes:
        found.setdefault(change.place, change)
    return tuple(found.values())


def _change(declaration: Declaration, ring: Ring | None, path: str, before: str, after: str) -> FieldChange:
    return FieldChange.of(declaration.of_ring(ring.name if ring else "", path), before, after)
