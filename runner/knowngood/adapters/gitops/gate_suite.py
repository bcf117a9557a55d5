"""Which gates judge: a digest over their files, in a folder or at a commit."""

from __future__ import annotations

from pathlib import Path

from knowngood.adapters.processes.git_command import GitCommand
from knowngood.adapters.processes.git_environment import quiet_environment
from knowngood.model.evidence import GateSuite
from knowngood.planner.digest import files_digest

FOLDER = "gates"
"""Where a repository that keeps its own gates has them: beside its matrix."""
DEADLINE = 60.0


def suite_of(folder: Path, more: Path | None = None) -> GateSuite:
    """The suites in a folder, and the commit of the repository that tracks them ("" for an installed program).

    `more`: a team's own gates, of which those count that the folder has not.
    """
    files = {**(_files(more) if more else {}), **_files(folder)}
    git = _git(folder)
    tracked = git.run("ls-files", "--", ".", ok=(0, 128))
    if tracked.code != 0 or not tracked.text:
        return GateSuite(files_digest(files))
    commit = git.run("rev-parse", "--verify", "--quiet", "HEAD", ok=(0, 1, 128)).text
    return GateSuite(files_digest(files), commit)


def digest_at(matrix: Path, commit: str) -> str:
    """The digest of the gates beside the matrix at a commit; "" where there is no such commit, or no gates at it."""
    git = _git(matrix)
    wanted = f"{commit}^{{commit}}"
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, ok=(0, 1, 128))
    prefix = git.run("rev-parse", "--show-prefix", ok=(0, 128)).text
    if not commit or found.code != 0 or not prefix:
        return ""
    parent = prefix.rstrip("/").rpartition("/")[0]
    folder = f"{parent}/{FOLDER}" if parent else FOLDER
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", found.text, "--", f"{folder}/", ok=(0, 128))
    files = {}
    for entry in filter(None, listed.out.decode("utf-8", "replace").split("\0")):
        meta, _, path = entry.partition("\t")
        if path.endswith(".py"):
            files[path.removeprefix(f"{folder}/")] = git.run("cat-file", "blob", meta.split()[2]).out
    return files_digest(files)


def _files(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*.py"))}


def _git(folder: Path) -> GitCommand:
    return GitCommand(folder.resolve(), quiet_environment(), deadline=DEADLINE)
