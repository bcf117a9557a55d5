"""The list of rules and how they are run. `RULES` is what docs/matrix.md shows.

A rule is a generator of findings over all documents. It only sees documents that passed their schema, so it
never asks whether a required key is there. A name that exists in a broken file still counts as known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from knowngood.matrix.documents import Documents
from knowngood.model.errors import Location, Problem
from knowngood.model.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule looks at."""

    documents: Documents
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found, before it gets the rule's number."""

    where: Location
    message: str
    hint: str = ""


Find = Callable[[Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class LintRule:
    """One numbered rule. `title` says what must hold; severity is error or warning."""

    number: str
    title: str
    severity: str
    find: Find


RULES: dict[str, LintRule] = {}


def rule(number: str, title: str, severity: str = "error") -> Callable[[Find], Find]:
    """Registers a rule under its number; a number is used once and never again."""

    def register(find: Find) -> Find:
        if number in RULES:
            raise ValueError(f"{number} is taken by {RULES[number].title!r}")
        RULES[number] = LintRule(number, title, severity, find)
        return find

    return register


def problems(documents: Documents, matrix: Matrix) -> Iterator[Problem]:
    """Every finding of every rule."""
    context = Context(documents, matrix)
    for number in sorted(RULES):
        for found in RULES[number].find(context):
            yield Problem(found.where, found.message, number, found.hint, RULES[number].severity)
