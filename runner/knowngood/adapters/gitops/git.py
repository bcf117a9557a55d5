"""The GitOps repository: one commit a ring, its undo, and the rendered proof before each push.

Nothing is forced and nothing is rebased in place: when somebody else pushed first, the commit is made and
proven again on the new head. A commit is found by its trailers, so a repeated step pushes nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from knowngood.adapters.gitops.clone import Clone, message
from knowngood.adapters.gitops.following import LFS, LFS_SAID, Repository
from knowngood.adapters.gitops.renaming import names_in
from knowngood.adapters.gitops.render import (
    Difference,
    FolderRenderer,
    Rendered,
    Renderer,
    differences,
    fields_of,
    prove,
)
from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model import gitops, names
from knowngood.model.errors import DataError, Inconclusive, Unreachable
from knowngood.model.field import Field, FieldChange, ObjectRef
from knowngood.model.finding import Finding, refused
from knowngood.ports.gitops import FieldTaken, GitOps, RenderMismatch

TRAILER_WAY_BACK = "Knowngood-Way-Back"
_ATTEMPTS = 6
_OF_ALL = "declare the component where only this cluster's Applications read it: in its overlay, as a patch"

Built = tuple[str, Sequence[FieldChange]]
"""A commit, and the edits in it."""

Build = Callable[[str], Built]
"""Makes a commit on a head, which is checked out."""

Made = Mapping[gitops.Application, Rendered]
"""What Argo CD would make of each Application."""


class GitOpsRepository(GitOps):
    """The repository of a cluster file's `gitops`, cloned into `folder`.

    `others` are Applications of other clusters that read the same repository: they must not change at all.
    """

    def __init__(
        self,
        where: gitops.GitOps,
        folder: Path,
        *,
        others: Sequence[gitops.Application] = (),
        renderer: Renderer | None = None,
        deadline: float = 120.0,
    ) -> None:
        self._applications = tuple(where.applications)
        self._others = tuple(o for o in others if o not in self._applications)
        self._clone = Clone(
            folder, where.repo, where.branch, credentials=where.credentials, deadline=deadline
        )
        self._renderer = renderer or FolderRenderer()

    def head(self) -> str:
        """The remote branch's commit now."""
        return self._clone.fetch()

    def value(self, field: Field) -> str:
        """The field's value at the remote head."""
        self._clone.checkout(self.head())
        return self._read(field)

    def texts(self, wanted: Mapping[ObjectRef, Collection[str]]) -> Mapping[ObjectRef, Mapping[str, str]]:
        """See the port."""
        if not wanted:
            return {}
        self._clone.checkout(self.head())
        rendered = [self._renderer.render(self._clone.tree, a) for a in self._applications]
        found = {named: fields_of(rendered, named) for named in wanted}
        return {named: {p: found[named].get(p, "") for p in paths} for named, paths in wanted.items()}

    def taking(self, changes: Sequence[FieldChange] = ()) -> Sequence[Finding]:
        """See the port. What can't be asked, or rendered, is raised. The commit stays in our clone."""
        return self._taking(changes)

    def _taking(self, changes: Sequence[FieldChange], to: str = "") -> Sequence[Finding]:
        """`to`: another branch than the one that Argo CD reads."""
        ready: tuple[FieldChange, ...] = ()

        def build(_head: str) -> Built:
            nonlocal ready
            ready = tuple(c for c in changes if c.before != c.after and self._declares(c))
            return self._clone.commit("knowngood: would this be taken?\n", self._write(ready)), ready

        head = self.head()
        try:
            commit = self._built(head, build, changes)
        except RenderMismatch as error:
            return [refused(ready[0].file if ready else "", error.message, error.hint or _OF_ALL)]
        finally:
            self._clone.checkout(head)
        self._clone.push(commit, dry_run=True, to=to)
        return ()

    def _declares(self, change: FieldChange) -> bool:
        """Whether Git holds what the change starts from; another check tells of what it does not."""
        try:
            return self._read(change) == change.before
        except (DataError, FieldTaken):
            return False

    def find(self, trailers: Mapping[str, str]) -> str:
        """The newest upstream commit with all these trailers, or ""."""
        return self._clone.find(trailers, self.head())

    def is_ancestor(self, commit: str, revision: str) -> bool:
        """Whether `revision` (a full commit id) contains `commit`."""
        return self._clone.is_ancestor(commit, revision)

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        """Commit and push `after` over `before`."""

        def build(head: str) -> Built:
            for change in changes:
                self._expect(change, (change.before,), head)
            files = self._write(changes)
            return self._clone.commit(message(subject, "", trailers), files), changes

        return self._publish(trailers, build, changes)

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        """Revert the commit, or write `before` where a revert does not apply."""
        marked = {**trailers, names.TRAILER_UNDOES: commit}
        return self._publish(marked, self._backward(commit, changes, subject, marked), changes)

    def _backward(
        self, commit: str, changes: Sequence[FieldChange], subject: str, marked: Mapping[str, str]
    ) -> Build:
        """What takes a commit back on a head."""
        backward = tuple(c.inverse() for c in changes)

        def build(head: str) -> Built:
            original = self._clone.parse(commit)
            still = tuple(c for c in backward if self._expect(c, (c.before, c.after), head) == c.before)
            if not still:
                note = f"The fields hold their values from before {original} already."
                return self._clone.commit(message(subject, note, marked), ()), ()
            files = tuple(sorted({c.file for c in still}))
            if len(still) == len(backward) and self._reverts(original, backward):
                note = f"This reverts commit {original}."
                return self._clone.commit(message(subject, note, marked), files), still
            self._clone.checkout(head)
            note = f"Later commits touch the same lines, so this writes the values from before {original}."
            return self._clone.commit(message(subject, note, marked), self._write(still)), still

        return build

    def rehearse_way_back(self, trailers: Mapping[str, str]) -> tuple[str, str]:
        """Push a no-op commit and its revert."""
        note = "Changes nothing: proves that the branch takes our commits, and that they are delivered."
        commit = self._empty("knowngood: the way out", note, {**trailers, TRAILER_WAY_BACK: "out"})
        note = f"This reverts commit {commit}, which changed nothing."
        marked = {**trailers, TRAILER_WAY_BACK: "back", names.TRAILER_UNDOES: commit}
        return commit, self._empty("knowngood: the way back", note, marked)

    def _empty(self, subject: str, note: str, trailers: Mapping[str, str]) -> str:
        def build(_head: str) -> Built:
            return self._clone.commit(message(subject, note, trailers), ()), ()

        return self._publish(trailers, build)

    def _publish(
        self,
        trailers: Mapping[str, str],
        build: Build,
        changes: Sequence[FieldChange] = (),
    ) -> str:
        """Build a commit on the remote head, prove it, push it; again when somebody else pushed first.

        `changes`: those that it may hold.
        """
        for _ in range(_ATTEMPTS):
            head = self._clone.fetch()
            if done := self._clone.find(trailers, head):
                return done
            commit = self._built(head, build, changes)
            try:
                if self._clone.push(commit):
                    return commit
            except Unreachable:
                # The answer may have been lost after the remote took it.
                if self._clone.find(trailers, self._clone.fetch()) == commit:
                    return commit
                raise
        raise Inconclusive(
            f"others pushed {_ATTEMPTS} times while we tried",
            where=self._clone.branch,
            hint="nothing was pushed; run again when the branch is quieter",
        )

    def _built(self, head: str, build: Build, changes: Sequence[FieldChange]) -> str:
        """A commit on a head, proven."""
        self._clone.checkout(head)
        before = self._render(self._reading(changes))
        commit, made = build(head)
        self._prove(head, commit, before, made)
        return commit

    def _expect(self, change: FieldChange, allowed: tuple[str, ...], head: str) -> str:
        try:
            value = self._read(change)
        except DataError as error:
            raise FieldTaken(
                f"{error}; last touched by {self._clone.last_touched(change.file, head)}"
            ) from error
        if value not in allowed:
            who = self._clone.last_touched(change.file, head)
            expected = " or ".join(dict.fromkeys(allowed))
            raise FieldTaken(
                f"{change.file}: {change.path} is {value}, not {expected}; last touched by {who}"
            )
        return value

    def _read(self, field: Field) -> str:
        return read_scalar(
            self._text(field.file),
            field.path,
            file=field.file,
            of=field.object,
            written=field.written,
            names=partial(self._names, field),
        )

    def _names(self, field: Field) -> tuple[str, ...]:
        """What the file may call the object, by the kustomizations through which our Applications read it."""
        folders = [a.path for a in self._applications]
        return names_in(self._clone.tree, folders, field.file, field.object.name)

    def _text(self, file: str) -> str:
        path = self._clone.path(file)
        try:
            text = path.read_bytes().decode("utf-8")
        except FileNotFoundError as error:
            raise FieldTaken(f"{file}: the file is not in the branch {self._clone.branch}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Inconclusive(f"the file can't be read: {error}", where=file) from error
        if text.startswith(LFS):
            raise Inconclusive(f"it is {LFS_SAID}", where=file)
        return text

    def _write(self, changes: Sequence[FieldChange]) -> tuple[str, ...]:
        for change in changes:
            edited = edit_scalar(
                self._text(change.file),
                change.path,
                change.after,
                file=change.file,
                of=change.object,
                written=change.written,
                names=partial(self._names, change),
            )
            self._clone.path(change.file).write_bytes(edited.encode("utf-8"))
        return tuple(sorted({c.file for c in changes}))

    def _reverts(self, commit: str, backward: Sequence[FieldChange]) -> bool:
        return self._clone.revert(commit) and all(self._read(c) == c.after for c in backward)

    def _reading(self, changes: Sequence[FieldChange]) -> tuple[gitops.Application, ...]:
        """The Applications to render: all that cluster files name, and whoever else reads the files of the changes."""
        named = (*self._applications, *self._others)
        repository, files = Repository(self._clone.tree), {c.file for c in changes}
        return (*named, *repository.strangers(files, named), *repository.giving(files, named))

    def _render(self, applications: Sequence[gitops.Application]) -> Made:
        return {a: self._renderer.render(self._clone.tree, a) for a in applications}

    def _prove(self, head: str, commit: str, before: Made, changes: Sequence[FieldChange]) -> None:
        """Only planned files are touched, and only planned fields differ in the rendering."""
        self._clone.checkout(commit)
        touched = self._clone.changed_files(head, commit)
        unplanned = sorted(touched - {c.file for c in changes})
        if unplanned:
            raise Inconclusive(f"the commit would touch {', '.join(unplanned)}", where=self._clone.branch)
        self._unlinked(commit, before)
        found: dict[bool, list[Difference]] = {True: [], False: []}
        for application, new in self._render(tuple(before)).items():
            found[application in self._applications] += differences(
                application.name, before[application], new
            )
        prove(found[True], changes, found[False])

    def _unlinked(self, commit: str, applications: Collection[gitops.Application]) -> None:
        links = self._clone.links(commit)
        if not links:
            return
        repository = Repository(self._clone.tree)
        for application in applications:
            read = repository.read_by(application.path)
            known = repository.is_known(application.path)
            inside = [link for link in links if application.reads(link) or link in read or not known]
            if inside:
                raise Inconclusive("a link or submodule can't be rendered", where=inside[0])
