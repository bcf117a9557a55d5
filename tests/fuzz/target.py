"""What is fuzzed: the bytes of one data file, from reading to the last lint rule, in a small matrix."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from knowngood.matrix import build, documents, lint
from knowngood.matrix.reading import decoded
from knowngood.model.errors import DataError, Location, Problem

BASE = Path(__file__).parents[1] / "examples" / "base"
NOW = datetime(2026, 8, 23, tzinfo=UTC)
FOLDERS = (*documents.KINDS, "evidence")


@functools.cache
def base() -> documents.Documents:
    return documents.read(BASE)


def check_bytes(folder: str, content: bytes) -> None:
    """Any exception is a bug, and so is a finding that does not say where it is and what to do."""
    for problem in found(folder, content):
        assert problem.where.file, problem
        assert problem.where.line, problem
        assert problem.message, problem
        assert problem.hint, problem


def found(folder: str, content: bytes) -> list[Problem]:
    """Every finding in the base matrix with one more file."""
    file = f"{folder}/new"
    problems: list[Problem] = []
    matrix = replace(base(), by_kind=dict(base().by_kind), evidence=[], problems=problems)
    try:
        text = decoded(content, Location(file, 1, 1))
        if folder == "evidence":
            matrix.evidence.append(documents.evidence(text, "lab", "old-r1", file))
        else:
            new = documents.document(text, "new", file, documents.KINDS[folder], problems)
            matrix.by_kind[folder] = {**matrix.by_kind[folder], "new": new}
    except DataError as error:
        problems += error.problems
    value = build.matrix(matrix)
    return [*problems, *lint.problems(lint.Context(matrix, value, NOW, base()))]
