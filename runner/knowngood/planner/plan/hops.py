"""From the search's answer to hops that a person reads and the engine makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from knowngood.model.declared import Scope
from knowngood.model.matrix import (
    Component,
    Declaration,
    Disruption,
    ReleaseStatus,
    Severity,
    UndoClass,
)
from knowngood.model.mover import Specs, Starts
from knowngood.model.plan import Hop, Move, PlannedRing, SecondLoad
from knowngood.planner.duration import expected
from knowngood.planner.edges.following import by_reinstall, edge, risks
from knowngood.planner.edges.path import minor
from knowngood.planner.gates import Applicable
from knowngood.planner.movable import obstacle
from knowngood.planner.moving import CHANNEL, SUBSCRIPTION, shown, unsaid
from knowngood.planner.plan.case import Case, Wishes
from knowngood.planner.plan.order import hop_name, reasons
from knowngood.planner.plan.parts import Parts
from knowngood.planner.rules.evaluation import broken, evaluate, in_range
from knowngood.planner.scope import reach, to_rings
from knowngood.planner.search.problem import Indexes
from knowngood.planner.search.question import EUS, OPENSHIFT, Question
from knowngood.planner.search.space import Space
from knowngood.planner.search.tracks import charge_of, gone_from, waits
from knowngood.planner.second_load import second_load

DISRUPTIONS = list(Disruption)
UNDOS = list(UndoClass)
"""Mildest first."""


@dataclass
class Hops:
    """Makes hops one after the other."""

    case: Case
    space: Space
    gates: Applicable
    _said: set[str] = field(default_factory=set)  # what was warned of before: rules and revoked releases
    _behind: dict[str, str] = field(default_factory=dict)  # what nodes that waited have still

    def __post_init__(self) -> None:
        self._parts = Parts(self.case)

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.space.question

    def all(self, states: Sequence[Indexes]) -> tuple[Hop, ...]:
        """One hop for each step from state to state."""
        return tuple(self._hop(states, number) for number in range(len(states) - 1))

    def _hop(self, states: Sequence[Indexes], number: int) -> Hop:
        before, after = (self.space.versions(states[n]) for n in (number, number + 1))
        whole, then = self.question.state(before), self.question.state(after)
        moves = tuple(
            Move(n, before[n], after[n], self._reinstalls(n, before[n], after[n], whole))
            for n in before
            if before[n] != after[n]
        )
        components = [self.case.component(m.component) for m in moves]
        scopes = {c.name: self._scope(c, whole) for c in components}
        scope = Scope.CLUSTER if Scope.CLUSTER in scopes.values() else Scope.NODE
        gone = {m.component: told for m in moves if (told := self._gone(m, whole))}
        undo = UndoClass.FORWARD_ONLY if gone else max((c.undo for c in components), key=UNDOS.index)
        charges = [charge_of(self.question, m.component, m.from_version, m.to_version) for m in moves]
        paused = any(waits(self.question, m.component, m.to_version) for m in moves)
        follows = tuple(self._follows(whole, then, waits=paused))
        blocked = (*self._not_movable(moves, scopes, whole), *self._not_brought(moves, whole, then))
        fleet, rings = self._parts.of(moves, follows, whole, waits=paused)
        if blocked and scope is Scope.CLUSTER:  # it is told by whom it could be made, not how we would
            fleet, rings = None, ()
        new_kernel = any(self.case.component(m.component).scheme == "kernel" for m in follows)
        disruption = max((c.disruption for c in components), key=DISRUPTIONS.index)
        disturbed = max(max(c.reboots, c.drains) for c in charges)
        known = [m for m in moves if self.question.edges(m.component).versions]
        again = self._second_load(rings, disruption)
        return Hop(
            name=hop_name(number),
            moves=moves,
            scope=scope,
            disruption=disruption,
            undo=undo,
            rings=rings,
            follows=follows,
            why=reasons(self.space, states, number, closed=undo is UndoClass.FORWARD_ONLY),
            allowed_by=tuple(self._allowed_by(m, whole) for m in known),
            risks=tuple(name for m in known for name in self._risks(m)),
            procedure=self._procedure(moves, gone),
            proves_again=(*self.gates.active, *self.gates.passive) if new_kernel else (),
            not_movable=blocked,
            fleet=fleet,
            leaky=_leaky(fleet, rings, self.case.matrix.movers),
            to_rings=tuple(
                f"{c.name}: {told}" for c in components if (told := to_rings(c, self.case.cluster))
            ),
            warnings=self._warned(then, number, len(states) - 2),
            disturbed=disturbed,
            expected=expected(
                disruption, disturbed, rings, self.case.hardware, self.case.cluster.limits.soak, again
            ),
            again=again,
            paused=paused,
        )

    def _follows(self, whole: dict[str, str], then: dict[str, str], *, waits: bool) -> Iterator[Move]:
        """What changes along with a hop. Where nodes wait, what is moved on them follows with the next one."""
        for name in sorted(self.question.followers):
            before = self._behind.pop(name, whole.get(name, ""))
            if waits and self.case.component(name).mover is not None:
                self._behind[name] = before
            elif before != then.get(name, ""):
                yield Move(name, before, then.get(name, ""))

    def _second_load(self, rings: tuple[PlannedRing, ...], disruption: Disruption) -> SecondLoad | None:
        """What the profiles' gates ask the canaries to load once more."""
        specs = {m.component: self.case.component(m.component).mover for r in rings for m in r.moves}
        movers = {name: spec for name, spec in specs.items() if spec is not None}
        return second_load(rings, movers, self.case.hardware, disruption)

    def _scope(self, component: Component, versions: dict[str, str]) -> Scope:
        """Whom the move reaches in a state with these versions."""
        found = reach(component, self.case.cluster)
        if found.always is not None:
            return found.always
        ranged = (
            all(
                name in versions and in_range(self.case.component(name).scheme, text, versions[name])
                for name, text in ranges.items()
            )
            for ranges in found.node_when
        )
        return Scope.NODE if any(ranged) else Scope.CLUSTER

    def _warned(self, versions: dict[str, str], number: int, last: int) -> tuple[str, ...]:
        """The warnings that a hop brings; the goal's broken rules are the plan's, and what runs now is known."""
        if number == 0:
            start = self.question.state({})
            self._said |= {*self._unadvised(start), *self._revoked(start)}
        found = (self._unadvised(versions) if number < last else {}) | self._revoked(versions)
        new = tuple(sentence for name, sentence in found.items() if name not in self._said)
        self._said |= found.keys()
        return new

    def _revoked(self, versions: dict[str, str]) -> dict[str, str]:
        """The revoked releases all of whose versions are there, each with the sentence that says so."""
        return {
            f"release {r.name}": f"the cluster then runs all versions of {r.name}, which is revoked: {r.reason}"
            for r in self.case.matrix.releases.values()
            if r.status is ReleaseStatus.REVOKED and r.components.items() <= versions.items()
        }

    def _unadvised(self, versions: dict[str, str]) -> dict[str, str]:
        """The warning rules that are broken there, each with its sentence."""
        matrix = self.case.matrix
        found = evaluate(matrix.rules.values(), matrix.components, versions, self.question.traits)
        return {f"rule {f.rule.name}": f.sentence() for f in broken(found, Severity.WARN)}

    def _gone(self, move: Move, versions: dict[str, str]) -> str:
        """Why an operator can't be brought back to where it is, whatever its procedure; "" where it can."""
        openshift = minor(versions.get(OPENSHIFT, ""))
        if not gone_from(self.question, move.component, move.from_version, openshift):
            return ""
        what = f"{move.component} {move.from_version}"
        return (
            f"none, the catalog of OpenShift {openshift} is not known to hold {what}, so it can't be installed again"
            f" (where yours does, let edges/{move.component}/olm.yaml say so)"
        )

    def _procedure(self, moves: tuple[Move, ...], gone: Mapping[str, str]) -> str:
        """How each of the moves is undone, as the components' files say, or why one can't be."""
        texts = [
            (m.component, gone.get(m.component) or self.case.component(m.component).procedure) for m in moves
        ]
        said = [(name, text) for name, text in texts if text]
        return said[0][1] if len(moves) == 1 and said else " ".join(f"{name}: {text}" for name, text in said)

    def _risks(self, move: Move) -> list[str]:
        met = risks(self.question.edges(move.component), move.from_version, move.to_version)
        return [f"{risk.name}: {risk.gist}" for risk in met]

    def _reinstalls(self, name: str, a: str, b: str, versions: dict[str, str]) -> bool:
        """Whether the step is the vendor's, and the channel that Git will name does not offer it as an update."""
        edges, openshift = self.question.edges(name), minor(versions.get(OPENSHIFT, ""))
        given, mover = self.question.catalogs.get((name, openshift)), self.case.component(name).mover
        channel = (
            shown(mover, SUBSCRIPTION, b).get(CHANNEL, "") if mover and SUBSCRIPTION in mover.fields else ""
        )
        return by_reinstall(edges, a, b, openshift=openshift, catalog=given, channel=channel)

    def _allowed_by(self, move: Move, versions: dict[str, str]) -> str:
        """Who offers the move: a channel, a catalog, or nobody but the vendor."""
        name, edges = move.component, self.question.edges(move.component)
        if edges.graph:
            of = minor(self.question.goal[name] if self.question.channel == "eus" else move.to_version)
            kind = edge(edges, move.from_version, move.to_version).kind
            return f"channel {self.question.channel}-{of}, {kind} edge"
        openshift = minor(versions.get(OPENSHIFT, ""))
        given = self.question.catalogs.get((name, openshift))
        if not edges.catalogs and given is None:
            return "any known version may follow"
        if move.reinstall:
            return f"a step of the vendor that OLM does not offer: remove {name}, install {move.to_version}"
        return f"catalog of OpenShift {openshift}" if openshift else "a catalog"

    def _not_movable(
        self, moves: tuple[Move, ...], scopes: dict[str, Scope], versions: dict[str, str]
    ) -> Iterator[str]:
        """Why the engine can't make the hop yet. `versions` are those before it."""
        for move in moves:
            name, what = move.component, f"{move.component} {move.from_version} to {move.to_version}"
            component, declaration = self.case.component(name), self.case.declaration(name)
            by_ring = declaration is not None and declaration.scope is Scope.NODE
            if why := obstacle(component, self.case.cluster):
                yield f"{what}: {why}"
            elif by_ring and scopes[name] is Scope.CLUSTER:
                yield (
                    f"{what}: not yet movable here, any restart on any node takes the new version"
                    f" ({to_rings(component, self.case.cluster) or 'declare it once for all nodes'})"
                )
            elif by_ring and (small := self._in_parts(component)):
                yield (
                    f"{what}: not yet movable here, its commit starts it on all nodes of a ring at once, and a batch of"
                    f" {', '.join(small)} is smaller (make it as large as the ring, or more rings of it)"
                )
            elif told := self._by_channel(name) or self._without_image(move, component, declaration):
                yield f"{what}: {told}"
            for follower in component.mover.settles if component.mover else ():
                if follower in versions and not self.case.component(follower).movable:
                    yield f"{what}: not yet movable, it makes {follower} anew on every node, which is not movable"

    def _not_brought(
        self, moves: tuple[Move, ...], whole: Mapping[str, str], then: Mapping[str, str]
    ) -> Iterator[str]:
        """What Git leaves to an operator that moves, where that one is not known to bring what is planned, or kept."""
        for name, own in self.case.cluster.follows.items():
            leader = next((m for m in moves if m.component == own.component), None)
            if leader is None or name not in self.question.start:
                continue
            scheme = self.case.component(own.component).scheme
            ends = ((leader.from_version, whole.get(name, "")), (leader.to_version, then.get(name, "")))
            for at, version in ends:
                brings = next((v for text, v in own.versions.items() if in_range(scheme, text, at)), "")
                if brings != version or not brings:  # of a step in between nobody may know it
                    which = f"{name} {version or 'of no known version'}"
                    told = (
                        f"brings {brings} by the cluster file"
                        if brings
                        else "is not named in the cluster file"
                    )
                    yield (
                        f"{which}: it follows {own.component} here, and {own.component} {at} {told}"
                        f" (correct follows.{name}, or write its version out in Git and declare it)"
                    )

    def _in_parts(self, component: Component) -> list[str]:
        """The rings that would not be out as a whole when a commit starts the change on all of their nodes."""
        if component.mover is None or component.mover.starts is not Starts.DECLARE:
            return []
        return [ring.name for ring in self.case.cluster.rings if ring.batch < len(ring.nodes)]

    def _by_channel(self, name: str) -> str:
        """Why a component with a published graph does not move by this channel; "" where it does.

        In the others releases stand that are not in stable yet, and no run makes a cluster the first to have one.
        """
        channel, ours = self.question.channel, (Wishes().channel, EUS)
        if not self.question.edges(name).graph or channel in ours:
            return ""
        return f"not yet movable by channel {channel}, only by {' and '.join(ours)}"

    def _without_image(self, move: Move, component: Component, declaration: Declaration | None) -> str:
        """Why it can't be written to Git; "" where it can."""
        if declaration is None or component.mover is None:
            return ""
        ends = (move.from_version, move.to_version)
        why = {end: unsaid(component.mover, declaration, end) for end in ends}
        missing = [end for end in ends if why[end]]
        if not missing:
            return ""
        said = f"declare.{move.component}.{why[missing[0]]} {' and '.join(missing)}"
        return f"not yet movable here, {said}"


def _leaky(fleet: PlannedRing | None, rings: tuple[PlannedRing, ...], specs: Specs) -> str:
    """What a node may take before its turn once the fleet part is declared, in words; "" where none follows from it."""
    of_rings = {m.component for ring in rings for m in ring.moves}
    if fleet is None or not of_rings:
        return ""
    moves = [m for m in fleet.moves if m.component in of_rings] or fleet.moves
    held = all(specs[m.component].starts is Starts.DECLARE for m in moves if m.component in specs)
    who = "what nobody holds" if held else "any new pod"
    return f"{who} takes {', '.join(f'{m.component} {m.to_version}' for m in moves)}"
