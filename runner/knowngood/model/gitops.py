"""A cluster's GitOps repository: where it is, and which Applications read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import normpath
from typing import NamedTuple

from knowngood.model.values import Values


@dataclass(frozen=True, slots=True)
class Application:
    """An Argo CD Application that reads a folder of the GitOps repository; `path` is that folder.

    `recurse`: its subfolders, too. `value_files`: what it gives a chart, where no manifest in the repository says so.
    """

    name: str
    namespace: str
    path: str
    recurse: bool = False
    value_files: tuple[str, ...] = ()

    def reads(self, file: str) -> bool:
        """Whether a file of the repository lies in its folder."""
        folder = self.path.strip("/")
        return folder in {"", "."} or file.strip("/").startswith(f"{folder}/")


class Affix(NamedTuple):
    """What kustomizations put before and behind an object's name."""

    prefix: str = ""
    suffix: str = ""

    def of(self, name: str) -> str:
        """The name with it."""
        return f"{self.prefix}{name}{self.suffix}"

    def without(self, name: str) -> str:
        """What is left of a name that has it, "" where it has not."""
        has = name.startswith(self.prefix) and name.endswith(self.suffix)
        return name[len(self.prefix) : len(name) - len(self.suffix)] if has else ""


def folder_of(source: Values) -> str:
    """The folder of the repository that a source of an Application reads, "" for none: `./gpu/` is `gpu`."""
    path = str(source.get("path") or "").strip("/")
    return normpath(path) if path else ""


@dataclass(frozen=True, slots=True)
class PullRequests:
    """A branch that takes nothing else: a team's commands open one for a branch of ours, and may `merge` one.

    Without a command that merges, an undo needs a human. `wait` is seconds until somebody has merged.
    """

    open: tuple[str, ...]
    merge: tuple[str, ...] = ()
    wait: float = 3600.0


@dataclass(frozen=True, slots=True)
class GitOps:
    """Where the cluster's GitOps repository is. `credentials` is a reference (`file:...`, `env:...`), never a value."""

    repo: str
    branch: str
    applications: tuple[Application, ...]
    credentials: str = ""
    pull_requests: PullRequests | None = None

    def reading(self, files: Iterable[str]) -> tuple[Application, ...]:
        """The Applications that read any of these files; a base that lies in no folder of theirs may be anybody's."""
        every, wanted = self.applications, tuple(files)
        if any(not any(a.reads(file) for a in every) for file in wanted):
            return every
        return tuple(a for a in every if any(a.reads(file) for file in wanted))
