"""The matrix as the head of its branch has it, in a work tree of its own beside the user's.

What one cluster's run has proven is a commit on that branch; the next stage must read it, and the user's branch and
files stay as they are. It is the user's own repository, so it is reached as theirs.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from knowngood.adapters.gitops.users_git import HINTS, UsersGit
from knowngood.adapters.processes.git_command import GitCommand, GitFailed, explain
from knowngood.model.destination import Destination, Way
from knowngood.model.errors import UsageError

DEADLINE = 120.0
"""Seconds for one command of Git."""


class MatrixTrees:
    """The matrix at `to`'s branch, in work trees below `folder`. UsageError where no remote hands records on."""

    def __init__(self, matrix: Path, to: Destination, folder: Path) -> None:
        if to.way is not Way.PUSH:
            raise UsageError(
                f"the record goes to {to}, so no stage would read what the one before has proven",
                where=str(matrix),
                hint="the matrix needs a remote, whose branch takes the records",
            )
        users = UsersGit(matrix)
        self._url = to.url
        self._branch = to.base or to.branch
        self._remote = next((n for n, url in users.remotes().items() if url == to.url), to.url)
        self._ref = f"refs/knowngood/{folder.name}"
        self._git = GitCommand(matrix.resolve(), users.in_place(), deadline=DEADLINE)
        self._folder = folder.absolute()
        self._inside = to.folder
        self._trees: list[Path] = []

    def at_head(self, name: str) -> Path:
        """The matrix as the branch's head has it now, in the work tree of that name; later calls move it there.

        Unreachable and UsageError, as of any remote.
        """
        tree = self._folder / name
        source = f"+refs/heads/{self._branch}:{self._ref}"
        try:
            # Neither FETCH_HEAD nor the user's own branches of that remote move: only our ref does.
            quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
            self._git.run("fetch", *quiet, self._remote, source)
            if tree in self._trees:
                self._git.run("-C", str(tree), "checkout", "--quiet", "--detach", self._ref)
            else:
                self._trees.append(tree)
                self._git.run("worktree", "add", "--quiet", "--detach", str(tree), self._ref)
        except GitFailed as error:
            raise explain(error, self._url, f"branch {self._branch} can't be read", HINTS) from error
        return tree / self._inside

    def close(self) -> None:
        """Leave nothing of it in the user's repository but objects that no ref names, which Git itself sweeps out."""
        for tree in self._trees:
            self._git.run("worktree", "remove", "--force", str(tree), ok=(0, 1, 128))
        self._git.run("update-ref", "-d", self._ref, ok=(0, 1, 128))
        with suppress(OSError):  # not there, or the runs' logs are in it
            self._folder.rmdir()
