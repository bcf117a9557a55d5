"""Older revisions of a matrix, by its Git repository."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from knowngood.adapters.gitops.matrix_repo import repository_at
from knowngood.adapters.processes.git_command import GitCommand
from knowngood.model.errors import UsageError


def matrix_at(matrix: Path, revision: str, into: Path) -> tuple[Path, str]:
    """Unpack the matrix of another revision into the folder `into`; returns its path there and its commit."""
    git = repository_at(matrix.resolve(), 60.0, "there is no revision to compare with")
    commit = _commit_of(git, matrix, revision)
    prefix = git.run("rev-parse", "--show-prefix").text
    done = git.run("archive", "--format=tar", commit, "--", ".", ok=(0, 128))
    if done.code != 0:
        raise UsageError(f"there is no matrix at {revision}", where=prefix or ".")
    with tarfile.open(fileobj=io.BytesIO(done.out)) as archive:
        _unpack(archive, into)
    return into, commit


def merge_base(matrix: Path, revision: str) -> str:
    """Where the present branch left `revision`, as a commit; `revision` itself where they share nothing.

    What was added to the other branch since is not missing in this one.
    """
    git = repository_at(matrix.resolve(), 60.0, "there is no revision to compare with")
    commit = _commit_of(git, matrix, revision)
    shared = git.run("merge-base", commit, "HEAD", ok=(0, 1, 128))
    return shared.text if shared.code == 0 and shared.text else commit


def _commit_of(git: GitCommand, matrix: Path, revision: str) -> str:
    """The commit that a revision names; UsageError where there is none."""
    wanted = f"{revision}^{{commit}}"
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, ok=(0, 1, 128))
    if found.code != 0:
        hint = "name a commit, a branch or a tag; in CI check out the whole history (fetch-depth: 0)"
        raise UsageError(
            f"{revision} is no revision of the matrix's repository", where=str(matrix), hint=hint
        )
    return found.text


def _unpack(archive: tarfile.TarFile, into: Path) -> None:
    """Plain files only, inside `into` only. `extractall` has a safe filter only from Python 3.11.4 on."""
    root = into.resolve()
    for member in archive:
        target = (root / member.name).resolve()
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None and target.is_relative_to(root):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())
