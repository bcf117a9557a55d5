"""Lists of versions as text: `4.17.11..4.17.30 4.18.0-rc.1`. A span is every final version known between its ends.

Pre-releases (those with a suffix) are never part of a span; they stand by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from knowngood.planner.version import key


@dataclass(frozen=True, slots=True)
class Known:
    """Every version that is known of a component, oldest first."""

    order: tuple[str, ...]
    finals: tuple[str, ...]
    _place: dict[str, int] = field(repr=False)
    _all: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, scheme: str, versions: Iterable[str]) -> Known:
        """ValueError where one is no version of the scheme."""
        order = tuple(sorted(set(versions), key=lambda v: (key(scheme, v), v)))
        finals = tuple(v for v in order if "-" not in v)
        return cls(order, finals, {v: n for n, v in enumerate(finals)}, frozenset(order))

    def expand(self, text: str) -> tuple[str, ...]:
        """The versions that a text of spans and names means, in its order; ValueError names what is unknown."""
        found: list[str] = []
        for word in text.split():
            first, dots, last = word.partition("..")
            if dots:
                found += self._between(first, last)
            elif self.has(first):
                found.append(first)
            else:
                raise ValueError(f"no version {first!r} is known")
        return tuple(found)

    def has(self, version: str) -> bool:
        """Whether the version is known, final or not."""
        return version in self._all

    def compress(self, versions: Collection[str]) -> str:
        """The shortest text of spans and names; a span never leaves its minor, so that later versions stay out."""
        wanted = set(versions)
        words: list[str] = []
        run: list[str] = []
        for version in self.order:
            final = version in self._place
            if version in wanted and final and (not run or _line(run[0]) == _line(version)):
                run.append(version)
                continue
            if final or version in wanted:
                words += _words(run)
                run = []
            if version in wanted:
                run, words = ([version], words) if final else (run, [*words, version])
        return " ".join([*words, *_words(run)])

    def _between(self, first: str, last: str) -> tuple[str, ...]:
        for end in (first, last):
            if end not in self._place:
                raise ValueError(f"no final version {end!r} is known, so it can't be the end of a span")
        low, high = self._place[first], self._place[last]
        if low > high:
            raise ValueError(f"the span {first}..{last} begins after its end")
        return self.finals[low : high + 1]


def _line(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


def _words(run: list[str]) -> list[str]:
    return [f"{run[0]}..{run[-1]}"] if len(run) > 2 else run
