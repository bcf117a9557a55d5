"""A component's known versions and the moves between them, at which charge: from what `edges` knows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.graph import Edges, Risk
from knowngood.model.matrix import Disruption, Scope, Status, UndoClass
from knowngood.planner.cost import Charge
from knowngood.planner.edges import ARCHITECTURE, allowed, moves, place
from knowngood.planner.expression import compiled
from knowngood.planner.path import in_channel, minor
from knowngood.planner.problem import Track, bits
from knowngood.planner.question import OPENSHIFT, Question
from knowngood.planner.scope import Reach, reach, undo_of

REBOOTS = (Disruption.REBOOT, Disruption.POWER_CYCLE)
WEIGHT = {"high": 100, "medium": 10}
"""Of a conditional risk, by what it means for a GPU cluster; 1 for all others."""

Moves = tuple[Mapping[int, int], ...]


@dataclass
class Tracks:
    """Makes tracks; collects their charges."""

    question: Question
    charges: dict[Charge, int] = field(default_factory=dict)

    def contexts(self) -> tuple[str, ...]:
        """The OpenShift minors whose catalogs are in force on the way."""
        if OPENSHIFT in self.question.moved:
            return tuple(dict.fromkeys(minor(v) for v in self.versions(OPENSHIFT)))
        return (minor(self.question.start.get(OPENSHIFT, "")),)

    def versions(self, name: str) -> tuple[str, ...]:
        """Every version that the component may pass, oldest first."""
        question, scheme = self.question, self.question.component(name).scheme
        edges = question.edges(name)
        start, goal = question.start[name], question.goal[name]
        known = set(edges.versions) or {
            r.components[name]
            for r in question.matrix.releases.values()
            if name in r.components and r.status is not Status.REVOKED
        }
        if edges.graph:  # no hop goes past the goal
            low, high = sorted((place(scheme, start), place(scheme, goal)))
            known = {v for v in known if low <= place(scheme, v) <= high}
        return tuple(sorted(known | {start, goal}, key=lambda v: (place(scheme, v), v)))

    def track(self, name: str) -> Track:
        """The component's track; one set of moves under "" where catalogs do not matter, else one a catalog."""
        versions, edges = self.versions(name), self.question.edges(name)
        if edges.graph:
            found = {"": self._by_graph(name, versions, edges)}
        elif edges.catalogs or any(component == name for component, _ in self.question.catalogs):
            found = {context: self._by_catalog(name, versions, context) for context in self.contexts()}
        else:
            found = {"": self._direct(name, versions, edges)}
        start, goal = self.question.start[name], self.question.goal[name]
        return Track(name, versions, versions.index(start), versions.index(goal), found)

    def _direct(self, name: str, versions: tuple[str, ...], edges: Edges) -> Moves:
        """Any known version can follow any other, within the vendor's steps."""
        found: list[dict[int, int]] = [defaultdict(int) for _ in versions]
        for i, a in enumerate(versions):
            for j, b in enumerate(versions):
                if i != j and allowed(edges.steps, a, b):
                    found[i][self._number(name, a, b)] |= 1 << j
        return tuple(found)

    def _by_catalog(self, name: str, versions: tuple[str, ...], openshift: str) -> Moves:
        """What OLM offers from one catalog, within the vendor's steps."""
        edges, scheme = self.question.edges(name), self.question.component(name).scheme
        catalog = self.question.catalogs.get((name, openshift))
        index = {v: i for i, v in enumerate(versions)}
        found: list[dict[int, int]] = [defaultdict(int) for _ in versions]
        for i, a in enumerate(versions):
            for b in moves(edges, scheme, a, openshift=openshift, catalog=catalog):
                if b in index:
                    found[i][self._number(name, a, b)] |= 1 << index[b]
        return tuple(found)

    def _by_graph(self, name: str, versions: tuple[str, ...], edges: Edges) -> Moves:
        """What the published graph has in the channel; each edge with the risks on it."""
        question, index = self.question, {v: i for i, v in enumerate(versions)}
        goal = question.goal[name]
        out = [0] * len(versions)
        for b, j in index.items():
            known = edges.versions.get(b)
            for a in known.previous if known else ():
                i = index.get(a, len(versions))
                if i < j and in_channel(edges, a, b, goal, question.channel) and allowed(edges.steps, a, b):
                    out[i] |= 1 << j
        on_way = between(out, index[question.start[name]], index[goal])
        met = Risks.of(edges)
        found: list[dict[int, int]] = [defaultdict(int) for _ in versions]
        for i in bits(on_way):
            for j in bits(out[i] & on_way):
                a, b = versions[i], versions[j]
                found[i][self._number(name, a, b, met.on(a, b))] |= 1 << j
        return tuple(found)

    def _number(self, name: str, a: str, b: str, met: tuple[Risk, ...] = ()) -> int:
        """The number of the charge of this move."""
        charge = charge_of(self.question, name, a, b, met)
        return self.charges.setdefault(charge, len(self.charges))


def charge_of(question: Question, name: str, a: str, b: str, met: tuple[Risk, ...] = ()) -> Charge:
    """What a component's move costs by itself."""
    component = question.component(name)
    scope = reach(component, question.cluster)
    reboots, drains = component.disruption in REBOOTS, component.disruption is Disruption.DRAIN
    nodes = disturbed(question, scope, reboots=reboots)
    paused = question.channel == "eus" and name == OPENSHIFT and _paused(question.start[name], b)
    return Charge(
        forward_only=undo_of(component, a, b) is UndoClass.FORWARD_ONLY,
        cluster=scope.always is not Scope.NODE,
        reboots=nodes if reboots and not paused else 0,
        drains=nodes if (reboots or drains) and not paused else 0,
        risk=sum(WEIGHT.get(r.gpu, 1) for r in met if not r.always),
        needs=frozenset(r.name for r in met if r.always) - question.accepted,
    )


def disturbed(question: Question, scope: Reach, *, reboots: bool) -> int:
    """How many nodes a move disturbs: a reboot of the whole cluster all workers, all else the nodes with GPUs."""
    cluster = question.cluster
    if scope.always is Scope.CLUSTER:
        return len(cluster.gpu) + (len(cluster.cpu) if reboots else 0)
    return sum(len(r.nodes) for r in cluster.rings)


def _paused(start: str, b: str) -> bool:
    """Whether workers stay as they are in a hop to `b`: in channel eus they wait on odd minors for the next one."""
    return int(minor(b).split(".")[1]) % 2 == 1 and minor(b) != minor(start)


def between(out: list[int], start: int, goal: int) -> int:
    """The versions on a way from start to goal in a graph without ways back, as a mask."""
    reached = 1 << start
    for i, mask in enumerate(out):
        if reached >> i & 1:
            reached |= mask
    leads = 1 << goal
    for i in range(len(out) - 1, -1, -1):
        if out[i] & leads:
            leads |= 1 << i
    return reached & leads


@dataclass(frozen=True, slots=True)
class Risks:
    """A graph's risks by the version that they lead to; what was searched once is remembered."""

    by_target: Mapping[str, tuple[tuple[Risk, re.Pattern[str]], ...]]
    known: dict[tuple[re.Pattern[str], str], bool]

    @classmethod
    def of(cls, edges: Edges) -> Risks:
        """Sort the risks by target."""
        found: dict[str, list[tuple[Risk, re.Pattern[str]]]] = defaultdict(list)
        for _, risk in sorted(edges.risks.items()):
            for target, expression in risk.targets.items():
                found[target].append((risk, compiled(expression)))
        return cls({target: tuple(of) for target, of in found.items()}, {})

    def on(self, a: str, b: str) -> tuple[Risk, ...]:
        """The risks on the move from `a` to `b`."""
        return tuple(risk for risk, pattern in self.by_target.get(b, ()) if self._hits(pattern, a))

    def _hits(self, pattern: re.Pattern[str], a: str) -> bool:
        hit = self.known.get((pattern, a))
        if hit is None:
            hit = self.known[pattern, a] = pattern.search(a + ARCHITECTURE) is not None
        return hit
