"""From a matrix to the planning problem, and back from its answer to versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from knowngood.planner.edges.path import minor
from knowngood.planner.scope import reach
from knowngood.planner.search.closed import Versions, boxes
from knowngood.planner.search.problem import Problem, Track
from knowngood.planner.search.question import OPENSHIFT, Question
from knowngood.planner.search.tracks import Tracks


@dataclass(frozen=True)
class Space:
    """The problem of a question, and how to read its answer."""

    question: Question
    problem: Problem

    def versions(self, state: Iterable[int]) -> dict[str, str]:
        """The versions of the moved components in a state of the problem."""
        return {t.name: t.versions[v] for t, v in zip(self.problem.tracks, state, strict=True)}


def space(question: Question, *, every: bool = False) -> Space:
    """The question as a problem; with `every`, moves that an unaccepted risk closes are there, and still closed."""
    maker = Tracks(question, every)
    tracks = tuple(maker.track(name) for name in question.moved)
    known = _known(question, tracks)
    names = [t.name for t in tracks]
    catalogs = any("" not in t.moves for t in tracks)
    moving = names.index(OPENSHIFT) if catalogs and OPENSHIFT in names else -1
    contexts = maker.contexts if moving >= 0 else ("",)
    tracks = tuple(_with_canary(question, _in_contexts(t, contexts), known) for t in tracks)
    problem = Problem(
        tracks=tracks,
        boxes=tuple(
            b for rule in question.matrix.rules.values() for b in boxes(rule, known, question.traits)
        ),
        charges=tuple(maker.charges),
        together=_together(question, names),
        context_track=moving,
        contexts=tuple(minor(v) for v in tracks[moving].versions) if moving >= 0 else (),
    )
    return Space(question, problem)


def _known(question: Question, tracks: tuple[Track, ...]) -> Versions:
    """What every component's version is with each version of each track."""
    moved: dict[str, tuple[int, tuple[str | None, ...]]] = {
        t.name: (i, t.versions) for i, t in enumerate(tracks)
    }
    for name, leader in question.followers.items():
        if leader in moved:
            track, leading = moved[leader]
            moved[name] = track, tuple(question.following(name, version or "") for version in leading)
    fixed = {n: v for n, v in question.state({}).items() if n not in moved}
    every = (1 << len(tracks[0].versions)) - 1 if tracks else 0
    return Versions(question.matrix.components, moved, fixed, every)


def _in_contexts(track: Track, contexts: tuple[str, ...]) -> Track:
    """The track with moves under every context that the problem has."""
    if contexts == ("",):
        return replace(track, moves={"": next(iter(track.moves.values()))})
    return replace(track, moves={c: track.moves.get(c, track.moves.get("", ())) for c in contexts})


def _with_canary(question: Question, track: Track, known: Versions) -> Track:
    scope = reach(question.component(track.name), question.cluster)
    found = (known.where(ranges) for ranges in scope.node_when)
    return replace(track, canary=tuple(c for c in found if c is not None))


def _together(question: Question, names: list[str]) -> frozenset[tuple[int, int]]:
    """The pairs that may share a hop: where one of the two says so."""
    of = {name: question.component(name).moves_with for name in names}
    return frozenset(
        (a, b)
        for a, first in enumerate(names)
        for b, second in enumerate(names)
        if a < b and (second in of[first] or first in of[second])
    )
