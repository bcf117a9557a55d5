"""From a matrix to the planning problem, and back from its answer to versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from knowngood.planner.edges.path import minor
from knowngood.planner.scope import reach
from knowngood.planner.search.closed import Versions, boxes
from knowngood.planner.search.problem import Box, Problem, Track
from knowngood.planner.search.question import OPENSHIFT, Question
from knowngood.planner.search.tracks import Tracks, waits

LAST = "(delivers)"
"""As the name of a box, where a rule's name stands: what brings every commit moves after all others, and alone."""
MOVES_LAST = "it brings every commit and every way back, its own too, so it moves after all others, and alone"
WAITS = "(waits)"
"""As the name of a risk: while nodes wait over a minor, nothing moves but OpenShift."""
NOTHING_ELSE = "over the minor in between nodes wait for the next one, so nothing moves there but OpenShift"


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
    waiting = _waiting(question, maker)
    catalogs = any("" not in t.moves for t in tracks)
    moving = names.index(OPENSHIFT) if (catalogs or waiting) and OPENSHIFT in names else -1
    contexts = maker.contexts if moving >= 0 else ("",)
    tracks = tuple(_in_contexts(t, contexts) for t in tracks)
    tracks = tuple(t if t.name == OPENSHIFT else _closed_over(t, waiting, maker) for t in tracks)
    tracks = tuple(_with_canary(question, t, known) for t in tracks)
    problem = Problem(
        tracks=tracks,
        boxes=(
            *(b for rule in question.matrix.rules.values() for b in boxes(rule, known, question.traits)),
            *_moves_last(question, tracks),
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


def _waiting(question: Question, maker: Tracks) -> frozenset[str]:
    """The minors of OpenShift on the way over which nodes wait for the next one."""
    if OPENSHIFT not in question.moved:
        return frozenset()
    return frozenset(minor(v) for v in maker.versions(OPENSHIFT) if waits(question, OPENSHIFT, v))


def _closed_over(track: Track, waiting: frozenset[str], maker: Tracks) -> Track:
    """The track with its moves closed over these minors: what runs on the nodes there is of the minor before.

    No hop could say what it leaves on them, and none of the states between would be a place to rest.
    """
    moves = dict(track.moves)
    for context in waiting:
        moves[context] = tuple(
            {maker.needing(number, WAITS): targets for number, targets in of.items()} for of in moves[context]
        )
    return replace(track, moves=moves)


def _with_canary(question: Question, track: Track, known: Versions) -> Track:
    scope = reach(question.component(track.name), question.cluster)
    found = (known.where(ranges) for ranges in scope.node_when)
    return replace(track, canary=tuple(c for c in found if c is not None))


def _together(question: Question, names: list[str]) -> frozenset[tuple[int, int]]:
    """The pairs that may share a hop: where one of the two says so, but for what delivers, which moves alone."""
    of = {name: question.component(name).moves_with for name in names if not delivers(question, name)}
    return frozenset(
        (a, b)
        for a, first in enumerate(names)
        for b, second in enumerate(names)
        if a < b and first in of and second in of and (second in of[first] or first in of[second])
    )


def delivers(question: Question, name: str) -> bool:
    """Whether a component brings every commit, so that every way back is by it."""
    mover = question.component(name).mover
    return mover is not None and mover.delivers


def _moves_last(question: Question, tracks: tuple[Track, ...]) -> Iterator[Box]:
    """What delivers leaves its version only where all others are at their goals."""
    of = {i: delivers(question, track.name) for i, track in enumerate(tracks)}
    for i in (i for i, is_it in of.items() if is_it):
        for j in (j for j, is_it in of.items() if not is_it):
            away = {i: _but(tracks[i], tracks[i].start), j: _but(tracks[j], tracks[j].goal)}
            if all(away.values()):
                yield Box(LAST, away)


def _but(track: Track, version: int) -> int:
    """All versions of a track but one."""
    return (1 << len(track.versions)) - 1 & ~(1 << version)
