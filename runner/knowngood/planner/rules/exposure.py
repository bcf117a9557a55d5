"""Exposure: which running versions are hit by what is known, since when they run and since when it is known. Pure.

The window is what ran before anybody knew (`blind`) and what runs on although it is known (`aware`), in days.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from knowngood.model.graph import Risk
from knowngood.model.matrix import Matrix, Release, ReleaseStatus, Severity
from knowngood.planner.rules.evaluation import Finding, Outcome, Traits, completed, evaluate
from knowngood.planner.rules.known import line_of

EVERYBODY = (".*", "^.*$")
"""Expressions of a risk that every version before meets."""


class Cause(StrEnum):
    """What hits a version."""

    RISK = "risk"
    RULE = "rule"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Since:
    """Since when a version runs: YYYY-MM-DD ("" unknown), and how that is known. `at_least`: perhaps longer."""

    day: str = ""
    how: str = ""
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One version and one thing that hits it. None: a day is missing.

    `offered` maps a kind of channel to the days between the version's coming into it and the day it was known.
    """

    component: str
    version: str
    cause: Cause
    name: str
    what: str
    gpu: str  # what a risk means for a bare-metal GPU cluster; "" for others
    known: str
    since: Since
    blind: int | None
    aware: int | None
    days: int | None
    offered: Mapping[str, int] = field(default_factory=dict)
    fixed_in: tuple[str, ...] = ()
    only_from: str = ""  # a risk that only some earlier versions meet
    always: bool = False
    source_day: str = ""  # of a rule: the oldest of its sources


@dataclass(frozen=True, slots=True)
class Running:
    """What runs somewhere: versions, since when each, and the release that a cluster file pins."""

    name: str
    versions: Mapping[str, str]
    since: Mapping[str, Since]
    traits: Traits
    release: Release | None = None
    revoked_on: Mapping[str, str] = field(default_factory=dict)  # revoked release -> day, where it is known
    ruled_on: Mapping[str, str] = field(default_factory=dict)  # rule -> since when this matrix has it


@dataclass(frozen=True, slots=True)
class Exposure:
    """All hits, gravest first, and blocking rules that can't be told."""

    name: str
    versions: Mapping[str, str]
    hits: tuple[Hit, ...]
    unknown: tuple[Finding, ...]


def exposure(matrix: Matrix, running: Running, today: str) -> Exposure:
    """What hits these versions. ValueError where a version can't be read."""
    versions = completed(matrix.components, running.versions)
    findings = evaluate(matrix.rules.values(), matrix.components, running.versions, running.traits)
    blocking = [f for f in findings if f.rule.severity is Severity.BLOCK]
    hits = [
        *_risks(matrix, running, today),
        *_broken(blocking, running, today),
        *_revoked(matrix, running, versions, today),
    ]
    unknown = tuple(f for f in blocking if f.outcome is Outcome.UNKNOWN)
    return Exposure(running.name, versions, tuple(sorted(hits, key=_gravity)), unknown)


def _gravity(hit: Hit) -> tuple[int, int, str, str]:
    order = (Cause.REVOKED, Cause.RULE, Cause.RISK)
    grave = ("", "high", "medium", "low", "none")
    return order.index(hit.cause), grave.index(hit.gpu), hit.component, hit.name


def _risks(matrix: Matrix, running: Running, today: str) -> Iterator[Hit]:
    for component, version in running.versions.items():
        edges = matrix.edges.get(component)
        if edges is None or version not in edges.versions:
            continue
        found = edges.versions[version]
        for risk in edges.risks.values():
            if version not in risk.targets:
                continue
            known = risk.declared.get(version, "")
            promoted = found.promoted or ({"released": found.released} if found.released else {})
            hit = _hit(running, component, Cause.RISK, risk.name, risk.gist, known, today)
            yield _of_risk(hit, risk, promoted, matrix.components[component].scheme)


def _of_risk(hit: Hit, risk: Risk, promoted: Mapping[str, str], scheme: str) -> Hit:
    before = risk.targets[hit.version]
    offered = {kind: _between(day, hit.known) for kind, day in promoted.items()}
    return replace(
        hit,
        gpu=risk.gpu,
        offered={kind: days for kind, days in offered.items() if days is not None and days >= 0},
        fixed_in=_same_line(scheme, hit.version, risk.fixed_in),
        only_from="" if before in EVERYBODY else before,
        always=risk.always,
    )


def _same_line(scheme: str, version: str, fixed_in: tuple[str, ...]) -> tuple[str, ...]:
    """The fixes that lie in the version's own line, else all."""
    near = tuple(f for f in fixed_in if line_of(scheme, f) == line_of(scheme, version))
    return near or fixed_in


def _broken(blocking: Iterable[Finding], running: Running, today: str) -> Iterator[Hit]:
    """A rule is known since the matrix has it; the days of its sources are when they were read."""
    for finding in blocking:
        if finding.outcome is Outcome.BROKEN:
            rule, there = finding.rule, finding.component in running.versions
            component = finding.component if there else _leader(finding, running)
            known = running.ruled_on.get(rule.name, "")
            hit = _hit(running, component, Cause.RULE, rule.name, rule.message, known, today)
            yield replace(hit, source_day=min((s.date for s in rule.sources if s.date), default=""))


def _leader(finding: Finding, running: Running) -> str:
    """A version that follows from another is not there by itself: the first of the rule's conditions that is."""
    return next((name for name in finding.rule.when if name in running.versions), finding.component)


def _revoked(matrix: Matrix, running: Running, versions: Mapping[str, str], today: str) -> Iterator[Hit]:
    """`versions` hold what follows from the running ones too: a release may name it, and nobody else does."""
    for release in matrix.releases.values():
        if release.status is not ReleaseStatus.REVOKED:
            continue
        pinned = running.release is not None and running.release.name == release.name
        same = release.components.items() <= versions.items()
        if pinned or same:
            known = running.revoked_on.get(release.name, "")
            yield _hit(running, "", Cause.REVOKED, release.name, release.reason, known, today)


def _hit(running: Running, component: str, cause: Cause, name: str, what: str, known: str, today: str) -> Hit:
    since = running.since.get(component, Since())
    return Hit(
        component=component,
        version=running.versions.get(component, ""),
        cause=cause,
        name=name,
        what=what,
        gpu="",
        known=known,
        since=since,
        blind=_not_negative(_between(since.day, min(known, today) if known else "")),
        aware=_not_negative(_between(max(since.day, known) if since.day and known else "", today)),
        days=_not_negative(_between(since.day, today)),
    )


def _not_negative(days: int | None) -> int | None:
    return None if days is None else max(0, days)


def _between(first: str, last: str) -> int | None:
    """Days from one day to another, None where one is unknown."""
    if not first or not last:
        return None
    return (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days
