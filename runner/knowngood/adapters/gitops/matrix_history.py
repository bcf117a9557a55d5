"""What the matrix's Git history tells of one value: since when it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.processes.git_command import GitCommand
from knowngood.adapters.processes.git_environment import quiet_environment
from knowngood.matrix.span_edit import read_scalar
from knowngood.model.errors import DataError

MOST = 500
"""Commits of one file looked at; a pin that is older than so many changes is old enough."""


@dataclass(frozen=True, slots=True)
class Held:
    """One value of a scalar and the commit that set it. `first`: the history begins with it, so it may be older."""

    value: str
    commit: str
    day: str
    first: bool = False


def history(matrix: Path, file: str, path: str) -> tuple[Held, ...]:
    """The values that the scalar at `path` of `file` (below the matrix) has had, newest first.

    Empty outside a Git repository, and where the file as it stands is not committed.
    """
    git = GitCommand(matrix.resolve(), quiet_environment(), deadline=60.0)
    changed = git.run("status", "--porcelain", "--", file, ok=(0, 128))
    if changed.code != 0 or changed.text:
        return ()
    listed = git.run("log", f"-{MOST}", "--format=%H %cs", "--", file, ok=(0, 128))
    found: list[Held] = []
    for line in listed.text.splitlines():
        commit, _, day = line.partition(" ")
        value = _value(git, commit, file, path)
        if found and found[-1].value == value:
            found.pop()
        found.append(Held(value, commit, day))
    if found:
        last = found[-1]
        found[-1] = Held(last.value, last.commit, last.day, first=True)
    return tuple(found)


def _value(git: GitCommand, commit: str, file: str, path: str) -> str:
    """The value at a commit; "" where it had none that can be read."""
    shown = git.run("show", f"{commit}:./{file}", ok=(0, 128))
    if shown.code != 0:
        return ""
    try:
        return read_scalar(shown.out.decode("utf-8", "replace"), path, file=file)
    except DataError:
        return ""
