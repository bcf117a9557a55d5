"""The planning problem as small integers: components on tracks, moves between versions, boxes that must stay empty.

A **track** is one component that moves; its versions are numbered. A **state** is one version per track. A **box** is
a set of versions per track; a state that lies in every one of them breaks the box's rule. Everything that a rule can
say about versions becomes boxes (see `space`), so whether a state is allowed is a few integer operations: a state is
an integer with one bit per track, each version knows the bits that it must not meet (boxes over two tracks), and the
rarer boxes over more tracks are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from knowngood.planner.search.cost import Charge, hop_cost

Indexes = tuple[int, ...]
"""A state: the index of each track's version."""


@dataclass(frozen=True, slots=True)
class Box:
    """Versions that must not meet: track -> a mask of versions. `name` is the rule that says so."""

    name: str
    masks: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Track:
    """One component that moves. `moves`: context -> for each version, charge number -> a mask of targets.

    The context is the OLM catalog in force, "" where none matters. `canary`: alternatives, each track -> a mask; in a
    state that lies in all masks of one alternative, a move that reaches all nodes at once need not do so.
    """

    name: str
    versions: tuple[str, ...]
    start: int
    goal: int
    moves: Mapping[str, tuple[Mapping[int, int], ...]]
    canary: tuple[Mapping[int, int], ...] = ()


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def union(masks: Iterable[int]) -> int:
    """All bits that are set in one of them."""
    value = 0
    for mask in masks:
        value |= mask
    return value


@dataclass(frozen=True, slots=True)
class Step:
    """One possible hop from a state: where it leads, its cost, the tracks that move (ascending), their charges."""

    state: Indexes
    mask: int
    cost: int
    moved: Indexes
    charges: Indexes


@dataclass(frozen=True)
class Problem:
    """Tracks, boxes and charges. `together` are pairs of tracks that may share a hop; `contexts` are the catalogs in

    force by version of track `context_track` (-1: the one context is "").
    """

    tracks: tuple[Track, ...]
    boxes: tuple[Box, ...] = ()
    charges: tuple[Charge, ...] = (Charge(),)
    together: frozenset[tuple[int, int]] = frozenset()
    context_track: int = -1
    contexts: tuple[str, ...] = ()
    relaxed: frozenset[str] = frozenset()  # rules and risks that are not to be heeded

    @property
    def start(self) -> Indexes:
        """Where the plan begins."""
        return tuple(t.start for t in self.tracks)

    @property
    def goal(self) -> Indexes:
        """Where it ends."""
        return tuple(t.goal for t in self.tracks)

    def without(self, names: frozenset[str]) -> Problem:
        """The same problem where these rules and risks are not heeded."""
        return replace(self, relaxed=names)

    def context(self, state: Indexes) -> str:
        """The catalog in force."""
        return self.contexts[state[self.context_track]] if self.context_track >= 0 else ""

    @cached_property
    def board(self) -> Board:
        """The problem, prepared for walking."""
        return Board(self)


@dataclass(frozen=True, slots=True)
class _Option:
    """One target of a track: its bit, the number of its charge, what it must not meet."""

    to: int
    bit: int
    charge: int
    meets: int
    wide: list[tuple[int, ...]]


@dataclass
class Board:
    """A problem prepared for walking from state to state."""

    problem: Problem
    offsets: list[int] = field(init=False)
    _meets: list[list[int]] = field(init=False)
    _wide: list[list[list[tuple[int, ...]]]] = field(init=False)
    _groups: list[Indexes] = field(init=False)
    _costs: dict[tuple[Indexes, tuple[bool, ...]], int] = field(init=False, default_factory=dict)
    _single: dict[tuple[str, int, int], list[_Option]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        tracks = self.problem.tracks
        self.offsets = [0]
        for track in tracks:
            self.offsets.append(self.offsets[-1] + len(track.versions))
        self._meets = [[0] * len(t.versions) for t in tracks]
        self._wide = [[[] for _ in t.versions] for t in tracks]
        for box in self.problem.boxes:
            if box.name not in self.problem.relaxed:
                self._add(box)
        groups = cliques(len(tracks), self.problem.together)
        self._groups = [g for g in groups if len(g) > 1]
        self._sound_start = self.allowed(self.problem.start)

    def _add(self, box: Box) -> None:
        """Let each version of the box know what it must not meet."""
        spread = {i: mask << self.offsets[i] for i, mask in box.masks.items()}
        for i, mask in box.masks.items():
            others = tuple(m for j, m in spread.items() if j != i)
            for version in bits(mask):
                if not others:
                    self._meets[i][version] |= 1 << self.offsets[i] + version  # by itself already
                elif len(others) == 1:
                    self._meets[i][version] |= others[0]
                else:
                    self._wide[i][version].append(others)

    def mask(self, state: Indexes) -> int:
        """The state as bits."""
        return sum(1 << self.offsets[i] + v for i, v in enumerate(state))

    def allowed(self, state: Indexes) -> bool:
        """Whether no box holds the state."""
        mask = self.mask(state)
        return all(self._fits(i, v, mask) for i, v in enumerate(state))

    def _fits(self, track: int, version: int, mask: int) -> bool:
        """Whether a track's version goes with all other versions of the state."""
        if mask & self._meets[track][version]:
            return False
        return not _held(self._wide[track][version], mask)

    def broken(self, state: Indexes) -> list[str]:
        """The rules that the state breaks."""
        names = [
            box.name
            for box in self.problem.boxes
            if box.name not in self.problem.relaxed
            and all(mask >> state[i] & 1 for i, mask in box.masks.items())
        ]
        return list(dict.fromkeys(names))

    def steps(self, state: Indexes, mask: int) -> Iterator[Step]:
        """Every hop from a state that the graphs have, to a state that is allowed."""
        context = self.problem.context(state)
        # where the start itself is unsound, what did not move counts too
        check_all = not self._sound_start and state == self.problem.start
        for i, version in enumerate(state):
            without = mask ^ 1 << self.offsets[i] + version
            for option in self._options(context, i, version):
                after = without | option.bit
                if after & option.meets or (option.wide and _held(option.wide, after)):
                    continue
                new = (*state[:i], option.to, *state[i + 1 :])
                if check_all and not self.allowed(new):
                    continue
                number = (option.charge,)
                yield Step(new, after, self._cost((i,), number, state), (i,), number)
        for group in self._groups:
            yield from self._joint(group, context, state, mask, check_all=check_all)

    def cost_between(self, state: Indexes, after: Indexes) -> int | None:
        """What the hop from a state to another one costs, None where some component has no such move."""
        context = self.problem.context(state)
        group = tuple(i for i, (a, b) in enumerate(zip(state, after, strict=True)) if a != b)
        numbers = []
        for i in group:
            moves = self.problem.tracks[i].moves.get(context, ())
            usable = [
                n
                for n, targets in (moves[state[i]] if moves else {}).items()
                if targets >> after[i] & 1 and self.problem.charges[n].needs <= self.problem.relaxed
            ]
            if not usable:
                return None
            numbers.append(usable[0])
        return self._cost(group, tuple(numbers), state)

    def _joint(
        self, group: Indexes, context: str, state: Indexes, mask: int, *, check_all: bool
    ) -> Iterator[Step]:
        """The hops in which all of these tracks move."""
        choices = [self._options(context, i, state[i]) for i in group]
        if not all(choices):
            return
        without = mask
        for i in group:
            without ^= 1 << self.offsets[i] + state[i]
        for chosen in product(*choices):
            after = without
            for option in chosen:
                after |= option.bit
            if any(after & o.meets or (o.wide and _held(o.wide, after)) for o in chosen):
                continue
            new = list(state)
            for i, option in zip(group, chosen, strict=True):
                new[i] = option.to
            if check_all and not self.allowed(tuple(new)):
                continue
            numbers = tuple(o.charge for o in chosen)
            yield Step(tuple(new), after, self._cost(group, numbers, state), group, numbers)

    def _options(self, context: str, track: int, version: int) -> list[_Option]:
        """Where one track can go."""
        known = self._single.get((context, track, version))
        if known is None:
            moves = self.problem.tracks[track].moves.get(context, ())
            known = [
                _Option(
                    to=to,
                    bit=1 << self.offsets[track] + to,
                    charge=number,
                    meets=self._meets[track][to],
                    wide=self._wide[track][to],
                )
                for number, targets in (moves[version] if moves else {}).items()
                if self.problem.charges[number].needs <= self.problem.relaxed
                for to in bits(targets)
            ]
            self._single[context, track, version] = known
        return known

    def _cost(self, group: Indexes, numbers: Indexes, state: Indexes) -> int:
        """What a hop costs from this state; a canary makes a move that reaches all nodes one that need not."""
        spared = tuple(self._has_canary(i, state) for i in group)
        known = self._costs.get((numbers, spared))
        if known is None:
            charges = [self.problem.charges[n] for n in numbers]
            known = hop_cost(
                replace(c, cluster=False) if spare else c for c, spare in zip(charges, spared, strict=True)
            )
            self._costs[numbers, spared] = known
        return known

    def _has_canary(self, track: int, state: Indexes) -> bool:
        return any(
            all(mask >> state[j] & 1 for j, mask in alternative.items())
            for alternative in self.problem.tracks[track].canary
        )


def _held(boxes: list[tuple[int, ...]], mask: int) -> bool:
    """Whether a state lies in one of the boxes; each is given by the masks of its other tracks."""
    return any(all(mask & other for other in box) for box in boxes)


def cliques(count: int, together: frozenset[tuple[int, int]]) -> Iterator[Indexes]:
    """Every track alone, then every set of tracks of which each may share a hop with each other one."""
    layer: list[Indexes] = [(i,) for i in range(count)]
    while layer:
        yield from layer
        layer = [
            (*group, i)
            for group in layer
            for i in range(group[-1] + 1, count)
            if all((j, i) in together or (i, j) in together for j in group)
        ]
