"""What lies between two releases, and between two revisions of the matrix. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Component, Disruption, Matrix, Release, Severity, UndoClass
from knowngood.model.values import Object, Values
from knowngood.planner.edges.following import edge
from knowngood.planner.rules.evaluation import Outcome, evaluate, readable, traits_of
from knowngood.planner.version import key

DISRUPTIONS = tuple(Disruption)
"""Mildest first."""
UNDOS = (UndoClass.REVERT, UndoClass.REVERT_DISRUPTIVE, UndoClass.PROCEDURE, UndoClass.FORWARD_ONLY)
"""Easiest first."""
_WORST = (Outcome.OK, Outcome.NOTE, Outcome.UNKNOWN, Outcome.BROKEN)


@dataclass(frozen=True, slots=True)
class Moved:
    """One component that differs. `direction` is forward, back, other (no order), added or removed.

    `undo` says what taking it back means; a move back has already lost where its undo class is forward-only.
    """

    component: str
    before: str
    after: str
    direction: str
    disruption: Disruption
    undo: UndoClass
    procedure: str = ""
    movable: bool = True


@dataclass(frozen=True, slots=True)
class Spoken:
    """A rule that speaks about a release: the worst that it says on any of the profiles."""

    rule: str
    severity: Severity
    outcome: Outcome
    sentence: str


@dataclass(frozen=True, slots=True)
class Met:
    """What is published about one component's move: whether it is one update, and the risks declared on it."""

    component: str
    before: str
    after: str
    one_step: bool
    always: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """From one release to another. `come` and `go` are the rules that speak on one of them only."""

    before: str
    after: str
    profiles: tuple[str, ...]
    moves: tuple[Moved, ...]
    come: tuple[Spoken, ...]
    go: tuple[Spoken, ...]
    turned: tuple[Spoken, ...]  # speak on both, and say something else now
    updates: tuple[Met, ...]
    disruption: Disruption = Disruption.NONE  # the worst
    undo: UndoClass = UndoClass.REVERT  # the worst
    undoable: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of the matrix that is not what it was. `how` is added, removed or changed; `what` says where."""

    kind: str
    name: str
    how: str
    what: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixDiff:
    """From one revision of the matrix to another. `unread` are files that can't be read or compared."""

    changes: tuple[Change, ...]
    releases: tuple[ReleaseDiff, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """A matrix with what is not part of its values: evidence by file, and files that could not be read."""

    matrix: Matrix
    evidence: Mapping[str, str] = field(default_factory=dict)  # evidence/<cluster>/<file> -> its status
    unread: frozenset[tuple[str, str]] = frozenset()  # folder and name


def compare(old: Matrix, before: Release, new: Matrix, after: Release) -> ReleaseDiff:
    """From `before`, as the matrix `old` has it, to `after`, as `new` has it. ValueError: a version can't be read."""
    moves = tuple(_moves(before, after, {**old.components, **new.components}))
    first, second = _spoken(old, before, after.profiles), _spoken(new, after, after.profiles)
    undo = max((m.undo for m in moves), key=UNDOS.index, default=UndoClass.REVERT)
    return ReleaseDiff(
        before=before.name,
        after=after.name,
        profiles=after.profiles,
        moves=moves,
        come=tuple(s for name, s in second.items() if name not in first),
        go=tuple(s for name, s in first.items() if name not in second),
        turned=tuple(
            s for name, s in second.items() if name in first and first[name].outcome is not s.outcome
        ),
        updates=tuple(_updates(new, moves)),
        disruption=max((m.disruption for m in moves), key=DISRUPTIONS.index, default=Disruption.NONE),
        undo=undo,
        undoable=undo is not UndoClass.FORWARD_ONLY,
    )


def changes(old: Revision, new: Revision) -> MatrixDiff:
    """Everything that was added, removed or changed, and what each new or changed release means."""
    unread = old.unread | new.unread
    found: list[Change] = []
    for kind in ("components", "releases", "rules", "profiles", "clusters"):
        first, second = (_plain(getattr(r.matrix, kind)) for r in (old, new))
        skipped = {name for folder, name in unread if folder == kind}
        found += _between(kind.removesuffix("s"), first, second, skipped)
    for component in sorted({*old.matrix.edges, *new.matrix.edges}):
        skipped = {component} if ("edges", component) in unread else set()
        if not skipped:
            first, second = (_edges(r.matrix, component) for r in (old, new))
            found += _between(f"edges of {component}", first, second, skipped)
    found += _between("evidence", dict(old.evidence), dict(new.evidence), set())
    refused: set[tuple[str, str]] = set()
    releases = tuple(_releases(old.matrix, new.matrix, found, refused))
    names = tuple(sorted(f"{folder}/{name}" for folder, name in unread | refused))
    return MatrixDiff(tuple(found), releases, names)


def _releases(
    old: Matrix, new: Matrix, found: list[Change], refused: set[tuple[str, str]]
) -> Iterator[ReleaseDiff]:
    """A changed release against what it was, a new one against the one that it supersedes.

    Those with a version, or a range that speaks of them, that can't be read go to `refused`: a pull request may
    hold any.
    """
    for change in found:
        after = new.releases.get(change.name)
        if change.kind != "release" or after is None:
            continue
        before = old.releases.get(change.name) or new.releases.get(after.supersedes)
        if before and before.components != after.components:
            try:
                yield compare(old if change.how == "changed" else new, before, new, after)
            except ValueError:
                refused.add(("releases", after.name))


def _moves(before: Release, after: Release, components: Mapping[str, Component]) -> Iterator[Moved]:
    for name in (*after.components, *(n for n in before.components if n not in after.components)):
        first, second = before.components.get(name, ""), after.components.get(name, "")
        component = components.get(name)
        if first == second or component is None:
            continue
        yield Moved(
            name,
            first,
            second,
            _direction(component.scheme, first, second),
            component.disruption,
            component.undo,
            component.procedure,
            component.movable,
        )


def _direction(scheme: str, before: str, after: str) -> str:
    if not before or not after:
        return "removed" if before else "added"
    if scheme == "text":
        return "other"
    return "forward" if key(scheme, before) < key(scheme, after) else "back"


def _spoken(matrix: Matrix, release: Release, profiles: tuple[str, ...]) -> dict[str, Spoken]:
    """Rule -> the worst that it says on any of the profiles."""
    rules = [r for r in matrix.rules.values() if readable(r, matrix.components)]
    versions = {n: v for n, v in release.components.items() if n in matrix.components}
    found: dict[str, Spoken] = {}
    for name in profiles:
        traits = traits_of(matrix.profiles[name], None) if name in matrix.profiles else {}
        for finding in evaluate(rules, matrix.components, versions, traits):
            rule = finding.rule
            said = Spoken(rule.name, rule.severity, finding.outcome, finding.sentence())
            worst = found.setdefault(rule.name, said)
            if _WORST.index(said.outcome) > _WORST.index(worst.outcome):
                found[rule.name] = said
    return dict(sorted(found.items()))


def _updates(matrix: Matrix, moves: tuple[Moved, ...]) -> Iterator[Met]:
    for move in moves:
        edges = matrix.edges.get(move.component)
        known = edges is not None and (edges.graph or bool(edges.catalogs)) and move.before and move.after
        if edges is not None and known:
            found = edge(edges, move.before, move.after)
            yield Met(move.component, move.before, move.after, found.exists, found.always, found.conditional)


def _between(kind: str, old: Values, new: Values, skipped: set[str]) -> Iterator[Change]:
    for name in sorted({*old, *new} - skipped):
        if name not in old:
            yield Change(kind, name, "added")
        elif name not in new:
            yield Change(kind, name, "removed")
        elif old[name] != new[name]:
            yield Change(kind, name, "changed", tuple(_differences(old[name], new[name])))


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """`status: candidate → revoked`, one for each place; the deepest mapping that both have is entered."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in (*new, *(n for n in old if n not in new)):
            if old.get(name) != new.get(name):
                yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
        return
    yield f"{path}: {_shown(old)} → {_shown(new)}" if path else f"{_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(values: Values) -> Object:
    """JSON values without the places in files: a fact that only moved is the same one."""
    return {name: _placeless(to_json(value)) for name, value in values.items()}


def _edges(matrix: Matrix, component: str) -> Object:
    """A component's versions, risks and catalogs as one flat table."""
    edges = matrix.edges.get(component)
    if edges is None:
        return {}
    rest = {name: to_json(getattr(edges, name)) for name in ("channels", "steps", "branches")}
    return {
        **{f"version {v}": _placeless(to_json(known)) for v, known in edges.versions.items()},
        **{f"risk {name}": _placeless(to_json(risk)) for name, risk in edges.risks.items()},
        **{f"catalog {minor}": _placeless(to_json(c)) for minor, c in edges.catalogs.items()},
        **{name: _placeless(value) for name, value in rest.items() if value},
    }


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _placeless(v) for k, v in value.items() if k not in ("where", "lines", "raw")}
    if isinstance(value, list):
        return [_placeless(v) for v in value]
    return value
