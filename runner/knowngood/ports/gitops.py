"""The GitOps repository: one commit a ring, a revert to undo it, never force."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from knowngood.model.errors import Refused
from knowngood.model.field import Field, FieldChange, ObjectRef
from knowngood.model.finding import Finding


class FieldTaken(Refused):
    """Somebody else changed the planned field; the message names file, path, value and commit."""


class RenderMismatch(Refused):
    """The rendered difference is not exactly the planned fields; the message names what else changed."""


class GitOps(Protocol):
    """A clone of our own, pushed without force onto the expected parent. Raises Unreachable."""

    def head(self) -> str:
        """The remote branch's commit now (fetched)."""
        ...

    def value(self, field: Field) -> str:
        """The field's value at the remote head; DataError where it is missing or doubled."""
        ...

    def texts(self, wanted: Mapping[ObjectRef, Collection[str]]) -> Mapping[ObjectRef, Mapping[str, str]]:
        """What these objects will have at dotted paths, as Argo CD renders the remote head; "" where nothing is.

        Inconclusive where that can't be told.
        """
        ...

    def taking(self, changes: Sequence[FieldChange] = ()) -> Sequence[Finding]:
        """Why a push of these changes would be refused, by a dry run; empty: taken.

        Credentials, the branch, what can't be rendered, what would change beside them.

        A protected branch says no only to a real push.
        """
        ...

    def find(self, trailers: Mapping[str, str]) -> str:
        """The newest upstream commit that carries all these trailers, or ""."""
        ...

    def brought(self, changes: Sequence[FieldChange], since: str) -> str:
        """The newest upstream commit since a time (ISO 8601) that set these fields so, under whatever words; or "".

        Where our commits go to the branch themselves `find` says all of it, so there it is "".
        """
        return ""

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        """Commit and push `after` over `before`; idempotent by its trailers; returns the commit.

        Renders each Application before the push. Raises FieldTaken, RenderMismatch.
        """
        ...

    def undo(
        self, commit: str, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]
    ) -> str:
        """`git revert` of the commit, else write `before` onto the head naming it; returns the commit.

        Idempotent by its trailers.
        Raises FieldTaken when the field now holds neither value.
        """
        ...

    def rehearse_way_back(self, trailers: Mapping[str, str]) -> tuple[str, str]:
        """Push a no-op commit and its revert; returns both. Proves that the branch takes our undo."""
        ...
