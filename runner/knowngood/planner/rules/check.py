"""May these versions run together, and if not, what is the nearest combination that may? Pure.

The search changes as few components as it can, and of those the least: distance is counted in known versions between
the two. Where going back is more than a Git revert, a newer version is proposed if any passes. The search is complete
for up to MAX_CHANGES changes: what passes must change a component of the first rule that is broken, and versions that
no rule tells apart are tried once, or once on each side of the present one.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from knowngood.model.matrix import Matrix, Rule, Severity, UndoClass
from knowngood.planner.rules.evaluation import (
    Finding,
    Outcome,
    Traits,
    asks_about,
    broken,
    completed,
    evaluate,
)
from knowngood.planner.rules.known import alike, beyond, known_versions
from knowngood.planner.version import TEXT, key

MAX_CHANGES = 4
MAX_TRIED = 20_000
"""Combinations tried before the search gives up and says so."""


class Answer(StrEnum):
    """Whether versions may run together."""

    YES = "yes"
    NO = "no"  # a blocking rule is broken
    UNKNOWN = "unknown"  # a blocking rule can't be told, or a version is in no known line


@dataclass(frozen=True, slots=True)
class Change:
    """One component of the nearest combination; `steps` counts known versions between the two."""

    component: str
    before: str
    after: str
    steps: int


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest combination that no blocking rule forbids; no changes: none was found.

    `exhausted`: the search gave up before it had tried all.
    """

    changes: tuple[Change, ...]
    exhausted: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rules say. `versions` holds what follows from the given ones too; `nearest` only after a no.

    `beyond`: given components whose version is in no known line, so that no rule may have been written with it in mind.
    """

    answer: Answer
    versions: Mapping[str, str]
    findings: tuple[Finding, ...]
    nearest: Nearest | None = None
    beyond: tuple[str, ...] = ()


def check(matrix: Matrix, versions: Mapping[str, str], traits: Traits) -> Checked:
    """Every rule that speaks of these versions, gravest first. ValueError where a version can't be read."""
    findings = evaluate(matrix.rules.values(), matrix.components, versions, traits)
    said = tuple(sorted(findings, key=_gravity))
    strange = tuple(name for name, version in versions.items() if beyond(matrix, name, version))
    answer = answer_of(findings)
    if answer is Answer.YES and strange:
        answer = Answer.UNKNOWN
    nearest = _Search(matrix, versions, traits).nearest() if answer is Answer.NO else None
    return Checked(answer, completed(matrix.components, versions), said, nearest, strange)


def answer_of(findings: Iterable[Finding]) -> Answer:
    """Only rules that block decide."""
    blocking = [f for f in findings if f.rule.severity is Severity.BLOCK]
    if broken(blocking, Severity.BLOCK):
        return Answer.NO
    return Answer.UNKNOWN if any(f.outcome is Outcome.UNKNOWN for f in blocking) else Answer.YES


def _gravity(finding: Finding) -> tuple[int, int, str]:
    outcomes = (Outcome.BROKEN, Outcome.UNKNOWN, Outcome.NOTE, Outcome.OK)
    severities = (Severity.BLOCK, Severity.WARN, Severity.INFO)
    return outcomes.index(finding.outcome), severities.index(finding.rule.severity), finding.rule.name


class _Search:
    """Deeper by one change at a time; within a depth the lowest rank wins, then names, then newer versions."""

    def __init__(self, matrix: Matrix, versions: Mapping[str, str], traits: Traits) -> None:
        self._matrix = matrix
        self._given = dict(versions)
        self._traits = traits
        self._rules = [r for r in matrix.rules.values() if r.severity is Severity.BLOCK]
        self._options: dict[str, tuple[Change, ...]] = {}
        self._older: set[Change] = set()
        self._tried = 0
        self._best: tuple[Change, ...] = ()

    def nearest(self) -> Nearest:
        """The best of the lowest depth that has any."""
        for depth in range(1, min(len(self._given), MAX_CHANGES) + 1):
            self._try(self._given, (), depth)
            if self._best:
                return Nearest(self._best, self._tried >= MAX_TRIED)
            if self._tried >= MAX_TRIED:
                break
        return Nearest((), self._tried >= MAX_TRIED or len(self._given) > MAX_CHANGES)

    def _try(self, versions: Mapping[str, str], changes: tuple[Change, ...], left: int) -> None:
        self._tried += 1
        found = evaluate(self._rules, self._matrix.components, versions, self._traits)
        no = next(iter(broken(found, Severity.BLOCK)), None)
        if no is None:
            self._keep(changes)
            return
        if not left:
            return
        done = {change.component for change in changes}
        for change in self._changes(no.rule, done):
            if self._tried >= MAX_TRIED:
                return
            if not self._worse((*changes, change)):
                self._try({**versions, change.component: change.after}, (*changes, change), left - 1)

    def _worse(self, changes: tuple[Change, ...]) -> bool:
        return bool(self._best) and self._rank(changes) > self._rank(self._best)

    def _rank(self, changes: tuple[Change, ...]) -> tuple[int, int, int]:
        """Ways back that Git alone can't go, the distance, all ways back. Less is better; more changes add to it."""
        older = [c for c in changes if c in self._older]
        return sum(self._one_way(c.component) for c in older), sum(c.steps for c in changes), len(older)

    def _one_way(self, name: str) -> bool:
        return self._matrix.components[name].undo is not UndoClass.REVERT

    def _keep(self, changes: tuple[Change, ...]) -> None:
        """Where two are as near, the one whose names come first, and then the one that branched first."""
        ordered = tuple(sorted(changes, key=lambda c: c.component))
        if not self._best or self._order(ordered) < self._order(self._best):
            self._best = ordered

    def _order(self, changes: tuple[Change, ...]) -> tuple[tuple[int, int, int], tuple[str, ...]]:
        return self._rank(changes), tuple(c.component for c in changes)

    def _changes(self, rule: Rule, done: set[str]) -> Iterator[Change]:
        names = set(asks_about(rule))
        for name in asks_about(rule):
            follows = self._matrix.components[name].follows
            names |= {follows.component} if follows and name not in self._given else set()
        for name in sorted((names & set(self._given)) - done):
            yield from self._changes_of(name)

    def _changes_of(self, name: str) -> tuple[Change, ...]:
        """The nearest version of each class, on each side where they differ in the way back; best first."""
        if name not in self._options:
            before = self._given[name]
            place = _places(self._matrix, name, before)
            rules = self._rules
            options = []
            for group in alike(rules, self._matrix.components, name, place):
                if before in group.versions:
                    continue
                newer = [v for v in group.versions if place[v] > place[before]]
                older = [v for v in group.versions if place[v] < place[before]]
                for side in (newer, older) if self._one_way(name) else (group.versions,):
                    if side:
                        near = min(side, key=lambda v: (abs(place[v] - place[before]), -place[v]))
                        options.append(Change(name, before, near, abs(place[near] - place[before])))
            self._older |= {c for c in options if place[c.after] < place[before]}
            self._options[name] = tuple(sorted(options, key=lambda c: (self._rank((c,)), -place[c.after])))
        return self._options[name]


def _places(matrix: Matrix, name: str, present: str) -> dict[str, int]:
    """Each known version's place in its order, the present one among them. Settings have no order: one step each."""
    scheme, known = matrix.components[name].scheme, list(known_versions(matrix, name))
    if scheme == TEXT:
        return {present: 0} | {v: 1 for v in known if v != present}
    if present not in known:
        bisect.insort(known, present, key=lambda v: key(scheme, v))
    return {version: index for index, version in enumerate(known)}
