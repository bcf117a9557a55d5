"""Why there is no plan, what would have to give, and how far one can go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from knowngood.model.matrix import Release
from knowngood.planner.edges import no_path
from knowngood.planner.plan.case import Case
from knowngood.planner.plan.order import sentences
from knowngood.planner.plan.reasons import Reason, reasons
from knowngood.planner.rules.evaluation import origin
from knowngood.planner.search.a_star import TooLarge
from knowngood.planner.search.lower_bound import project
from knowngood.planner.search.question import Question
from knowngood.planner.search.relax import Unknown, smallest
from knowngood.planner.search.solve import solve
from knowngood.planner.search.space import LAST, MOVES_LAST, NOTHING_ELSE, WAITS, Space, space

TRIES = 12
"""Releases tried before the search for a nearer goal ends."""


def why_not(case: Case, question: Question) -> list[Reason]:
    """What closes every way from here to there."""
    whole = space(question, every=True)
    found = list(_alone(case, whole)) or list(_together(whole))
    nearest = nearest_release(case)
    if nearest is not None:
        found.append(Reason(f"the nearest release with a plan is {nearest.name}", ""))
    elif found:
        found.append(Reason("no other release of the matrix has a plan from here either", ""))
    return found


def _alone(case: Case, whole: Space) -> Iterator[Reason]:
    """Components that have no way of their own, whatever rules and risks say."""
    for i, track in enumerate(whole.problem.tracks):
        alone = replace(project(whole.problem, (i,)), boxes=())
        try:
            given = smallest(alone)
        except Unknown:
            continue
        if given is not None:
            continue
        start, goal = track.versions[track.start], track.versions[track.goal]
        component, edges = case.component(track.name), whole.question.edges(track.name)
        if edges.graph:
            closed = no_path.why_not(
                edges, component.scheme, start, goal, whole.question.channel, whole.question.accepted
            )
            text, hint = f"{track.name} {start} to {goal}: {closed.reason}", closed.hint
        else:
            step = f"; {edges.steps.message}" if edges.steps else ""
            text, hint = f"{track.name} {start} to {goal}: no way leads there{step}", "choose another version"
        if track.goal < track.start and component.procedure:
            yield Reason(
                f"{text}; going back is a procedure by hand: {component.procedure}", "go back by hand"
            )
        else:
            yield Reason(text, hint)


def _together(whole: Space) -> Iterator[Reason]:
    """The smallest set of rules and risks that would have to give."""
    problem = whole.problem
    for sentence in sentences(whole, problem.start):
        yield Reason(
            f"what runs now breaks a blocking rule: {sentence}", "mend that first, in a step of its own"
        )
    try:
        given = smallest(problem)
    except Unknown:
        yield Reason("there are too many states to say what closes the way", "plan in two steps")
        return
    if given is None:
        yield Reason(
            "more than a few rules and risks close the way", "choose a release in between as the first goal"
        )
        return
    risks = {name: risk for e in whole.question.matrix.edges.values() for name, risk in e.risks.items()}
    closing = []
    for name in sorted(given):
        if name in whole.question.matrix.rules:
            rule = whole.question.matrix.rules[name]
            closing.append(f"{rule.message} (rule {name}, {origin(rule)})")
        elif name == LAST:
            closing.append(f"of what delivers: {MOVES_LAST}")
        elif name == WAITS:
            closing.append(NOTHING_ELSE)
        else:
            closing.append(f"{risks[name].gist} (risk {name})")
    hint = "choose a release in between as the first goal"
    if all(name in risks for name in given):
        hint = " ".join(f"--accept-risk {name}" for name in sorted(given))
    elif WAITS in given:
        hint = "go one minor at a time: plan without --channel eus"
    least = "; ".join(closing)
    yield Reason(
        f"every way there is closed, past neither end; at least this would have to give: {least}", hint
    )


def nearest_release(case: Case) -> Release | None:
    """The release with a plan from here that has the most of the target's versions; None where none has one."""
    tries = sorted(_candidates(case), key=lambda r: (_distance(r, case.target), r.name))
    for release in tries[:TRIES]:
        try:
            if solve(replace(case, target=release).question()) is not None:
                return release
        except TooLarge:
            continue
    return None


def _candidates(case: Case) -> Iterator[Release]:
    """Releases that `plan` would search a way to."""
    start = case.start()
    for release in case.matrix.releases.values():
        if release in (case.target, case.pinned) or not start.keys() >= release.components.keys():
            continue
        if next(reasons(replace(case, target=release)), None) is None:
            yield release


def _distance(release: Release, target: Release) -> int:
    """How many of the target's versions a release does not have."""
    return sum(release.components.get(n) != v for n, v in target.components.items())
