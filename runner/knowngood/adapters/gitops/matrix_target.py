"""Which branch a run's record belongs on: the one that the matrix was checked out from.

A CI system checks out a commit and no branch, so the remote's branches are asked which of them has it. What a CI
system's variables say only chooses among those.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from knowngood.adapters.gitops.clone import Clone
from knowngood.adapters.gitops.matrix_repo import repository_at
from knowngood.adapters.gitops.users_git import HINTS, UsersGit
from knowngood.adapters.processes.git_command import GitCommand
from knowngood.model.destination import Destination, Way
from knowngood.model.errors import UsageError

FILE = "file"
BRANCH = "branch="
CI_BRANCH = (
    "GITHUB_HEAD_REF",
    "GITHUB_REF_NAME",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "CI_COMMIT_BRANCH",
    "BRANCH_NAME",
    "BUILD_SOURCEBRANCHNAME",
)
"""Where GitHub, GitLab, Jenkins and Azure say which branch a job is for."""
_NAME_IT = "--record branch=NAME names it, --record file writes a patch instead"


def destination(matrix: Path, said: str = "") -> Destination:
    """Where a run's record goes: `said` is what the user asked for, "" for the branch that the matrix came from.

    UsageError where that can't be told; asks the remote only where the checkout does not say.
    """
    if said not in ("", FILE) and not said.startswith(BRANCH):
        raise UsageError(f"--record {said}: not known", hint="--record branch=NAME, or --record file")
    return _Checkout(matrix.resolve()).destination(said)


class _Checkout:
    """The user's checkout of the matrix."""

    def __init__(self, matrix: Path) -> None:
        self._matrix = matrix
        self._git: GitCommand = repository_at(matrix, 60.0, "the record can't be written")
        self._users = UsersGit(matrix)
        self._remotes = self._users.remotes()
        self._folder = self._ask("rev-parse", "--show-prefix").rstrip("/")
        self._branch = self._ask("symbolic-ref", "--quiet", "--short", "HEAD")

    def destination(self, said: str) -> Destination:
        if said == FILE:
            return Destination(Way.FILE, folder=self._folder)
        name = self._checked(said.removeprefix(BRANCH)) if said else ""
        if not self._remotes:
            return self._without_remote(name)
        if not name:
            remote, branch = self._origin()
            return Destination(Way.PUSH, self._remotes[remote], branch, branch, self._folder)
        try:
            remote, base = self._origin()
        except UsageError:  # a pull request's merge, for instance: no branch has it
            remote = self._remote()
            base = self._default(remote)
        return Destination(Way.PUSH, self._remotes[remote], name, base, self._folder)

    def _without_remote(self, name: str) -> Destination:
        """On the branch that is checked out, or on another one of the same repository."""
        if self._branch and name in ("", self._branch):
            return Destination(Way.HERE, branch=self._branch, folder=self._folder)
        if not name:
            raise UsageError(
                "HEAD is detached and the matrix's repository has no remote: a commit would be on no branch",
                where=str(self._matrix),
                hint=_NAME_IT,
            )
        here = self._ask("rev-parse", "--show-toplevel")
        return Destination(Way.PUSH, here, name, self._branch or name, self._folder)

    def _origin(self) -> tuple[str, str]:
        """Remote and branch that the checkout came from."""
        if self._branch:
            remote, branch = self._users.upstream(self._branch)
            if remote in self._remotes:
                return remote, branch
        remote = self._remote()
        if self._branch and self._ask("rev-parse", "--verify", "--quiet", f"{_refs(remote)}{self._branch}"):
            return remote, self._branch
        return remote, self._containing(remote)

    def _remote(self) -> str:
        """The remote that counts where no branch says which."""
        for name in (self._users.value("checkout.defaultremote"), "origin"):
            if name in self._remotes:
                return name
        if len(self._remotes) == 1:
            return next(iter(self._remotes))
        raise self._unknown(f"which of {', '.join(self._remotes)} the matrix came from", ())

    def _containing(self, remote: str) -> str:
        """The remote's branch that has what is checked out."""
        head = self._ask("rev-parse", "--verify", "--quiet", "HEAD")
        symbolic = f"{_refs(remote)}HEAD"
        form = "--format=%(refname) %(objectname)"
        listed = self._ask("for-each-ref", "--contains", "HEAD", form, _refs(remote)).splitlines()
        pairs = (line.removeprefix(_refs(remote)).split() for line in listed if not line.startswith(symbolic))
        default = self._ask("symbolic-ref", "--quiet", symbolic).removeprefix(_refs(remote))
        found = dict(pairs)
        if not _chosen(found, head, default):
            with tempfile.TemporaryDirectory(prefix="knowngood-") as folder:
                clone = self._clone(remote, Path(folder))
                found = clone.containing(head)
                default = clone.default_branch()
        if branch := _chosen(found, head, default):
            return branch
        what = f"branch {self._branch}" if self._branch else f"commit {head[:12]}"
        raise self._unknown(f"which branch of {remote} {what} came from", tuple(found))

    def _default(self, remote: str) -> str:
        with tempfile.TemporaryDirectory(prefix="knowngood-") as folder:
            return self._clone(remote, Path(folder)).default_branch()

    def _clone(self, remote: str, folder: Path) -> Clone:
        url = self._remotes[remote]
        reached = lambda private, tree: self._users.environment(url, private, tree)  # noqa: E731 (three words)
        return Clone(folder, url, "HEAD", reached=reached, hints=HINTS)

    def _checked(self, name: str) -> str:
        if name.startswith("-") or not self._ask("check-ref-format", "--branch", name):
            raise UsageError(f"{name!r} can't name a branch", hint="--record branch=NAME")
        return name

    def _unknown(self, what: str, found: tuple[str, ...]) -> UsageError:
        more = f": {', '.join(found[:5])} have it" if found else ""
        return UsageError(
            f"it can't be told {what}{more}, so not where the record goes",
            where=str(self._matrix),
            hint=_NAME_IT,
        )

    def _ask(self, *arguments: str) -> str:
        """Git's answer, "" where it has none."""
        done = self._git.run(*arguments, ok=(0, 1, 128, 129))
        return done.text if done.code == 0 else ""


def _chosen(found: Mapping[str, str], head: str, default: str) -> str:
    """One of the branches (and their commits) that have the commit; "" where nothing speaks for one of them."""
    if len(found) == 1:
        return next(iter(found))
    for variable in CI_BRANCH:
        if os.environ.get(variable, "") in found:
            return os.environ[variable]
    tips = [name for name, commit in found.items() if commit == head]
    if len(tips) == 1:
        return tips[0]
    return default if default in found else ""


def _refs(remote: str) -> str:
    return f"refs/remotes/{remote}/"
