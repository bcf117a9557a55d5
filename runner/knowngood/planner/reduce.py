"""Fewer versions, the same cheapest plans.

A version is left out where another one of the same component can stand in for it in every plan: it meets at most the
same rules, it can be reached from wherever the first one can be reached and goes wherever that goes, nowhere at a
higher charge, and it puts the same catalog in force. Replacing the one by the other in a plan changes no state's
soundness for the worse, no hop's cost upward, and no hop's place: so for each cheapest plan with it there is one
without. Of two that can stand in for each other the higher stays. Hundreds of z-streams become a handful.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from knowngood.planner.problem import Box, Indexes, Problem, Track, bits


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smaller problem, and for each of its tracks the old numbers of the versions that are left."""

    problem: Problem
    kept: tuple[Indexes, ...]

    def original(self, state: Indexes) -> Indexes:
        """A state of the smaller problem in the numbers of the whole one."""
        return tuple(self.kept[i][v] for i, v in enumerate(state))


def reduced(problem: Problem) -> Reduced:
    """Leave out what is on no way and what another version stands in for, until nothing more can go."""
    alive = [_on_a_way(problem, i) for i in range(len(problem.tracks))]
    smaller = True
    while smaller:
        smaller = False
        for i in range(len(problem.tracks)):
            kept = _Track.of(problem, i, alive).undominated()
            if kept != alive[i]:
                alive[i], smaller = kept, True
    return _restricted(problem, alive)


def _on_a_way(problem: Problem, i: int) -> int:
    """The versions of a track on some way from its start to its goal, whatever the others do."""
    track, count = problem.tracks[i], len(problem.tracks[i].versions)
    out, into = [0] * count, [0] * count
    for moves in track.moves.values():
        for version, targets in enumerate(moves):
            for number, mask in targets.items():
                if problem.charges[number].needs <= problem.relaxed:
                    out[version] |= mask
    for version, mask in enumerate(out):
        for to in bits(mask):
            into[to] |= 1 << version
    ends = 1 << track.start | 1 << track.goal
    never = 0
    for box in problem.boxes:
        if set(box.masks) == {i} and box.name not in problem.relaxed:
            never |= box.masks[i]
    open_ = ~never | ends
    return _reach(out, track.start, open_) & _reach(into, track.goal, open_) | ends


def _reach(following: list[int], start: int, open_: int) -> int:
    """Every version that can be reached, as a mask."""
    seen, todo = 0, 1 << start
    while todo:
        seen |= todo
        todo = 0
        for version in bits(seen):
            todo |= following[version]
        todo &= open_ & ~seen
    return seen


@dataclass(slots=True)
class _Track:
    """What decides whether one version of a track can stand in for another.

    `meets`, `wide`, `spares`: by version, what it must not meet in boxes over two tracks, the boxes over more that it
    lies in, and the canaries that it allows. `into` and `out`: by context and charge number, then by version, the
    neighbours at that charge; `into_best` and `out_best` at that charge or a better one.
    """

    alive: int
    fixed: int
    label: list[str]
    meets: list[int]
    wide: list[int]
    spares: list[int]
    into: list[list[int]]
    into_best: list[list[int]]
    out: list[list[int]]
    out_best: list[list[int]]

    @classmethod
    def of(cls, problem: Problem, i: int, alive: list[int]) -> _Track:
        track = problem.tracks[i]
        count = len(track.versions)
        meets, wide = _boxes(problem, i, alive, count)
        out, out_best, into, into_best = _neighbours(problem, track, count)
        return cls(
            alive=alive[i],
            fixed=1 << track.start | 1 << track.goal,
            label=list(problem.contexts) if problem.context_track == i else [""] * count,
            meets=meets,
            wide=wide,
            spares=_spares(problem, i, count),
            into=into,
            into_best=into_best,
            out=out,
            out_best=out_best,
        )

    def undominated(self) -> int:
        """The versions that no other one can stand in for; of two equal ones the higher."""
        alive = self.alive
        for version in bits(alive & ~self.fixed):
            others = alive & ~(1 << version)
            if any(self._stands_in(other, version, alive) for other in bits(others)):
                alive &= ~(1 << version)
        return alive

    def _stands_in(self, other: int, version: int, alive: int) -> bool:
        if (
            self.meets[other] & ~self.meets[version]
            or self.wide[other] & ~self.wide[version]
            or self.spares[version] & ~self.spares[other]
            or self.label[other] != self.label[version]
        ):
            return False
        between = alive & ~(1 << other | 1 << version)
        return all(
            not of[version] & between & ~best[other]
            for ways, bests in ((self.into, self.into_best), (self.out, self.out_best))
            for of, best in zip(ways, bests, strict=True)
        )


def _boxes(problem: Problem, i: int, alive: list[int], count: int) -> tuple[list[int], list[int]]:
    """By version: what it must not meet in boxes over two tracks, and the boxes over more tracks that it lies in."""
    meets, wide = [0] * count, [0] * count
    offset = [0]
    for track in problem.tracks:
        offset.append(offset[-1] + len(track.versions))
    for number, box in enumerate(problem.boxes):
        if i not in box.masks or box.name in problem.relaxed:
            continue
        others = [(j, mask) for j, mask in box.masks.items() if j != i]
        for version in bits(box.masks[i] & alive[i]):
            if len(others) == 1:
                j, mask = others[0]
                meets[version] |= (mask & alive[j]) << offset[j]
            else:
                wide[version] |= 1 << number
    return meets, wide


def _spares(problem: Problem, i: int, count: int) -> list[int]:
    """By version: the alternatives of canaries (of any track) that it allows."""
    spares = [0] * count
    alternatives = [c for track in problem.tracks for c in track.canary if i in c]
    for number, alternative in enumerate(alternatives):
        for version in bits(alternative[i]):
            spares[version] |= 1 << number
    return spares


Ways = list[list[int]]


def _neighbours(problem: Problem, track: Track, count: int) -> tuple[Ways, Ways, Ways, Ways]:
    """Out, out at that charge or better, in, in at that charge or better: by context and charge, then by version."""
    out: Ways = []
    best: Ways = []
    usable = [n for n, c in enumerate(problem.charges) if c.needs <= problem.relaxed]
    for moves in track.moves.values():
        used = [n for n in usable if any(n in targets for targets in moves)]
        by_number = {n: [targets.get(n, 0) for targets in moves] for n in used}
        for n in used:
            better = [m for m in used if problem.charges[m].at_most(problem.charges[n])]
            out.append(by_number[n])
            best.append([_union(by_number[m][v] for m in better) for v in range(count)])
    return out, best, [_turned(w, count) for w in out], [_turned(w, count) for w in best]


def _union(masks: Iterable[int]) -> int:
    value = 0
    for mask in masks:
        value |= mask
    return value


def _turned(ways: list[int], count: int) -> list[int]:
    """Who leads here, from who is led to."""
    into = [0] * count
    for version, mask in enumerate(ways):
        for to in bits(mask):
            into[to] |= 1 << version
    return into


def _restricted(problem: Problem, alive: list[int]) -> Reduced:
    """The problem with these versions only, numbered anew."""
    kept = tuple(tuple(bits(mask)) for mask in alive)
    new = [{old: number for number, old in enumerate(of)} for of in kept]

    def renamed(i: int, mask: int) -> int:
        return _union(1 << new[i][old] for old in bits(mask & alive[i]))

    def box(masks: Mapping[int, int]) -> Mapping[int, int]:
        return {i: renamed(i, mask) for i, mask in masks.items()}

    tracks = tuple(
        Track(
            name=track.name,
            versions=tuple(track.versions[old] for old in kept[i]),
            start=new[i][track.start],
            goal=new[i][track.goal],
            moves={
                context: tuple(
                    {n: m for n, mask in moves[old].items() if (m := renamed(i, mask))} for old in kept[i]
                )
                for context, moves in track.moves.items()
            },
            canary=tuple(box(c) for c in track.canary),
        )
        for i, track in enumerate(problem.tracks)
    )
    boxes = [Box(b.name, box(b.masks)) for b in problem.boxes]
    return Reduced(
        replace(
            problem,
            tracks=tracks,
            boxes=tuple(b for b in boxes if all(b.masks.values())),
            contexts=tuple(problem.contexts[old] for old in kept[problem.context_track])
            if problem.context_track >= 0
            else (),
        ),
        kept,
    )
