"""The numbered rules that look across files. `RULES` is the list that docs/matrix.md shows.

A rule is a generator of findings over all documents; it only sees documents that passed their schema, so it
never has to ask whether a key is there. A name that exists in a broken file still counts as known.
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


@dataclass(frozen=True, slots=True)
class LintRule:
    """One numbered rule. `title` says what must hold."""

    number: str
    title: str
    severity: str
    find: Callable[[Context], Iterator[Finding]]


RULES: dict[str, LintRule] = {
    "M001": LintRule(
        "M001",
        "Only NAME.yaml files lie in the matrix's folders; the name is the key.",
        "error",
        lambda _: iter(()),
    )
}


def rule(
    number: str, title: str, severity: str = "error"
) -> Callable[[Callable[[Context], Iterator[Finding]]], Callable[[Context], Iterator[Finding]]]:
    """Registers a rule under its number."""

    def register(find: Callable[[Context], Iterator[Finding]]) -> Callable[[Context], Iterator[Finding]]:
        if number in RULES:
            raise ValueError(f"{number} is taken by {RULES[number].title!r}")
        RULES[number] = LintRule(number, title, severity, find)
        return find

    return register


def problems(documents: Documents, matrix: Matrix) -> Iterator[Problem]:
    """Every finding of every rule."""
    context = Context(documents, matrix)
    for each in RULES.values():
        for found in each.find(context):
            yield Problem(found.where, found.message, each.number, found.hint, each.severity)
