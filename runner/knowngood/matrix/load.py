"""Load a matrix: files to values, or every problem in them at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knowngood.matrix import build, documents, lint
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import DataError, Problem
from knowngood.model.matrix import Matrix


@dataclass(frozen=True, slots=True)
class Checked:
    """A matrix as far as it could be read, and every finding, errors first, then by file and line."""

    matrix: Matrix
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes the matrix unusable."""
        return tuple(p for p in self.problems if p.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a person should look at."""
        return tuple(p for p in self.problems if p.severity != "error")


def check(path: Path, *, commit: str = "", dirty: bool = False, edges: bool = True) -> Checked:
    """Read and check the matrix in the folder `path`; UsageError only where there is no such folder.

    `edges` False leaves the graphs unread, for who asks only about releases and clusters.
    """
    found = documents.read(matrix_dir(path), edges=edges)
    value = build.matrix(found, commit, dirty=dirty)
    problems = [*found.problems, *lint.problems(found, value)]
    problems.sort(key=lambda p: (p.severity != "error", p.where.file, p.where.line or 0, p.where.column or 0))
    return Checked(value, tuple(problems))


def load(path: Path, *, commit: str = "", dirty: bool = False, edges: bool = True) -> Matrix:
    """The matrix in the folder `path`; DataError with every problem where one is an error.

    `commit` and `dirty` say which Git revision this is ("" for a plain folder).
    """
    checked = check(path, commit=commit, dirty=dirty, edges=edges)
    if checked.errors:
        raise DataError(checked.errors)
    return checked.matrix
