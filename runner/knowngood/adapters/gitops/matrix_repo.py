"""The matrix's Git repository as it is checked out: where a person raises, revokes and supersedes releases.

It is the operator's own checkout, so only the files written here are committed, whatever else is staged or changed
stays as it is, and a file with uncommitted changes is never overwritten. A run writes here only where the repository
has no remote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from knowngood.adapters.gitops.clone import message
from knowngood.adapters.gitops.matrix_files import Change, MatrixFiles
from knowngood.adapters.gitops.users_git import BY_HAND, UsersGit
from knowngood.adapters.processes.git_command import GitCommand, GitFailed, explain
from knowngood.model import names
from knowngood.model.errors import Inconclusive, UsageError
from knowngood.model.evidence import Appraisal
from knowngood.model.jsonable import to_json
from knowngood.model.values import Object, Values
from knowngood.ports.promotion import Promotion, Recorded


class MatrixRepository(Promotion):
    """Commits into the repository that holds `matrix` (a folder with `releases/`) on its current branch.

    `branch`: the only one that a run's record may be committed on, "" for any. `push`: push the commit to the
    branch's upstream. `by_hand` is what a person asked for, in words; "" means a run. A push without an upstream is
    refused, and one that would publish other commits too.
    """

    def __init__(
        self,
        matrix: Path,
        *,
        push: bool = False,
        by_hand: str = "",
        branch: str = "",
        deadline: float = 120.0,
    ) -> None:
        self._matrix = matrix.resolve()
        self._what = by_hand or "the record"
        self._by_hand = bool(by_hand)
        self._deadline = deadline
        self._branch = branch
        self._files = MatrixFiles(self._matrix)
        self._push = push
        if push and not self._upstream()[0]:
            raise self._nowhere()

    @cached_property
    def _git(self) -> GitCommand:
        """Asked for on first use: a run goes on, or back, also where the matrix is no repository any more."""
        return repository_at(self._matrix, self._deadline, f"{self._what} can't be committed")

    @property
    def detached(self) -> bool:
        """Whether a commit here would be on no branch."""
        return not self._here()

    def ready(self, release: str, cluster: str) -> str:
        """The files are there and have no changes of the operator's."""
        files = self._files
        self._refuse_dirty(
            (files.file("releases", f"{release}.yaml"), files.file("clusters", f"{cluster}.yaml"))
        )
        return ""

    def appraise(self, evidence: Values, now: str) -> Appraisal:
        """By the files as they are now."""
        return self._files.appraise(evidence, now)

    def promote(self, release: str, status: str, cluster: str, evidence: Values) -> Recorded:
        """Evidence, status and pin in one commit."""
        change = self._files.promotion(release, status, cluster, evidence)
        told = Recorded("", "", "", status, str(evidence.get("because", "")), change.note)
        return replace(told, commit=self._once(change))

    def bring(self, release: str, status: str, evidence: Values) -> str:
        """Evidence that a person brings, and the status it earns; pins nothing. "" where all is there already."""
        change = self._files.renewal(release, status, evidence)
        texts = dict(change.texts)
        if change.proof.is_file():
            texts[change.proof] = self._same(change.proof, evidence)
        return self._commit(change.subject, "", change.trailers, texts)

    def record_failure(self, release: str, cluster: str, evidence: Values) -> Recorded:
        """Evidence of a failed run in one commit."""
        commit = self._once(self._files.failure(release, cluster, evidence))
        return Recorded(commit, "", "", str(evidence.get("status", "")), str(evidence.get("because", "")))

    def change(self, subject: str, body: str, texts: Mapping[str, str], release: str) -> str:
        """Release files (name -> new text) in one commit; returns it. Nothing is written where one is refused."""
        files = {self._files.file("releases", f"{name}.yaml"): text for name, text in texts.items()}
        return self._commit(subject, body, {names.TRAILER_RELEASE: release}, files)

    def text(self, release: str) -> tuple[str, str]:
        """A release file's path and text."""
        file = self._files.file("releases", f"{release}.yaml")
        return str(file), file.read_bytes().decode("utf-8")

    def _once(self, change: Change) -> str:
        """A run's commit, or the one that it made before."""
        if done := self._committed(change.trailers, change.proof):
            if self._push:  # the push may be what failed the first time
                self._send(done)
            return done
        return self._commit(change.subject, "", change.trailers, change.texts)

    def _same(self, proof: Path, evidence: Values) -> str:
        """The text of that run's evidence as it is in the matrix: it is never edited, so it must say the same."""
        text = proof.read_bytes().decode("utf-8")
        try:
            there = json.loads(text)
        except ValueError:
            there = {}
        if _said(there) != _said(to_json(evidence)):
            counted = f", counted as {there.get('status')}: {there.get('because')}" if there else ""
            raise UsageError(
                f"the matrix holds evidence of this run already{counted}",
                where=str(proof),
                hint="evidence is never edited: prove the release again",
            )
        return text

    def _commit(self, subject: str, body: str, trailers: Mapping[str, str], texts: Mapping[Path, str]) -> str:
        """Write the files and commit them alone; "" where nothing changes. What can't be committed is taken back."""
        if self._push:
            self._refuse_others(trailers)
        self._refuse_other_branch()
        self._refuse_dirty(tuple(texts))
        before = {file: file.read_bytes() if file.is_file() else None for file in texts}
        try:
            for file, text in texts.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode("utf-8"))
            commit = self._committed_now(message(subject, body, trailers).rstrip("\n"), map(str, texts))
        except BaseException:
            for file, data in before.items():
                _put_back(file, data)
            self._git.run("reset", "--quiet", "--", *map(str, texts), ok=(0, 1, 128))
            raise
        if self._push:  # asked again, a person wants what is here to be there
            self._send(commit or self._git.run("rev-parse", "HEAD").text)
        return commit

    def _committed_now(self, text: str, paths: Iterable[str]) -> str:
        files = list(paths)
        if not self._git.run("status", "--porcelain", "--", *files).text:
            return ""
        self._git.run("add", "--", *files)
        how = ("--quiet", "--no-verify", "--only", "--cleanup=verbatim")
        self._git.run("commit", *how, "-m", text, "--", *files)
        return self._git.run("rev-parse", "HEAD").text

    def _committed(self, trailers: Mapping[str, str], proof: Path) -> str:
        how = ("--diff-filter=A", "--format=%H", "-1")
        return self._git.run("log", *how, *_with(trailers), "--", str(proof), ok=(0, 128)).text

    def _refuse_others(self, trailers: Mapping[str, str]) -> None:
        """A push takes all that lies below a commit along: none of it may be somebody's unpublished work.

        What this same command committed before, for the same run, is its own.
        """
        missing = "@{upstream}..HEAD"
        listed = self._git.run("rev-list", missing, ok=(0, 128))
        if listed.code != 0:
            raise UsageError(
                f"it can't be told what a push would publish: {'/'.join(self._upstream())} is not known here",
                where=str(self._matrix),
                hint="git fetch, then ask again; nothing was written",
            )
        others = set(listed.text.split())
        if names.TRAILER_RUN in trailers:
            others -= set(self._git.run("rev-list", *_with(trailers), missing).text.split())
        if others:
            some = "a commit" if len(others) == 1 else f"{len(others)} commits"
            raise UsageError(
                f"a push would publish {some} more that {'/'.join(self._upstream())} lacks; nothing was written",
                where=str(self._matrix),
                hint="push them first, or leave --push away",
            )

    def _refuse_other_branch(self) -> None:
        """The user may have gone on with something else while the run was on its way."""
        if self._branch and self._here() != self._branch:
            raise UsageError(
                f"the record belongs on {self._branch}, and {self._here() or 'a detached HEAD'} is checked out",
                where=str(self._matrix),
                hint=f"git switch {self._branch}",
            )

    def _refuse_dirty(self, files: tuple[Path, ...]) -> None:
        done = self._git.run("status", "--porcelain", "--", *(str(f) for f in files))
        if done.text:
            raise UsageError(
                f"there are uncommitted changes in a file that {self._what} has to write",
                where=done.text.split(maxsplit=1)[-1].splitlines()[0],
                hint="commit or drop them, then ask again"
                if self._by_hand
                else "commit or drop them; --record file writes a patch instead",
            )

    def _upstream(self) -> tuple[str, str]:
        """Remote and branch; two empty words where the branch has none or there is no branch."""
        return UsersGit(self._matrix).upstream(self._here())

    def _here(self) -> str:
        """The branch that is checked out, "" for none."""
        return self._git.run("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1)).text

    def _nowhere(self) -> UsageError:
        if self.detached:
            return UsageError(
                "HEAD is detached: there is no branch, so nothing can be pushed; nothing was written",
                where=str(self._matrix),
                hint="git switch BRANCH first; or leave --push away, and git push REMOTE HEAD:BRANCH",
            )
        return UsageError(
            "the branch has no upstream, so nothing can be pushed; nothing was written",
            where=str(self._matrix),
            hint="git push -u REMOTE BRANCH sets one; or leave --push away",
        )

    def _send(self, commit: str) -> None:
        """Push that commit; an error says that it stays, for nobody would look for it."""
        remote, branch = self._upstream()
        upstream = f"{remote}/{branch}"
        said = f"committed here as {commit[:12]}, not pushed"
        try:
            self._git.run("push", "--quiet", "--no-verify", remote, f"{commit}:refs/heads/{branch}")
        except Inconclusive as error:  # a failed command, or one that gave no answer
            found = explain(error, upstream, said, BY_HAND) if isinstance(error, GitFailed) else error
            message = found.message if isinstance(error, GitFailed) else f"{said}: {found.message}"
            hint = found.hint if isinstance(found, UsageError) else "git pull --rebase && git push"
            raise Inconclusive(message, where=upstream, hint=hint) from error


def repository_at(matrix: Path, deadline: float, lost: str) -> GitCommand:
    """Git in the matrix's folder; UsageError where there is none, with what is lost by that."""
    if not matrix.is_dir():
        raise UsageError("there is no such folder", where=str(matrix))
    git = GitCommand(matrix, UsersGit(matrix).in_place(), deadline=deadline)
    inside = git.run("rev-parse", "--is-inside-work-tree", ok=(0, 128))
    if inside.text != "true":
        raise UsageError(
            f"the matrix is not in a Git repository, so {lost}",
            where=str(matrix),
            hint="git init there, or name a matrix that is in one",
        )
    return git


def _with(trailers: Mapping[str, str]) -> tuple[str, ...]:
    """What makes git log and rev-list show only commits that carry these trailers."""
    greps = [f"--grep={key}: {value}" for key, value in trailers.items()]
    return ("--fixed-strings", "--all-match", *greps)


def _put_back(file: Path, data: bytes | None) -> None:
    if data is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(data)


def _said(evidence: Values) -> Object:
    """What evidence says, without the words for it."""
    return {k: v for k, v in evidence.items() if k not in ("because", "expires")}
