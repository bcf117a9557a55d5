"""The list of rules and how they are run. `RULES` is what docs/matrix.md and `validate --list-rules` show.

A rule is a generator of findings over all documents. It only sees documents that passed their schema, so it
never asks whether a required key is there. A name that exists in a broken file still counts as known.

Numbers are an interface: one that was given is never given again, also after its rule is gone. Their hundreds are
topics: 0 files, 1 components, rules and edges, 2 releases, 3 profiles, 4 clusters, 5 evidence, 6 history.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from knowngood.matrix.documents import Documents
from knowngood.matrix.lint.judged import Judge, Judged
from knowngood.model.errors import Location, Problem
from knowngood.model.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule looks at. `base` is the matrix to compare with, None where no revision was named.

    `judged` is what the compatibility rules say about each release that is not revoked.
    """

    documents: Documents
    matrix: Matrix
    now: datetime
    base: Documents | None = None
    judge: Judge = field(init=False)
    judged: tuple[Judged, ...] = field(init=False)

    def __post_init__(self) -> None:
        judge = Judge(self.matrix)
        object.__setattr__(self, "judge", judge)
        object.__setattr__(self, "judged", tuple(judge.releases(self.documents.of("releases"))))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found, before it gets the rule's number. `hint` says what to do."""

    where: Location
    message: str
    hint: str


Find = Callable[[Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class LintRule:
    """One numbered rule: what must hold, why, and whether a finding is an error or a warning.

    `find` is None for what is seen while a file is read, before there is anything to look at.
    """

    number: str
    title: str
    severity: str
    why: str
    find: Find | None


RULES: dict[str, LintRule] = {}


def rule(number: str, title: str, severity: str = "error") -> Callable[[Find], Find]:
    """Registers a rule under its number; the first line of its docstring says why it is there."""

    def register(find: Find) -> Find:
        _add(LintRule(number, title, severity, (find.__doc__ or "").strip().splitlines()[0], find))
        return find

    return register


def while_reading(number: str, title: str, why: str) -> None:
    """Registers a rule that the reader keeps."""
    _add(LintRule(number, title, "error", why, None))


def _add(added: LintRule) -> None:
    if added.number in RULES:
        raise ValueError(f"{added.number} is taken by {RULES[added.number].title!r}")
    RULES[added.number] = added


def problems(context: Context) -> Iterator[Problem]:
    """Every finding of every rule."""
    for number in sorted(RULES):
        known = RULES[number]
        for found in known.find(context) if known.find else ():
            yield Problem(found.where, found.message, number, found.hint, known.severity, known.title)


COMPARED = 1000
"""Names that a wrong one is compared with, at most: a broken matrix may have as many of either."""


def known_are(names: Iterable[str], said: str) -> str:
    """A hint that names what was meant, by what was `said`, and lists what there is."""
    known = sorted(names)
    near = difflib.get_close_matches(said[:64], known, n=1) if len(known) <= COMPARED else []
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known are {', '.join(known) or 'none'}"
