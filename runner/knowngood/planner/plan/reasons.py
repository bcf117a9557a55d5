"""Why a release is out of the question for a cluster, before any way to it is searched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowngood.model.hardware import pools_of
from knowngood.model.matrix import ReleaseStatus, Severity
from knowngood.planner.plan.case import Case
from knowngood.planner.rules.evaluation import broken, evaluate


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not, and what to do about it."""

    text: str
    hint: str


def reasons(case: Case) -> Iterator[Reason]:
    """Every one of them; none means that a way may be searched."""
    yield from _release_reasons(case)
    yield from _declared_reasons(case)
    yield from _move_reasons(case)


def _release_reasons(case: Case) -> Iterator[Reason]:
    """What is wrong with the release itself."""
    target, cluster = case.target, case.cluster
    if target.status is ReleaseStatus.REVOKED:
        yield Reason(f"{target.name} is revoked: {target.reason}", "choose another release")
    meant = ", ".join(target.profiles)
    for profile in pools_of(cluster):
        if profile not in target.profiles:
            yield Reason(
                f"{target.name} is meant for {meant}, {cluster.name} is {profile}",
                f"add {profile} to the release's profiles once its versions fit that machine",
            )
    rules, components = case.matrix.rules.values(), case.matrix.components
    findings = evaluate(rules, components, target.components, case.traits)
    for finding in broken(findings, Severity.BLOCK):
        yield Reason(f"{target.name} breaks a blocking rule: {finding.sentence()}", "choose another version")


def _declared_reasons(case: Case) -> Iterator[Reason]:
    """Git declares a third version: neither what is pinned nor where we go, so an undo would restore it.

    The way back to the pinned release is always open: there a third version is what is to be left.
    """
    if case.target is case.pinned:
        return
    for (component, ring), version in case.declared.items():
        pinned, target = case.pinned.components.get(component), case.target.components.get(component)
        if version not in (pinned, target):
            where = f" for {ring}" if ring else ""
            yield Reason(
                f"Git declares {component} {version!r}{where}, which neither {case.pinned.name} ({pinned})"
                f" nor {case.target.name} ({target}) has",
                f"bring Git and clusters/{case.cluster.name}.yaml together first",
            )


def _move_reasons(case: Case) -> Iterator[Reason]:
    """Components that would have to move and never can, and those whose way back nobody could tell."""
    start = case.start()
    for name, to in case.target.components.items():
        if start.get(name) == to:
            continue
        move = f"{name} {start.get(name) or '(none)'} to {to}"
        if case.component(name).judged_only:
            yield Reason(f"{move}: not movable", "move it by hand, then pin the release that has it")
        elif name not in start:
            yield Reason(
                f"{move}: no way back, {case.pinned.name} does not say what it was",
                f"add {name} to releases/{case.pinned.name}.yaml, or name it in --from-file",
            )
