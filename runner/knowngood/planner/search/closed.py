"""Rules as boxes: the combinations of versions that a blocking rule closes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from knowngood.model.matrix import Component, Rule, Severity
from knowngood.planner.edges.following import place
from knowngood.planner.ranges import Term
from knowngood.planner.rules.evaluation import Traits, in_range, kinds_of, parsed, standing
from knowngood.planner.search.problem import Box, bits
from knowngood.planner.version import Key

Terms = list[tuple[str, str, bool]]
"""Component, range, and whether its version must lie in it (or outside)."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Versions by their place, so that a comparison is found by bisection: masks here have a bit for each place.

    `tracks`: for each place the mask of the track's versions that have it.
    """

    places: tuple[Key, ...]
    tracks: tuple[int, ...]

    @classmethod
    def of(cls, scheme: str, versions: tuple[str | None, ...]) -> Ordered:
        """Sort what a track has; versions that are not known have no place."""
        found: dict[Key, int] = {}
        for number, version in enumerate(versions):
            if version is not None:
                found[place(scheme, version)] = found.get(place(scheme, version), 0) | 1 << number
        places = tuple(sorted(found))
        return cls(places, tuple(found[p] for p in places))

    @property
    def all(self) -> int:
        """Every place."""
        return (1 << len(self.places)) - 1

    def where(self, term: Term) -> int:
        """The places at which a comparison holds."""
        below = (1 << bisect_left(self.places, term.low)) - 1
        upto = (1 << bisect_right(self.places, term.low)) - 1
        if term.high is not None:
            upto = (1 << bisect_left(self.places, term.high)) - 1
        holds = {"<": below, "<=": upto, "=": upto & ~below, ">": ~upto, ">=": ~below, "!=": ~(upto & ~below)}
        return holds[term.sign] & self.all

    def tracked(self, mask: int) -> int:
        """The track's versions at these places."""
        value = 0
        for number in bits(mask):
            value |= self.tracks[number]
        return value


@dataclass(frozen=True, slots=True)
class Versions:
    """What every component's version is on the way.

    `moved`: component -> its track, and its version for each version of that track (a component that follows another
    one stands on that one's track; None where its version is not known). `fixed`: the others.
    """

    components: Mapping[str, Component]
    moved: Mapping[str, tuple[int, tuple[str | None, ...]]]
    fixed: Mapping[str, str]
    every: int  # all versions of track 0
    found: dict[str, Ordered] = field(default_factory=dict)

    def mask(self, name: str, text: str, *, inside: bool) -> int:
        """The versions of a moved component's track with which it lies in a range, or outside."""
        known = self.ordered(name)
        found = 0
        for terms in parsed(self.components[name].scheme, text).alternatives:
            one = known.all
            for term in terms:
                one &= known.where(term)
            found |= one
        return known.tracked(found if inside else known.all & ~found)

    def ordered(self, name: str) -> Ordered:
        """The versions of a moved component, in order."""
        if name not in self.found:
            self.found[name] = Ordered.of(self.components[name].scheme, self.moved[name][1])
        return self.found[name]

    def box(self, rule: str, terms: Terms) -> Box | None:
        """The states in which all terms hold; None where there is none."""
        masks: dict[int, int] = {}
        for name, text, inside in terms:
            if name in self.moved:
                track = self.moved[name][0]
                masks[track] = masks.get(track, -1) & self.mask(name, text, inside=inside)
            elif (
                name not in self.fixed
                or in_range(self.components[name].scheme, text, self.fixed[name]) is not inside
            ):
                return None
        if not masks:  # broken by what does not move: then in every state
            masks[0] = self.every
        return Box(rule, masks) if all(masks.values()) else None

    def where(self, ranges: Mapping[str, str]) -> Mapping[int, int] | None:
        """The states that lie in all ranges; None where there is none, empty where all do."""
        if not any(name in self.moved for name in ranges):
            holds = all(
                name in self.fixed and in_range(self.components[name].scheme, text, self.fixed[name])
                for name, text in ranges.items()
            )
            return {} if holds else None
        box = self.box("", [(name, text, True) for name, text in ranges.items()])
        return box.masks if box else None


def boxes(rule: Rule, versions: Versions, traits: Traits) -> Iterator[Box]:
    """The boxes of a rule; none where it does not block, or does not speak of this cluster.

    As in `rules.evaluate`: what is not known makes a condition false and a requirement undecided, so neither closes
    anything here; the plan's warnings say what could not be told.
    """
    about = any(
        all(kind.get(trait) in values for trait, values in rule.traits.items()) for kind in kinds_of(traits)
    )
    if rule.severity is not Severity.BLOCK or not about:
        return
    when: Terms = [(name, text, True) for name, text in rule.when.items()]
    for more, require in _requirements(rule):
        condition = [*when, *((name, text, True) for name, text in more.items())]
        for name, text in require.items():
            if box := versions.box(rule.name, [*condition, (name, text, False)]):
                yield box


def _requirements(rule: Rule) -> Iterator[tuple[Mapping[str, str], Mapping[str, str]]]:
    """Further conditions, and what is required under them."""
    if rule.cases:
        yield from ((case.when, case.require) for case in rule.cases)
    elif rule.claims:
        yield from (({}, claim.require) for claim in standing(rule))
    else:
        yield {}, rule.require
