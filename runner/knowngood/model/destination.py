"""Where a run's record goes: frozen when the run begins, so that every machine that goes on with it does the same."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """How a record is written."""

    PUSH = "push"  # one commit on the head of a remote's branch, from a clone of our own
    HERE = "here"  # one commit on the branch that is checked out: the repository has no remote
    FILE = "file"  # a patch in the run's folder


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a record goes. `url` bears no secret; `base` is the branch that `branch` is made from where it is new.

    `folder` is the matrix in its repository, "" for the root.
    """

    way: Way = Way.HERE
    url: str = ""
    branch: str = ""
    base: str = ""
    folder: str = ""

    @property
    def into(self) -> str:
        """The branch that the record has still to be merged into, "" where it goes there at once."""
        return self.base if self.way is Way.PUSH and self.base not in ("", self.branch) else ""

    def __str__(self) -> str:
        match self.way:
            case Way.PUSH:
                return f"branch {self.branch} of {self.url}"
            case Way.HERE:
                return "the matrix's own repository, which has no remote"
            case Way.FILE:
                return "a patch in the run's folder"


HERE = Destination()
"""Onto the branch that is checked out."""
