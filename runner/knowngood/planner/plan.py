"""From what Git declares to a release: the hops, or a refusal that names every reason."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowngood.model.errors import Refused, UsageError
from knowngood.model.matrix import (
    Cluster,
    Component,
    Declaration,
    Matrix,
    Release,
    Ring,
    Scope,
    Severity,
    Status,
    UndoClass,
)
from knowngood.model.plan import FieldChange, Hop, Move, Plan, PlannedRing
from knowngood.planner.digest import cluster_digest
from knowngood.planner.gates import applicable
from knowngood.planner.rules import Finding, Outcome, broken, evaluate, traits_of

Declared = Mapping[tuple[str, str], str]
"""(component, ring) -> the version that Git declares; ring "" for a cluster-scoped component."""


def plan(matrix: Matrix, cluster: str, to_release: str, *, declared: Declared | None = None) -> Plan:
    """The plan that brings `cluster` to `to_release`; one without hops where there is nothing to do.

    `declared` is what was read in Git; what it leaves out, and None, means: as the pinned release says.
    UsageError: no such cluster or release. Refused: every reason why not, with rule and source.
    """
    case = _Case.of(matrix, cluster, to_release, declared or {})
    reasons = [*_release_reasons(case), *_declared_reasons(case), *_move_reasons(case)]
    hops = () if reasons else _hops(case)
    reasons += _half_way_reasons(case, hops)
    if reasons:
        raise _refused(case, reasons)
    gates = applicable(matrix.profiles[case.cluster.profile])
    return Plan(
        cluster=cluster,
        profile=case.cluster.profile,
        from_release=case.pinned.name,
        to_release=to_release,
        to_versions=dict(case.target.components),
        from_versions=dict(case.pinned.components),
        hops=hops,
        active_gates=gates.active,
        passive_gates=gates.passive,
        not_applicable=gates.not_applicable,
        warnings=tuple(_warnings(case)),
        matrix_commit=matrix.commit,
        cluster_digest=cluster_digest(case.cluster),
    )


@dataclass(frozen=True, slots=True)
class _Reason:
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Case:
    """What is to be planned, looked up once."""

    matrix: Matrix
    cluster: Cluster
    pinned: Release
    target: Release
    declared: Declared

    @classmethod
    def of(cls, matrix: Matrix, cluster: str, release: str, declared: Declared) -> _Case:
        for kind, known, name in (
            ("cluster", matrix.clusters, cluster),
            ("release", matrix.releases, release),
        ):
            if name not in known:
                close = difflib.get_close_matches(name, list(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"
                raise UsageError(f"there is no {kind} {name!r} in the matrix", hint=hint)
        found = matrix.clusters[cluster]
        return cls(matrix, found, matrix.releases[found.release], matrix.releases[release], declared)

    def judged(self, versions: Mapping[str, str]) -> tuple[Finding, ...]:
        """What the rules say about these versions on this cluster's hardware."""
        traits = traits_of(self.matrix.profiles[self.cluster.profile], self.cluster)
        return evaluate(self.matrix.rules.values(), self.matrix.components, versions, traits)

    def component(self, name: str) -> Component:
        return self.matrix.components[name]

    def declaration(self, name: str) -> Declaration | None:
        return next((d for d in self.cluster.declarations if d.component == name), None)

    def before(self, component: str, ring: str = "") -> str:
        """The version that Git declares, or the pinned release's."""
        return self.declared.get((component, ring)) or self.pinned.components.get(component, "")

    def open_rings(self, component: str) -> tuple[Ring, ...]:
        """The rings that do not declare the target's version yet."""
        to = self.target.components[component]
        return tuple(r for r in self.cluster.rings if self.before(component, r.name) != to)

    def moved(self) -> list[str]:
        """Components to move: in the order of the cluster's declarations, undeclared ones last."""
        order = [d.component for d in self.cluster.declarations]
        names = [n for n in self.target.components if self._moves(n)]
        return sorted(names, key=lambda n: order.index(n) if n in order else len(order))

    def _moves(self, name: str) -> bool:
        declaration = self.declaration(name)
        if declaration and declaration.scope is Scope.NODE:
            return bool(self.open_rings(name))
        return self.before(name) != self.target.components[name]


def _release_reasons(case: _Case) -> Iterator[_Reason]:
    """What is wrong with the release itself."""
    target, cluster = case.target, case.cluster
    if target.status is Status.REVOKED:
        yield _Reason(f"{target.name} is revoked: {target.reason}", "choose another release")
    if cluster.profile not in target.profiles:
        meant = ", ".join(target.profiles)
        yield _Reason(
            f"{target.name} is meant for {meant}, {cluster.name} is {cluster.profile}",
            f"add {cluster.profile} to the release's profiles once its versions fit that machine",
        )
    findings = case.judged(target.components)
    for finding in broken(findings, Severity.BLOCK):
        yield _Reason(f"{target.name} breaks a blocking rule: {finding.sentence()}", "choose another version")


def _declared_reasons(case: _Case) -> Iterator[_Reason]:
    """Git declares a third version: neither what is pinned nor where we go, so an undo would restore it.

    The way back to the pinned release is always open: there a third version is what is to be left.
    """
    if case.target is case.pinned:
        return
    for (component, ring), version in case.declared.items():
        pinned, target = case.pinned.components.get(component), case.target.components.get(component)
        if version not in (pinned, target):
            where = f" for {ring}" if ring else ""
            yield _Reason(
                f"Git declares {component} {version!r}{where}, which neither {case.pinned.name} ({pinned})"
                f" nor {case.target.name} ({target}) has",
                f"bring Git and clusters/{case.cluster.name}.yaml together first",
            )


def _move_reasons(case: _Case) -> Iterator[_Reason]:
    """Components that would have to move and can't."""
    for name in case.moved():
        move = f"{name} {case.before(name) or '(none)'} to {case.target.components[name]}"
        declaration = case.declaration(name)
        if not case.component(name).movable:
            yield _Reason(f"{move}: not yet movable", "move it by hand, then pin the release that has it")
        elif name not in case.pinned.components:
            yield _Reason(
                f"{move}: no way back, {case.pinned.name} does not say what it was",
                f"add {name} to releases/{case.pinned.name}.yaml",
            )
        elif case.component(name).undo is UndoClass.FORWARD_ONLY:
            yield _Reason(f"{move}: no way back, this move can't be undone", "move it by hand")
        elif declaration is None:
            yield _Reason(
                f"{move}: {case.cluster.name} does not say where Git declares it",
                f"add it under `declare` in clusters/{case.cluster.name}.yaml",
            )
        elif declaration.scope is Scope.CLUSTER:
            yield _Reason(
                f"{move}: not yet movable here, {declaration.file} declares it for all nodes at once",
                "declare it ring by ring: a file with {ring} in its name",
            )


def _half_way_reasons(case: _Case, hops: tuple[Hop, ...]) -> Iterator[_Reason]:
    """After each hop the nodes rest on a mixture of both releases; that, too, must keep the blocking rules."""
    state = dict(case.pinned.components)
    for hop in hops:
        state.update({move.component: move.to_version for move in hop.moves})
        findings = case.judged(state)
        for finding in broken(findings, Severity.BLOCK):
            moved = ", ".join(f"{m.component} {m.to_version}" for m in hop.moves)
            yield _Reason(
                f"half-way, after {hop.name} ({moved}), a blocking rule breaks: {finding.sentence()}",
                "add a release in between, or one that names every component",
            )


def _hops(case: _Case) -> tuple[Hop, ...]:
    return tuple(_hop(case, name, number) for number, name in enumerate(case.moved(), start=1))


def _hop(case: _Case, name: str, number: int) -> Hop:
    component, declaration = case.component(name), case.cluster.declaration(name)
    to = case.target.components[name]
    rings = tuple(
        _ring(declaration, ring, case.before(name, ring.name), to) for ring in case.open_rings(name)
    )
    return Hop(
        name=f"hop-{number}",
        moves=(Move(name, rings[0].changes[0].before, to),),
        scope=declaration.scope,
        disruption=component.disruption,
        undo=component.undo,
        rings=rings,
    )


def _ring(declaration: Declaration, ring: Ring, before: str, after: str) -> PlannedRing:
    def named(text: str) -> str:
        return text.replace("{ring}", ring.name)

    change = FieldChange(
        component=declaration.component,
        file=named(declaration.file),
        path=declaration.path,
        before=before,
        after=after,
        object={key: named(value) for key, value in declaration.object.items()},
    )
    batches = tuple(ring.nodes[i : i + ring.batch] for i in range(0, len(ring.nodes), ring.batch))
    return PlannedRing(ring.name, batches, (change,))


def _warnings(case: _Case) -> Iterator[str]:
    """What a person should read before saying yes."""
    target, pinned = case.target, case.pinned
    if target.status is Status.DEPRECATED:
        yield f"{target.name} is deprecated"
    if pinned.status is Status.REVOKED:
        yield f"{pinned.name} is revoked ({pinned.reason}): an undo returns to it"
    findings = case.judged(target.components)
    for finding in broken(findings, Severity.WARN):
        yield finding.sentence()
    for finding in findings:
        if finding.outcome is Outcome.UNKNOWN and finding.rule.severity is not Severity.INFO:
            yield f"{target.name} does not name {finding.component}, so this can't be told: {finding.sentence()}"
    resting = case.judged(pinned.components)
    for finding in broken(resting, Severity.BLOCK):
        yield f"an undo returns to a state that breaks a blocking rule: {finding.sentence()}"
    for name in case.moved():
        for ring in case.open_rings(name) if case.target is case.pinned else ():
            yield f"Git declares {name} {case.before(name, ring.name)} for {ring.name}: an undo returns to it"
        done = [r.name for r in case.cluster.rings if r not in case.open_rings(name)]
        if done:
            rings, to = ", ".join(done), target.components[name]
            yield f"Git declares {name} {to} for {rings} already; this run moves the other rings only"


def _refused(case: _Case, reasons: list[_Reason]) -> Refused:
    """One refusal with every reason."""
    head = f"{case.cluster.name} can't go from {case.pinned.name} to {case.target.name}: "
    return Refused(head + "; ".join(r.text for r in reasons), hint=reasons[0].hint, where=case.target.where)
