"""Load a matrix: files to values, or every problem in them at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from knowngood.matrix import build, documents, lint
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import DataError, Problem
from knowngood.model.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Checked:
    """A matrix as far as it could be read, every finding, errors first, then by file and line, and how many files."""

    matrix: Matrix
    problems: tuple[Problem, ...]
    files: int

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes the matrix unusable."""
        return tuple(p for p in self.problems if p.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a person should look at."""
        return tuple(p for p in self.problems if p.severity != "error")


def check(
    path: Path,
    *,
    commit: str = "",
    dirty: bool = False,
    edges: bool = True,
    base: Path | None = None,
    now: datetime | None = None,
) -> Checked:
    """Read and check the matrix in the folder `path`; UsageError only where there is no such folder.

    `edges` False leaves the graphs unread, for who asks only about releases and clusters. `base` is the same matrix as
    it was in an earlier revision: then what changed since is checked too.
    """
    with _collector_paused():
        found = documents.read(matrix_dir(path), edges=edges)
        value = build.matrix(found, commit, dirty=dirty)
        before = documents.read(base) if base else None
        context = lint.Context(found, value, now or datetime.now(UTC), before)
        read = [replace(p, expected=p.expected or lint.RULES[p.rule].title) for p in found.problems]
        problems = [*read, *lint.problems(context)]
    problems.sort(key=lambda p: (p.severity != "error", p.where.file, p.where.line or 0, p.where.column or 0))
    return Checked(value, tuple(problems), found.files)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Many small values and no cycles: what Python's collector of cycles would look at again and again in vain.

    A seventh of the time that ten thousand releases take.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def load(path: Path, *, commit: str = "", dirty: bool = False, edges: bool = True) -> Matrix:
    """The matrix in the folder `path`; DataError with every problem where one is an error.

    `commit` and `dirty` say which Git revision this is ("" for a plain folder).
    """
    checked = check(path, commit=commit, dirty=dirty, edges=edges)
    if checked.errors:
        raise DataError(checked.errors)
    return checked.matrix
