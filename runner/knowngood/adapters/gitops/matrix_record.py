"""A run's record in the matrix, written in a clone of our own on the head of the branch that the matrix came from.

The user's branch, index and work tree are never touched, and nothing of theirs is published. When somebody else pushed
first, the record is made again from the files as they are then. It is found by its trailers or its evidence file, so
a repeated step, or a later `knowngood record`, writes nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.gitops.clone import Clone, message
from knowngood.adapters.gitops.forge import PullRequest, call
from knowngood.adapters.gitops.matrix_files import Change, MatrixFiles, counted, key_of, proof_of
from knowngood.adapters.gitops.matrix_repo import MatrixRepository, repository_at
from knowngood.adapters.gitops.users_git import HINTS, UsersGit
from knowngood.matrix.span_edit import read_scalar
from knowngood.model.destination import Destination, Way
from knowngood.model.errors import (
    DataError,
    DeadlineExceeded,
    Inconclusive,
    KnowngoodError,
    Unreachable,
    UsageError,
)
from knowngood.model.evidence import REFUSED, Appraisal
from knowngood.model.gitops import PullRequests
from knowngood.model.values import Values
from knowngood.ports.cancel import Cancel
from knowngood.ports.promotion import Promotion, Recorded

_ATTEMPTS = 6
PATCH = "record.patch"
Build = Callable[[MatrixFiles, Values], Change]
"""Makes a record's commit from a matrix and the evidence as it counts there."""


class MatrixClone(Promotion):
    """Records go `to` a branch, or into the run's folder as a patch on what is checked out in `matrix`.

    `matrix` is the user's checkout: it says how its remote is reached, and is read where that is away. `folder` is
    the run's. `cancel`: of a run that waits until somebody merged its record's pull request; None: nobody waits.
    """

    def __init__(
        self,
        matrix: Path,
        to: Destination,
        folder: Path,
        *,
        how: PullRequests | None = None,
        deadline: float = 120.0,
        cancel: Cancel | None = None,
    ) -> None:
        self._matrix, self._to, self._folder, self._how = matrix.resolve(), to, folder, how
        self._cancel = cancel
        self._filed = to.way is Way.FILE
        self._deadline = deadline
        self._appraised: str | None = None  # the head; "": the user's checkout

    @cached_property
    def _clone(self) -> Clone:
        """Made on first use: a run goes on, or back, also where the matrix is no repository any more."""
        git = repository_at(self._matrix, self._deadline, "the record can't be written")
        users = UsersGit(self._matrix)
        here = git.run("rev-parse", "--show-toplevel").text
        url = here if self._filed else users.nearest(self._to.url)
        return Clone(
            self._folder / "matrix",
            url,
            "HEAD" if self._filed else self._to.branch,
            deadline=self._deadline,
            reached=lambda private, clone: users.environment(url, private, clone),
            hints=HINTS,
        )

    def ready(self, release: str, cluster: str) -> str:
        """The branch says what the plan was made from, and would take a commit of ours: asked by a dry run."""
        try:
            head, base = self._heads()
        except Unreachable as error:
            hint = f"{error.hint}; --record file starts without it".lstrip("; ")
            raise Unreachable(error.message, where=error.where, hint=hint) from error
        try:
            there = self._files(base, base, release).start(release, cluster)
            evidence = {"run": "ready", "time": SystemClock().now()}
            self._files(head, base, release).promotion(release, REFUSED, cluster, evidence)
        except DataError:
            raise
        except UsageError as error:
            hint = "push it there first; or --record branch=NAME names another branch, --record file writes a patch"
            raise UsageError(f"{error.message}, on {self._to}", where=error.where, hint=hint) from error
        if self._filed:
            return ""
        if why := MatrixFiles(self._matrix).start(release, cluster).behind(there, release):
            raise UsageError(
                f"the matrix here is not that of {self._came_from()}: {why}",
                where=str(self._matrix),
                hint="git pull (or push what is only here), then plan again",
            )
        commit = self._clone.commit("knowngood: would this be taken?\n", ())  # stays in our clone
        self._clone.push(commit, dry_run=True)
        return (
            f"a protected {self._to.branch} says no only to a real push; the record is then delivered later"
        )

    def _came_from(self) -> Destination:
        return replace(self._to, branch=self._to.base or self._to.branch)

    def appraise(self, evidence: Values, now: str) -> Appraisal:
        """By the files on the branch; where it can't be asked, by those that the run was planned from."""
        try:
            head, base = self._heads()
        except KnowngoodError:
            self._appraised = ""
            return MatrixFiles(self._matrix).appraise(evidence, now)
        self._appraised = head
        return self._files(head, base, str(evidence["release"])).appraise(evidence, now)

    def promote(self, release: str, status: str, cluster: str, evidence: Values) -> Recorded:
        """Evidence, status and pin in one commit."""

        def build(files: MatrixFiles, counting: Values) -> Change:
            return files.promotion(release, str(counting.get("status", status)), cluster, counting)

        return self._publish(release, cluster, evidence, build)

    def record_failure(self, release: str, cluster: str, evidence: Values) -> Recorded:
        """Evidence of a failed run in one commit."""
        self._appraised = None  # it is no proof, whatever the matrix says
        return self._publish(
            release, cluster, evidence, lambda files, counting: files.failure(release, cluster, counting)
        )

    def _publish(self, release: str, cluster: str, evidence: Values, build: Build) -> Recorded:
        """Build a commit on the head and deliver it; again when somebody else pushed first."""
        key = key_of(release, cluster, evidence)
        for _ in range(_ATTEMPTS):
            head, base = self._heads()
            if done := self._done(key, (head, base)):
                told = self._told(done, evidence)
                return replace(told, note=_joined(told.note, self._merged(done, self._path(proof_of(key)))))
            files = self._files(head, base, release)
            if self._appraised not in (None, head):
                evidence = counted(evidence, files.appraise(evidence, SystemClock().now()))
                self._appraised = head
            change = build(files, evidence)
            commit = self._committed(change)
            told = Recorded(commit, str(self._to), "", *_worth(evidence), change.note)
            if self._filed:
                return replace(told, commit="", file=self._write(commit))
            try:
                if self._clone.push(commit):
                    proof = self._path(proof_of(key))
                    return replace(
                        told, note=_joined(told.note, self._asked(commit), self._merged(commit, proof))
                    )
            except Unreachable:
                # The answer may have been lost after the remote took it.
                if self._clone.find(key, self._clone.fetch()) == commit:
                    return told
                raise
        raise Inconclusive(
            f"others pushed {_ATTEMPTS} times while we tried",
            where=str(self._to),
            hint="try again when the branch is quieter",
        )

    def _asked(self, commit: str) -> str:
        """Open the pull request of a branch that must still be merged; what became of it, in words."""
        if self._how is None or not self._to.into:
            return ""
        title, _, body = self._clone.message_of(commit).partition("\n")
        to = self._to
        about = PullRequest(to.url, to.into, to.branch, commit, title, body.strip())
        try:
            said = call(self._how.open, about, self._clone.tree)
        except KnowngoodError as error:
            return f"its pull request into {to.into} could not be opened, open it by hand: {error}"
        return f"its pull request into {to.into} is open{f': {said}' if said else ''}"

    def _merged(self, commit: str, proof: str) -> str:
        """Wait until the branch that the record goes into holds it, under whatever commit; in words what came of it."""
        if self._how is None or self._cancel is None or not self._to.into:
            return ""
        into, wait, held = self._to.into, self._how.wait, self._clone.read(proof, commit)

        def there() -> bool:
            return self._clone.read(proof, self._clone.fetch(into)) == held

        what = f"the merge of the record into {into}"
        try:
            SystemClock().wait_for(there, deadline=wait, what=what, cancel=self._cancel, every=10.0)
        except DeadlineExceeded:
            return f"nobody merged it into {into} in {wait:.0f} s: merge it, nothing waits for it any more"
        except Unreachable as error:
            return f"whether it was merged into {into} can't be told: {error}"
        return f"merged into {into}"

    def _heads(self) -> tuple[str, str]:
        """The commit to build on, and that of the branch which ours is to be merged into (the same, if none)."""
        if self._filed or self._to.base in ("", self._to.branch):
            head = self._clone.fetch()
            return head, head
        base = self._clone.fetch(self._to.base)
        new = self._to.branch not in self._clone.heads()
        return (base if new else self._clone.fetch()), base

    def _files(self, head: str, base: str, release: str) -> MatrixFiles:
        """The matrix at the head, in our work tree."""
        self._clone.checkout(head)
        beside = "" if base == head else self._status(base, release)
        return MatrixFiles(self._clone.tree / self._to.folder, self._matrix, beside=beside)

    def _status(self, commit: str, release: str) -> str:
        data = self._clone.read(self._path(f"releases/{release}.yaml"), commit)
        try:
            return read_scalar(data.decode("utf-8"), "status", file=release) if data else ""
        except (DataError, UnicodeDecodeError):
            return ""

    def _done(self, key: Mapping[str, str], heads: tuple[str, str]) -> str:
        """The commit that holds this record already, also where it was merged as another commit; or ""."""
        proof = self._path(proof_of(key))
        for head in dict.fromkeys(heads):
            if found := self._clone.find(key, head) or self._clone.added(proof, head):
                return found
        return ""

    def _told(self, commit: str, evidence: Values) -> Recorded:
        """A record that was there already, with what it says."""
        key = key_of(str(evidence["release"]), str(evidence["cluster"]), evidence)
        try:
            there = json.loads(self._clone.read(self._path(proof_of(key)), commit) or b"{}")
        except ValueError:
            there = {}
        return Recorded(commit, str(self._to), "", *_worth(there or evidence), "it was there already")

    def _committed(self, change: Change) -> str:
        try:
            for file, text in change.texts.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode("utf-8"))
        except OSError as error:
            raise Inconclusive(
                f"the record can't be written: {error.strerror}", where=error.filename
            ) from error
        paths = tuple(str(file.relative_to(self._clone.tree)) for file in change.texts)
        return self._clone.commit(message(change.subject, "", change.trailers), paths)

    def _write(self, commit: str) -> str:
        file = self._folder / PATCH
        try:
            file.write_bytes(self._clone.patch(commit))
        except OSError as error:
            raise Inconclusive(f"the record can't be written: {error.strerror}", where=str(file)) from error
        return str(file)

    def _path(self, file: str) -> str:
        """A file of the matrix, below the repository's root."""
        return f"{self._to.folder}/{file}" if self._to.folder else file


def promotion_for(
    matrix: Path,
    to: Destination,
    folder: Path,
    how: PullRequests | None = None,
    cancel: Cancel | None = None,
) -> Promotion:
    """What writes a run's record `to` there; `folder` is the run's. `how`: what opens a pull request.

    `cancel`: of a run that waits until it is merged.
    """
    if to.way is Way.HERE:
        return MatrixRepository(matrix, branch=to.branch)
    return MatrixClone(matrix, to, folder, how=how, cancel=cancel)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _worth(evidence: Values) -> tuple[str, str]:
    return str(evidence.get("status", "")), str(evidence.get("because", ""))
