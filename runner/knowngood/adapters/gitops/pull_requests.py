"""A GitOps repository whose branch takes only pull requests: our commits go to branches, and others merge them.

What is merged is known by its content, since a merge may squash, rebase or reword: our commit is contained, or one with
its trailers, or the fields hold what we wrote. The branch of an undo is prepared once the change is merged, and never
before: built on anything else it would change nothing after a squash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from knowngood.adapters.gitops.forge import PullRequest, call
from knowngood.adapters.gitops.git import Build, GitOpsRepository
from knowngood.adapters.processes.git_command import without_secret
from knowngood.matrix.span_edit import read_scalar
from knowngood.model import names
from knowngood.model.errors import DataError, DeadlineExceeded, KnowngoodError
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding
from knowngood.model.gitops import GitOps, PullRequests
from knowngood.ports.cancel import Cancel
from knowngood.ports.clock import Clock
from knowngood.ports.delivery import Delivery
from knowngood.ports.gitops import FieldTaken


class PullRequestRepository(GitOpsRepository):
    """As `GitOpsRepository`; what it returns for a commit is ours, on a branch, until it is merged."""

    def __init__(self, where: GitOps, folder: Path, how: PullRequests, **options: object) -> None:
        super().__init__(where, folder, **options)  # type: ignore[arg-type]
        self._how = how
        self._where = where
        self._told: dict[str, str] = {}

    def find(self, trailers: Mapping[str, str]) -> str:
        """What carries these trailers: in a pull request of ours, undone by a prepared branch, or on the branch."""
        mine, branch = self._clone.heads(), _branch(trailers)
        self._clone.fetch_below(names.UNDO_BRANCHES)
        if branch in mine and (found := self._clone.find(trailers, self._clone.fetch(branch))):
            return found
        for prepared in (
            b for b in mine if b.startswith(names.UNDO_BRANCHES) and names.TRAILER_UNDOES not in trailers
        ):
            said = self._clone.trailers(self._clone.parse(f"refs/remotes/origin/{prepared}"))
            if {**said, **trailers} == said:
                return said.get(names.TRAILER_UNDOES, "")
        head = self.head()
        return self._clone.find(trailers, head) or self._merged_in_other_words(trailers, branch, head)

    def _merged_in_other_words(self, trailers: Mapping[str, str], branch: str, head: str) -> str:
        """Our commit whose branch is gone, where the head holds its changes: squashed under a message of theirs."""
        left = f"refs/remotes/origin/{branch}"
        found = self._clone.find(trailers, left) if self._clone.has(left) else ""
        return found if found and self._clone.holds(found, head) else ""

    def brought(self, changes: Sequence[FieldChange], since: str) -> str:
        """See the port: squashed under words of theirs, and the branch of its undo gone, too."""
        head = self.head()
        inverse = [c.inverse() for c in changes]
        for commit in self._clone.since(sorted({c.file for c in changes}), since, head) if changes else ():
            if self._holds(changes, commit) and self._holds(inverse, f"{commit}^"):
                return commit
        return ""

    def taking(self, changes: Sequence[FieldChange] = ()) -> Sequence[Finding]:
        """See the port: whether a branch beside it is taken."""
        return self._taking(changes, f"{names.BRANCHES}would-this-be-taken")

    def merged(self, commit: str, changes: Sequence[FieldChange]) -> str:
        """The commit on the branch that brought ours, "" as long as nobody merged it."""
        head = self.head()
        if self._clone.is_ancestor(commit, head):
            return commit
        if names.undo_branch(commit) in self._clone.heads():  # prepared on what was merged
            return self._clone.parse(f"{self._clone.fetch(names.undo_branch(commit))}^")
        if not self._here(commit):
            return head if changes and self._holds(changes, head) else ""
        said = self._clone.trailers(commit)
        if said and (found := self._clone.find(said, head)):
            return found
        if not changes:
            return ""
        files = sorted({c.file for c in changes})
        after = self._clone.touching(files, self._clone.fork(commit, head), head)
        return next((one for one in after if self._holds(changes, one)), "")

    def prepare_undo(self, commit: str, merged: str, changes: Sequence[FieldChange]) -> str:
        """Push the branch that takes a merged change back, without a pull request; its commit. Once only."""
        branch = names.undo_branch(commit)
        if branch in self._clone.heads():
            return self._clone.fetch(branch)
        said = self._clone.trailers(commit)
        marked = {**said, names.TRAILER_UNDOES: commit}
        return self._sent(marked, branch, self._backward(merged, changes, self._back_subject(commit), marked))

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        """Withdraw what nobody merged yet; else open the prepared branch, and merge it where the team's command can."""
        there = self.merged(commit, changes)
        if not there and self._here(commit):
            self._clone.drop(_branch(self._clone.trailers(commit)))
            there = self.merged(commit, changes)  # it may have been merged while it was withdrawn
        if not there:
            return self.head()
        head = self.head()
        self._clone.checkout(head)
        for change in changes:
            self._expect(change, (change.after, change.before), head)
        undone = self.prepare_undo(commit, there, changes)
        if self.merged(undone, [c.inverse() for c in changes]):
            return undone
        self._ask(self._how.open, names.undo_branch(commit), undone)
        if self._how.merge:
            self._ask(self._how.merge, names.undo_branch(commit), undone, each_time=True)
        return undone

    def rehearse_way_back(self, trailers: Mapping[str, str]) -> tuple[str, str]:
        """Push a branch and delete it again: more can't be proven of a branch that only others write."""
        head, branch = self.head(), f"{_branch(trailers)}-way-back"
        self._clone.checkout(head)
        self._clone.push(self._clone.commit("knowngood: the way out\n", ()), to=branch)
        self._clone.drop(branch)
        return head, head

    def _publish(
        self,
        trailers: Mapping[str, str],
        build: Build,
        changes: Sequence[FieldChange] = (),
    ) -> str:
        """Push the commit to a branch of its own and open its pull request; once only."""
        branch, known = _branch(trailers), self.find(trailers)
        commit = known or self._sent(trailers, branch, build, changes)
        if not self.merged(commit, changes):
            self._ask(self._how.open, branch, commit)
        return commit

    def _sent(
        self,
        trailers: Mapping[str, str],
        branch: str,
        build: Build,
        changes: Sequence[FieldChange] = (),
    ) -> str:
        commit = self._built(self._clone.fetch(), build, changes)
        if not self._clone.push(commit, to=branch):
            found = self._clone.find(trailers, self._clone.fetch(branch))
            if not found:
                raise FieldTaken(f"the branch {branch} holds what is not ours")
            return found
        return commit

    def _ask(self, command: Sequence[str], branch: str, commit: str, *, each_time: bool = False) -> None:
        """Run the team's command; its first no is raised. Later ones are kept: a pull request may be open already."""
        title, _, body = self._clone.message_of(commit).partition("\n")
        about = PullRequest(
            without_secret(self._where.repo), self._where.branch, branch, commit, title, body.strip()
        )
        asked = self._clone.tree / ".git" / f"knowngood-asked-{commit}"
        again = asked.exists() and not each_time
        asked.touch()
        try:
            said = call(command, about, self._clone.tree)
            self._told[commit] = (
                f"{command[0]} said: {said}" if said else f"{command[0]} ended well, without a word"
            )
        except KnowngoodError as error:
            if not again:
                raise
            self._told[commit] = str(error)

    def told(self, commit: str) -> str:
        """What the team's command said last about a commit's pull request, "" where it was not asked."""
        return self._told.get(commit, "")

    def waited_for(self, commit: str, changes: Sequence[FieldChange]) -> str:
        """As `merged`. FieldTaken where the branch holds a third value: what was sent can't be merged any more."""
        if found := self.merged(commit, changes):
            return found
        head = self.head()
        self._clone.checkout(head)
        for change in changes:
            self._expect(change, (change.before, change.after), head)
        return ""

    def _here(self, commit: str) -> bool:
        """Whether we have a commit, which another machine may have pushed."""
        if not self._clone.has(commit):
            self._clone.fetch_below(names.BRANCHES)
        return self._clone.has(commit)

    def _holds(self, changes: Sequence[FieldChange], commit: str) -> bool:
        try:
            return all(self._read_at(change, commit) == change.after for change in changes)
        except (DataError, UnicodeDecodeError):
            return False

    def _read_at(self, change: FieldChange, commit: str) -> str:
        data = self._clone.read(change.file, commit) or b""
        return read_scalar(
            data.decode("utf-8"),
            change.path,
            file=change.file,
            of=change.object,
            written=change.written,
            names=partial(self._names, change),
        )

    def undoes(self, commit: str) -> bool:
        """Whether a commit of ours takes another one back."""
        return self._here(commit) and names.TRAILER_UNDOES in self._clone.trailers(commit)

    def _back_subject(self, commit: str) -> str:
        return f"Undo: {self._clone.message_of(commit).partition(chr(10))[0]}"


class Looking(Delivery, Protocol):
    """A delivery that can be asked to look again where there is no commit of ours."""

    def look_anew(self, deadline: float, cancel: Cancel) -> None:
        """Returns once all was compared anew; DeadlineExceeded."""
        ...


class MergedDelivery(Delivery):
    """Waits until somebody merged a commit, prepares its undo, then waits for Argo CD."""

    def __init__(self, inner: Looking, repository: PullRequestRepository, clock: Clock, wait: float) -> None:
        self._inner, self._repository, self._clock, self._wait = inner, repository, clock, wait

    def ready(self) -> Sequence[Finding]:
        """See the port."""
        return self._inner.ready()

    def windows(self, seconds: float) -> Sequence[Finding]:
        """See the port."""
        return self._inner.windows(seconds)

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        """See the port. The time until the merge is counted, and has a deadline of its own."""
        began, what = self._clock.monotonic(), f"the merge of {commit[:10]}"
        try:
            merged = self._clock.wait_for(
                lambda: self._repository.waited_for(commit, changes),
                deadline=self._wait,
                what=what,
                cancel=cancel,
                every=10.0,
            )
        except DeadlineExceeded as error:
            told = self._repository.told(commit)
            raise DeadlineExceeded(
                "; ".join(filter(None, (f"nobody merged {commit[:10]} in {self._wait:.0f} s", told))),
                hint="merge its pull request, then go on",
            ) from error
        if changes and not self._repository.undoes(commit):
            self._repository.prepare_undo(commit, merged, changes)
        if not changes:  # the way back: what is there already proves nothing
            self._inner.look_anew(deadline, cancel)
        self._inner.wait(merged, changes, deadline, cancel)
        return self._clock.monotonic() - began


def _branch(trailers: Mapping[str, str]) -> str:
    """The branch of a commit with these trailers, the same on each machine."""
    words = [trailers.get(t, "") for t in (names.TRAILER_RUN, names.TRAILER_HOP, names.TRAILER_RING)]
    digest = hashlib.sha256("\n".join(f"{k}: {v}" for k, v in sorted(trailers.items())).encode()).hexdigest()
    return f"{names.BRANCHES}{'-'.join(_plain(w) for w in words if w)}-{digest[:8]}"


def _plain(word: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in word).strip("-")[:60]
