"""The GitOps repository behind the engine's port: commits in a list."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tests.unit.engine.world import Commit, World

from knowngood.model import names
from knowngood.model.errors import UsageError
from knowngood.model.field import Field, FieldChange, ObjectRef
from knowngood.model.finding import Finding
from knowngood.ports.gitops import FieldTaken, GitOps


class FakeGitOps(GitOps):
    def __init__(self, world: World) -> None:
        self.world = world

    def head(self) -> str:
        return self.world.head().sha

    def value(self, field: Field) -> str:
        return self.world.head().fields[(field.file, field.path)]

    def texts(self, wanted: Mapping[ObjectRef, Collection[str]]) -> Mapping[ObjectRef, Mapping[str, str]]:
        return {named: {path: self.world.beside.get(path, "") for path in wanted[named]} for named in wanted}

    def taking(self, changes: Sequence[FieldChange] = ()) -> Sequence[Finding]:
        return self.world.found.get("taking", ())

    def find(self, trailers: Mapping[str, str]) -> str:
        for commit in reversed(self.world.commits):
            if all(commit.trailers.get(k) == v for k, v in trailers.items()):
                return commit.sha
        return ""

    def _push(self, fields: dict[tuple[str, str], str], trailers: Mapping[str, str]) -> str:
        sha = f"c{len(self.world.commits)}"
        self.world.commits.append(Commit(sha, fields, dict(trailers)))
        self.world.moment("push")
        return sha

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        if found := self._find_exactly(trailers):
            return found
        fields = dict(self.world.head().fields)
        for change in changes:
            if fields[(change.file, change.path)] != change.before:
                raise FieldTaken(f"{change.file}: somebody else changed {change.path}")
            fields[(change.file, change.path)] = change.after
        return self._push(fields, trailers)

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        if found := self._find_exactly(trailers):
            return found
        fields = dict(self.world.head().fields)
        for change in changes:
            if fields[(change.file, change.path)] not in (change.after, change.before):
                raise FieldTaken(f"{change.file}: somebody else changed {change.path}")
            fields[(change.file, change.path)] = change.before
        return self._push(fields, trailers)

    def _find_exactly(self, trailers: Mapping[str, str]) -> str:
        return next((c.sha for c in reversed(self.world.commits) if c.trailers == dict(trailers)), "")

    def rehearse_way_back(self, trailers: Mapping[str, str]) -> tuple[str, str]:
        if "remote-unwritable" in self.world.broken:
            raise UsageError("the remote does not take our commits", hint="give it the right to push")
        return (f"c-noop {trailers.get(names.TRAILER_HOP, '')}".strip(), self.world.head().sha)
