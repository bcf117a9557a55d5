"""The intersection nobody computes: for given components in given ranges, which versions of another may run. Pure.

A version is allowed if with some version of each given component, inside its range, no rule is broken. Vendors' support
ranges are limits whatever their severity; those that block are hard. Where sources contradict each other and the rule
only warns, what one of them allows is disputed, and counts as allowed with that remark.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from knowngood.model.matrix import Matrix, Rule, Severity
from knowngood.planner.rules.evaluation import (
    Finding,
    Outcome,
    Traits,
    asks_about,
    completed,
    evaluate,
    in_range,
    parsed,
    standing,
)
from knowngood.planner.rules.known import Alike, alike, beyond, followers, known_versions, line_of
from knowngood.planner.version import is_whole

MAX_COMBINATIONS = 20_000
"""Combinations of the given components; more means that a range is too wide to be a question."""


class State(IntEnum):
    """What a version may do, best first."""

    ALLOWED = 0
    DISPUTED = 1  # one source of a rule that warns says no, another yes
    UNSUPPORTED = 2  # a rule that warns says no: outside what is documented or advised
    FORBIDDEN = 3  # a rule that blocks says no


MAY_RUN = (State.ALLOWED, State.DISPUTED)


@dataclass(frozen=True, slots=True)
class Limit:
    """A broken rule and how much it takes."""

    finding: Finding
    state: State


@dataclass(frozen=True, slots=True)
class Line:
    """One line of versions: the state of its best version, what keeps it from better, and versions that are worse."""

    name: str
    state: State
    versions: tuple[str, ...]
    why: tuple[Limit, ...]
    except_for: Mapping[str, tuple[Limit, ...]]


@dataclass(frozen=True, slots=True)
class Supported:
    """One component's lines, oldest first. `rules` are those that relate it to the given ones."""

    component: str
    lines: tuple[Line, ...]
    rules: tuple[str, ...]

    def names(self, *states: State) -> tuple[str, ...]:
        """The lines in one of these states."""
        return tuple(line.name for line in self.lines if line.state in states)


@dataclass(frozen=True, slots=True)
class Support:
    """The answer. `conflict`: what the given components break among themselves, whatever the others are.

    `depends` are blocking or warning rules that need a trait nobody named. `beyond`: as of `Checked`.
    """

    given: Mapping[str, tuple[str, ...]]  # component -> its known versions inside the range
    components: tuple[Supported, ...]
    conflict: tuple[Finding, ...]
    depends: tuple[Finding, ...]
    beyond: tuple[str, ...]


def as_range(scheme: str, text: str) -> str:
    """A range as a person gives it: a shortened version means its line; ValueError where it is no range."""
    try:
        shortened = not is_whole(scheme, text)
    except ValueError:
        shortened = False
    parsed(scheme, f"{text}.x" if shortened else text)
    return f"{text}.x" if shortened else text


def inside(matrix: Matrix, component: str, text: str) -> tuple[str, ...]:
    """Known versions in a range, oldest first; a whole version is itself, known or not. ValueError."""
    scheme = matrix.components[component].scheme
    found = tuple(v for v in known_versions(matrix, component) if in_range(scheme, text, v))
    try:
        return found or ((text,) if is_whole(scheme, text) else ())
    except ValueError:
        return found


def related(matrix: Matrix, given: Iterable[str]) -> tuple[str, ...]:
    """Components that some rule ties to a given one, directly or by what follows from them."""
    names = set(given)
    mine = names | followers(matrix.components, names)
    found = []
    for name, component in matrix.components.items():
        own = {name} | followers(matrix.components, [name])
        tied = any(asks_about(r) & own and asks_about(r) & mine for r in matrix.rules.values())
        if tied and name not in mine and component.follows is None:
            found.append(name)
    return tuple(sorted(found))


def support(
    matrix: Matrix,
    given: Mapping[str, tuple[str, ...]],
    wanted: Iterable[str],
    traits: Traits,
) -> Support:
    """Which versions of each wanted component may run with the given ones. ValueError: too many combinations."""
    rules = [r for r in matrix.rules.values() if r.severity is not Severity.INFO]
    combinations = _combinations(matrix, rules, given)
    alone = [evaluate(rules, matrix.components, c, traits) for c in combinations]
    conflict = min((_limits(matrix, f, c) for f, c in zip(alone, combinations, strict=True)), key=_state)
    depends = {f.rule.name: f for found in alone for f in found if _needs_trait(f)}
    supported = []
    for name in wanted:
        lines = _lines(matrix, rules, name, combinations, traits)
        supported.append(Supported(name, lines, _ties(matrix, rules, name, given)))
    return Support(
        given=given,
        components=tuple(supported),
        conflict=tuple(x.finding for x in conflict) if _state(conflict) is State.FORBIDDEN else (),
        depends=tuple(depends[name] for name in sorted(depends)),
        beyond=tuple(n for n, (one, *more) in given.items() if not more and beyond(matrix, n, one)),
    )


def _combinations(
    matrix: Matrix, rules: list[Rule], given: Mapping[str, tuple[str, ...]]
) -> tuple[Mapping[str, str], ...]:
    """One version of each class of each given component, in all combinations."""
    groups = [alike(rules, matrix.components, name, versions) for name, versions in given.items()]
    count = 1
    for group in groups:
        count *= len(group)
    if count > MAX_COMBINATIONS:
        raise ValueError(f"the ranges make {count} combinations; narrow them (at most {MAX_COMBINATIONS})")
    return tuple({a.component: a.one for a in chosen} for chosen in itertools.product(*groups))


def _lines(
    matrix: Matrix,
    rules: list[Rule],
    name: str,
    combinations: tuple[Mapping[str, str], ...],
    traits: Traits,
) -> tuple[Line, ...]:
    scheme = matrix.components[name].scheme
    versions = known_versions(matrix, name)
    why: dict[str, tuple[Limit, ...]] = {}
    for group in alike(rules, matrix.components, name, versions):
        best = _best(matrix, rules, group, combinations, traits)
        why |= dict.fromkeys(group.versions, best)
    lines: dict[str, list[str]] = {}
    for version in versions:
        lines.setdefault(line_of(scheme, version), []).append(version)
    return tuple(_line(line, tuple(members), why) for line, members in lines.items())


def _best(
    matrix: Matrix,
    rules: list[Rule],
    group: Alike,
    combinations: tuple[Mapping[str, str], ...],
    traits: Traits,
) -> tuple[Limit, ...]:
    """What still limits these versions with the given versions that suit them best."""
    best: tuple[Limit, ...] | None = None
    for chosen in combinations:
        state = {**chosen, group.component: group.one}
        found = _limits(matrix, evaluate(rules, matrix.components, state, traits), state)
        if best is None or (_state(found), len(found)) < (_state(best), len(best)):
            best = found
        if not best:
            break
    return best or ()


def _line(name: str, versions: tuple[str, ...], why: Mapping[str, tuple[Limit, ...]]) -> Line:
    state = min(_state(why[v]) for v in versions)
    best = tuple(v for v in versions if _state(why[v]) is state)
    worse = {v: why[v] for v in versions if _state(why[v]) is not state}
    return Line(name, state, best, why[best[-1]], worse)


def _limits(matrix: Matrix, findings: Iterable[Finding], versions: Mapping[str, str]) -> tuple[Limit, ...]:
    """The broken rules, the gravest first."""
    found = [Limit(f, _weight(matrix, f, versions)) for f in findings if f.outcome is Outcome.BROKEN]
    return tuple(sorted(found, key=lambda x: (-x.state, x.finding.rule.name)))


def _weight(matrix: Matrix, finding: Finding, versions: Mapping[str, str]) -> State:
    rule = finding.rule
    if rule.severity is Severity.BLOCK:
        return State.FORBIDDEN
    known = completed(matrix.components, versions)
    disputed = any(
        all(n in known and in_range(matrix.components[n].scheme, t, known[n]) for n, t in c.require.items())
        for c in standing(rule)
    )
    return State.DISPUTED if disputed else State.UNSUPPORTED


def _state(limits: Iterable[Limit]) -> State:
    return max((limit.state for limit in limits), default=State.ALLOWED)


def _needs_trait(finding: Finding) -> bool:
    return finding.outcome is Outcome.UNKNOWN and finding.component in finding.rule.traits


def _ties(
    matrix: Matrix, rules: list[Rule], name: str, given: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    mine = set(given) | followers(matrix.components, given)
    own = {name} | followers(matrix.components, [name])
    return tuple(sorted(r.name for r in rules if asks_about(r) & own and asks_about(r) & mine))
