"""The matrix's repository as a person has it checked out, for what they change by hand."""

from __future__ import annotations

from pathlib import Path

from knowngood.adapters.gitops.matrix_repo import MatrixRepository
from knowngood.cli.terminal import say


def checkout(folder: Path, *, push: bool, what: str) -> MatrixRepository:
    """The repository, to be pushed from or not; says so where a commit would be on no branch. `what` in words."""
    repository = MatrixRepository(folder, push=push, by_hand=what)
    if repository.detached:
        say(
            "HEAD is detached, so the commit is on no branch: git push REMOTE HEAD:BRANCH brings it to one",
            err=True,
        )
    return repository
