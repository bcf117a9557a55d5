"""Fewer versions, the same cheapest plans.

A version is left out where another one of the same component can stand in for it in every plan: it meets at most the
same rules, it can be reached from wherever the first one can be reached and goes wherever that goes, nowhere at a
higher charge, and it puts the same catalog in force. Replacing the one by the other in a plan changes no state's
soundness for the worse, no hop's cost upward, and no hop's place: so for each cheapest plan with it there is one
without. Of two that can stand in for each other the higher stays. Hundreds of z-streams become a handful.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from knowngood.planner.search.problem import Box, Indexes, Problem, Track, bits, union


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smaller problem, and for each of its tracks the old numbers of the versions that are left."""

    problem: Problem
    kept: tuple[Indexes, ...]

    def original(self, state: Indexes) -> Indexes:
        """A state of the smaller problem in the numbers of the whole one."""
        return tuple(self.kept[i][v] for i, v in enumerate(state))


def reduced(problem: Problem, *, by_name: bool = False) -> Reduced:
    """Leave out what is on no way and what another version stands in for, until nothing more can go.

    `by_name`: a version stands in for another one whichever rules are heeded, not only when all are.
    """
    count = len(problem.tracks)
    better = _better(problem)
    alive = [_on_a_way(problem, i) for i in range(count)]
    tracks = [_Track.of(problem, i, alive, better, by_name=by_name) for i in range(count)]
    meeting = [{j for b in problem.boxes if i in b.masks for j in b.masks} | {i} for i in range(count)]
    todo = set(range(count))
    while todo:
        i = min(todo)
        todo.discard(i)
        kept = tracks[i].undominated(alive[i], _spread(problem, alive))
        if kept != alive[i]:
            alive[i] = kept
            todo |= meeting[i]
    return _restricted(problem, alive)


def _spread(problem: Problem, alive: list[int]) -> int:
    """The versions of all tracks as one mask, as the board has them."""
    value = 0
    for offset, mask in zip(problem.board.offsets, alive, strict=False):
        value |= mask << offset
    return value


def _better(problem: Problem) -> list[list[int]]:
    """By charge number: the charges that are no worse, itself included."""
    usable = [n for n, c in enumerate(problem.charges) if c.needs <= problem.relaxed]
    return [
        [m for m in usable if problem.charges[m].at_most(charge)] if charge.needs <= problem.relaxed else []
        for charge in problem.charges
    ]


def _on_a_way(problem: Problem, i: int) -> int:
    """The versions of a track on some way from its start to its goal, whatever the others do."""
    track = problem.tracks[i]
    out = [0] * len(track.versions)
    for moves in _distinct(track):
        for version, targets in enumerate(moves):
            for number, mask in targets.items():
                if problem.charges[number].needs <= problem.relaxed:
                    out[version] |= mask
    ends = 1 << track.start | 1 << track.goal
    never = union(
        box.masks[i] for box in problem.boxes if set(box.masks) == {i} and box.name not in problem.relaxed
    )
    open_ = ((1 << len(out)) - 1) & ~never | ends
    return _reached(out, track.start, open_) & _leading(out, track.goal, open_) | ends


def _reached(out: list[int], start: int, open_: int) -> int:
    """Every version that can be reached, as a mask."""
    seen, todo = 0, 1 << start
    while todo:
        seen |= todo
        todo = union(out[version] for version in bits(todo)) & open_ & ~seen
    return seen


def _leading(out: list[int], goal: int, open_: int) -> int:
    """Every version from which the goal can be reached; mostly moves lead up, so from above one sweep is enough."""
    seen, before = 1 << goal, 0
    while seen != before:
        before = seen
        for version in range(len(out) - 1, -1, -1):
            if out[version] & seen and open_ >> version & 1:
                seen |= 1 << version
    return seen


Neighbours = list[dict[tuple[int, int], int]]
"""By version: (context, charge number) -> a mask of neighbours."""


@dataclass(slots=True)
class _Track:
    """What decides whether one version of a track can stand in for another.

    `meets`, `wide`, `spares`: by version, what it must not meet in boxes over two tracks, the boxes over more that it
    lies in, and the canaries that it allows. `peers`: those that put the same catalog in force. `sides`: its neighbours
    into and out of it; `anyhow`: the same, whatever the charge; `found`: answers of `_best`.
    """

    fixed: int
    peers: list[int]
    meets: list[int]
    wide: list[int]
    spares: list[int]
    better: list[list[int]]
    sides: tuple[Neighbours, Neighbours]
    anyhow: tuple[list[int], list[int]]
    found: dict[tuple[int, int, tuple[int, int]], int]

    @classmethod
    def of(
        cls, problem: Problem, i: int, alive: list[int], better: list[list[int]], *, by_name: bool
    ) -> _Track:
        track = problem.tracks[i]
        count = len(track.versions)
        meets, wide = _boxes(problem, i, alive[i], by_name=by_name)
        sides = _neighbours(track, alive[i], better)
        return cls(
            fixed=1 << track.start | 1 << track.goal,
            peers=_peers(problem, i),
            meets=meets,
            wide=wide,
            spares=_spares(problem, i, count),
            better=better,
            sides=sides,
            anyhow=([union(of.values()) for of in sides[0]], [union(of.values()) for of in sides[1]]),
            found={},
        )

    def undominated(self, alive: int, everywhere: int) -> int:
        """Of the versions `alive`, those that no other one can stand in for; of two equal ones the higher.

        `everywhere` are the versions of all tracks that there still are.
        """
        for version in bits(alive & ~self.fixed):
            others = alive & self.peers[version] & ~(1 << version)
            while others:
                other = others.bit_length() - 1  # the newest first: it has the most ways in
                others ^= 1 << other
                if self._stands_in(other, version, alive, everywhere):
                    alive ^= 1 << version
                    break
        return alive

    def _stands_in(self, other: int, version: int, alive: int, everywhere: int) -> bool:
        if (
            self.meets[other] & ~self.meets[version] & everywhere
            or self.wide[other] & ~self.wide[version]
            or self.spares[version] & ~self.spares[other]
        ):
            return False
        between = alive & ~(1 << other | 1 << version)
        into, out = self.anyhow
        if into[version] & between & ~into[other] or out[version] & between & ~out[other]:
            return False
        return not any(
            mask & between & ~self._best(side, other, key)
            for side, of in enumerate(self.sides)
            for key, mask in of[version].items()
        )

    def _best(self, side: int, version: int, key: tuple[int, int]) -> int:
        """The neighbours in that context at that charge or a better one."""
        known = self.found.get((side, version, key))
        if known is None:
            of, (context, number) = self.sides[side][version], key
            known = union(of.get((context, m), 0) for m in self.better[number])
            self.found[side, version, key] = known
        return known


def _boxes(problem: Problem, i: int, alive: int, *, by_name: bool) -> tuple[list[int], list[int]]:
    """By version: what it must not meet in boxes over two tracks, and the boxes over more tracks that it lies in.

    `by_name`: all boxes count one by one, those that are not heeded too.
    """
    count = len(problem.tracks[i].versions)
    meets, wide = [0] * count, [0] * count
    for number, box in enumerate(problem.boxes):
        if i not in box.masks or (box.name in problem.relaxed and not by_name):
            continue
        others = [mask << problem.board.offsets[j] for j, mask in box.masks.items() if j != i]
        for version in bits(box.masks[i] & alive):
            if len(others) == 1 and not by_name:
                meets[version] |= others[0]
            else:
                wide[version] |= 1 << number
    return meets, wide


def _peers(problem: Problem, i: int) -> list[int]:
    """By version: those that put the same catalog in force."""
    if problem.context_track != i:
        return [-1] * len(problem.tracks[i].versions)
    same: dict[str, int] = defaultdict(int)
    for version, context in enumerate(problem.contexts):
        same[context] |= 1 << version
    return [same[context] for context in problem.contexts]


def _spares(problem: Problem, i: int, count: int) -> list[int]:
    """By version: the alternatives of canaries (of any track) that it allows."""
    spares = [0] * count
    alternatives = [c for track in problem.tracks for c in track.canary if i in c]
    for number, alternative in enumerate(alternatives):
        for version in bits(alternative[i]):
            spares[version] |= 1 << number
    return spares


def _distinct(track: Track) -> list[tuple[Mapping[int, int], ...]]:
    """The track's moves, each set of them once: most components move alike under every catalog."""
    return list({id(moves): moves for moves in track.moves.values()}.values())


def _neighbours(track: Track, alive: int, better: list[list[int]]) -> tuple[Neighbours, Neighbours]:
    """Who leads to each version and who is led to, at charges that may be paid."""
    into: Neighbours = [defaultdict(int) for _ in track.versions]
    out: Neighbours = [{} for _ in track.versions]
    for context, moves in enumerate(_distinct(track)):
        for version in bits(alive):
            for number, targets in (moves[version] if moves else {}).items():
                if better[number] and targets & alive:
                    out[version][context, number] = targets & alive
                    for to in bits(targets & alive):
                        into[to][context, number] |= 1 << version
    return into, out


def _restricted(problem: Problem, alive: list[int]) -> Reduced:
    """The problem with these versions only, numbered anew."""
    kept = tuple(tuple(bits(mask)) for mask in alive)
    new = [{old: number for number, old in enumerate(of)} for of in kept]

    def renamed(i: int, mask: int) -> int:
        return union(1 << new[i][old] for old in bits(mask & alive[i]))

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
