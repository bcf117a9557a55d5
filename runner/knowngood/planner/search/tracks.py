"""A component's known versions and the moves between them, at which charge: from what `edges` knows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from knowngood.model.declared import Scope
from knowngood.model.graph import Catalog, Edges, Risk, Steps
from knowngood.model.matrix import Disruption, ReleaseStatus, UndoClass
from knowngood.planner.edges.following import (
    ARCHITECTURE,
    allowed,
    catalogs,
    follows,
    holds,
    major,
    place,
)
from knowngood.planner.edges.olm import targets as updated_to
from knowngood.planner.edges.path import minor
from knowngood.planner.expression import compiled
from knowngood.planner.scope import Reach, reach
from knowngood.planner.search.cost import Charge
from knowngood.planner.search.problem import Track, bits, union
from knowngood.planner.search.question import EUS, OPENSHIFT, Question
from knowngood.planner.version import TEXT

REBOOTS = (Disruption.REBOOT, Disruption.POWER_CYCLE)
WEIGHT = {"high": 100, "medium": 10}
"""Of a conditional risk, by what it means for a GPU cluster; 1 for all others."""

Moves = tuple[Mapping[int, int], ...]


@dataclass
class Tracks:
    """Makes tracks; collects their charges. `every`: with moves that an unaccepted risk closes."""

    question: Question
    every: bool = False
    charges: dict[Charge, int] = field(default_factory=dict)
    lines: dict[str, Mapping[str, int]] = field(default_factory=dict)
    numbers: dict[tuple[str, str, str, tuple[str, ...], bool], int] = field(default_factory=dict)

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """The OpenShift minors whose catalogs are in force on the way."""
        if OPENSHIFT in self.question.moved:
            return tuple(dict.fromkeys(minor(v) for v in self.versions(OPENSHIFT)))
        return (minor(self.question.start.get(OPENSHIFT, "")),)

    def versions(self, name: str) -> tuple[str, ...]:
        """Every version between start and goal, oldest first; of a setting, which has no order, every known one."""
        question, scheme = self.question, self.question.component(name).scheme
        edges = question.edges(name)
        start, goal = question.start[name], question.goal[name]
        known = set(edges.versions) or {
            r.components[name]
            for r in question.matrix.releases.values()
            if name in r.components and r.status is not ReleaseStatus.REVOKED
        }
        # No hop goes past an end: what lies beyond was never asked for, and may be revoked.
        if scheme != TEXT:
            low, high = sorted((place(scheme, start), place(scheme, goal)))
            known = {v for v in known if low <= place(scheme, v) <= high}
        return tuple(sorted(known | {start, goal}, key=lambda v: (place(scheme, v), v)))

    def track(self, name: str) -> Track:
        """The component's track; one set of moves under "" where catalogs do not matter, else one a catalog."""
        versions, edges = self.versions(name), self.question.edges(name)
        found: dict[str, Moves]
        if edges.graph:
            versions, moves = self._by_graph(name, versions, edges)
            found = {"": moves}
        elif edges.catalogs or any(component == name for component, _ in self.question.catalogs):
            found = {context: self._by_catalog(name, versions, context) for context in self.contexts}
        else:
            found = {"": self._direct(name, versions, edges)}
        start, goal = self.question.start[name], self.question.goal[name]
        return Track(name, versions, versions.index(start), versions.index(goal), found)

    def needing(self, number: int, name: str) -> int:
        """The number of the same charge, closed until this is given up, too."""
        charge = next(c for c, n in self.charges.items() if n == number)
        return self.charges.setdefault(replace(charge, needs=charge.needs | {name}), len(self.charges))

    def _direct(self, name: str, versions: tuple[str, ...], edges: Edges) -> Moves:
        """Any version of the track can follow any other, within the vendor's steps."""
        every = (1 << len(versions)) - 1
        found = []
        for i, a in enumerate(versions):
            targets = every & ~(1 << i)
            if edges.steps is not None:
                targets = union(1 << j for j in bits(targets) if allowed(edges.steps, a, versions[j]))
            found.append(self._charged(name, a, versions, {(): targets}))
        return tuple(found)

    def _by_catalog(self, name: str, versions: tuple[str, ...], openshift: str) -> Moves:
        """What OLM offers from one catalog, within the vendor's steps."""
        edges = self.question.edges(name)
        catalog = self.question.catalogs.get((name, openshift))
        offered = offers(edges, versions, catalogs(edges, openshift, catalog))
        return tuple(
            self._charged(name, a, versions, {(): targets}, gone=gone_from(self.question, name, a, openshift))
            for a, targets in zip(versions, offered, strict=True)
        )

    def _by_graph(self, name: str, versions: tuple[str, ...], edges: Edges) -> tuple[tuple[str, ...], Moves]:
        """What the published graph has in the channel, each edge with the risks on it; and the versions on the way."""
        question = self.question
        start, goal = versions.index(question.start[name]), versions.index(question.goal[name])
        into = _in_channel(edges, versions, question.goal[name], question.channel)
        on_way = between(into, start, goal)
        new = {old: number for number, old in enumerate(bits(on_way))}
        into = [union(1 << new[i] for i in bits(into[j] & on_way)) for j in new]
        versions = tuple(versions[i] for i in new)
        risks = Risks.of(edges, versions)
        found: list[dict[tuple[str, ...], int]] = [defaultdict(int) for _ in versions]
        for j, sources in enumerate(into):
            for met, having in risks.split(versions[j], sources).items():
                if self.every or not any(edges.risks[n].always and n not in question.accepted for n in met):
                    for i in bits(having):
                        found[i][met] |= 1 << j
        return versions, tuple(
            self._charged(name, a, versions, of) for a, of in zip(versions, found, strict=True)
        )

    def _charged(
        self,
        name: str,
        a: str,
        versions: tuple[str, ...],
        by_risk: Mapping[tuple[str, ...], int],
        *,
        gone: bool = False,
    ) -> dict[int, int]:
        """Charge number -> targets, of the moves from `a` whose targets are sorted by the risks on the way."""
        found: dict[int, int] = defaultdict(int)
        by_line, risks = self._lines(name, versions), self.question.edges(name).risks
        for met, targets in by_risk.items():
            for line, members in by_line.items():
                if targets & members:
                    key = name, minor(a) if line else "", line, met, gone
                    if key not in self.numbers:
                        charge = charge_of(self.question, name, a, line or a, [risks[n] for n in met])
                        charge = replace(charge, forward_only=charge.forward_only or gone)
                        self.numbers[key] = self.charges.setdefault(charge, len(self.charges))
                    found[self.numbers[key]] |= targets & members
        return dict(found)

    def _lines(self, name: str, versions: tuple[str, ...]) -> Mapping[str, int]:
        """The targets between which charges do not differ: OpenShift's minors; all others are one line."""
        if self.question.component(name).scheme != OPENSHIFT:
            return {"": (1 << len(versions)) - 1}
        if name not in self.lines:
            found: dict[str, int] = defaultdict(int)
            for j, version in enumerate(versions):
                found[minor(version)] |= 1 << j
            self.lines[name] = dict(found)
        return self.lines[name]


def offers(edges: Edges, versions: tuple[str, ...], found: tuple[Catalog, ...]) -> list[int]:
    """For each version a mask of those that these catalogs offer after it; `edges.moves`, for all at once."""
    index = {v: i for i, v in enumerate(versions)}
    bundles = {b for c in found for entries in c.channels.values() for b in entries}
    held = union(1 << index[b.version] for b in bundles if b.version in index)
    reinstall = edges.steps is not None and edges.steps.reinstall
    offered, on_line = [], updated_to(found)
    for i, a in enumerate(versions):
        updates = [b.version for b in on_line if follows(b, a)]
        after = union(1 << index[b] for b in updates if b in index)
        if reinstall and not updates and a in edges.versions:
            after = held
        ahead = bits(after >> (i + 1) << (i + 1))
        offered.append(union(1 << j for j in ahead if allowed(edges.steps, a, versions[j])))
    return offered


def _in_channel(edges: Edges, versions: tuple[str, ...], goal: str, channel: str) -> list[int]:
    """The published edges that a cluster in the channel may take: for each version a mask of who leads to it."""
    index = {v: i for i, v in enumerate(versions)}
    into = [0] * len(versions)
    places = _majors(edges.steps, versions)
    at_most = edges.steps.at_most if edges.steps else 0
    for j, b in enumerate(versions):
        members = channel_members(edges, b, goal, channel)
        last = places[j]
        if b not in edges.versions or b not in members or last is None:
            continue
        for a in edges.versions[b].previous:
            i = index.get(a, j)
            first = places[i]
            if i < j and first is not None and 0 <= last - first <= at_most and a in members:
                into[j] |= 1 << i
    return into


def _majors(steps: Steps | None, versions: tuple[str, ...]) -> list[int | None]:
    """The place of each version's major in the vendor's order; None where it has none, one place without a rule."""
    if steps is None:
        return [0] * len(versions)
    order = {name: place for place, name in enumerate(steps.order)}
    return [order.get(major(steps, v) or "") for v in versions]


def channel_members(edges: Edges, b: str, goal: str, channel: str) -> frozenset[str]:
    """The versions of the channel that a hop to `b` needs, as `path.in_channel` has it."""
    return _members(edges.channels.get(f"{channel}-{minor(goal if channel == 'eus' else b)}", ()))


@lru_cache(maxsize=256)
def _members(channel: tuple[str, ...]) -> frozenset[str]:
    return frozenset(channel)


def charge_of(question: Question, name: str, a: str, b: str, met: Iterable[Risk] = ()) -> Charge:
    """What a component's move costs by itself."""
    component, met = question.component(name), tuple(met)
    scope = reach(component, question.cluster)
    reboots, drains = component.disruption in REBOOTS, component.disruption is Disruption.DRAIN
    nodes = disturbed(question, scope, reboots=reboots)
    paused = waits(question, name, b)
    return Charge(
        forward_only=component.undo is UndoClass.FORWARD_ONLY,
        cluster=scope.always is not Scope.NODE,
        reboots=nodes if reboots and not paused else 0,
        drains=nodes if (reboots or drains) and not paused else 0,
        risk=sum(WEIGHT.get(r.gpu, 1) for r in met if not r.always),
        needs=frozenset(r.name for r in met if r.always) - question.accepted,
    )


def gone_from(question: Question, name: str, version: str, openshift: str) -> bool:
    """Whether an operator can't be brought back to this version: the minor's catalog is not known to hold it.

    Of the minor that the cluster is on the facts that are shipped say too little: what runs came from its catalog, and
    that one is asked itself before the first commit.
    """
    given = question.catalogs.get((name, openshift))
    if given is None and openshift in ("", minor(question.start.get(OPENSHIFT, ""))):
        return False
    found = catalogs(question.edges(name), openshift, given)
    return bool(found) and not holds(found, version)


def disturbed(question: Question, scope: Reach, *, reboots: bool) -> int:
    """How many nodes a move disturbs: a reboot of the whole cluster all workers, all else the nodes with GPUs."""
    cluster = question.cluster
    if scope.always is Scope.CLUSTER:
        return len(cluster.gpu) + (len(cluster.cpu) if reboots else 0)
    return sum(len(r.nodes) for r in cluster.rings)


def waits(question: Question, name: str, b: str) -> bool:
    """Whether workers stay as they are in a hop to `b`: in channel eus they wait on odd minors for the next one."""
    return question.channel == EUS and name == OPENSHIFT and _odd(question.start[name], b)


def _odd(start: str, b: str) -> bool:
    return int(minor(b).split(".")[1]) % 2 == 1 and minor(b) != minor(start)


def between(into: list[int], start: int, goal: int) -> int:
    """The versions on a way from start to goal, and these two; given who leads to each, always from lower numbers."""
    reached = 1 << start
    for j, sources in enumerate(into):
        if sources & reached:
            reached |= 1 << j
    leads = 1 << goal
    for j in range(len(into) - 1, -1, -1):
        if leads >> j & 1:
            leads |= into[j]
    return reached & leads | 1 << start | 1 << goal


@dataclass(frozen=True, slots=True)
class Risks:
    """A graph's risks by the version that they lead to.

    `searched`: expression -> the versions that were searched, and those that it finds, as masks.
    """

    versions: tuple[str, ...]
    by_target: Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]]
    searched: dict[re.Pattern[str], tuple[int, int]]

    @classmethod
    def of(cls, edges: Edges, versions: tuple[str, ...]) -> Risks:
        """Sort the risks by target."""
        found: dict[str, list[tuple[str, re.Pattern[str]]]] = defaultdict(list)
        for name, risk in sorted(edges.risks.items()):
            for target, expression in risk.targets.items():
                found[target].append((name, compiled(expression)))
        return cls(versions, {target: tuple(of) for target, of in found.items()}, {})

    def split(self, target: str, sources: int) -> dict[tuple[str, ...], int]:
        """The sources of edges to a target, sorted by the risks that each of them meets."""
        groups: dict[tuple[str, ...], int] = {(): sources} if sources else {}
        for name, pattern in self.by_target.get(target, ()):
            hit = self._hit(pattern, sources)
            parts = [((*met, name), mask & hit) for met, mask in groups.items()]
            groups = {met: mask & ~hit for met, mask in groups.items() if mask & ~hit}
            groups |= {met: mask for met, mask in parts if mask}
        return groups

    def _hit(self, pattern: re.Pattern[str], sources: int) -> int:
        """The sources that an expression finds; each is searched once."""
        asked, hit = self.searched.get(pattern, (0, 0))
        for i in bits(sources & ~asked):
            if pattern.search(self.versions[i] + ARCHITECTURE):
                hit |= 1 << i
        self.searched[pattern] = asked | sources, hit
        return hit & sources
