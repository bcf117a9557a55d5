"""A new operations repository: the shipped data as a team's own, with its pipelines. Nothing is overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from knowngood.adapters.processes.git_command import GitCommand
from knowngood.adapters.processes.git_environment import quiet_environment
from knowngood.adapters.stage import commit_all
from knowngood.matrix.locate import data_root
from knowngood.model.errors import KnowngoodError, UsageError

PARTS = ("matrix", "gates", "playbooks")
TEMPLATES = Path(__file__).with_name("templates")
GITIGNORE = "rehearsals/\nverdicts/\ndemo/\ndiff.md\n.cache/\n.venv/\n"
PINS = ".knowngood/requirements.txt"
"""What the pipelines install, by version and hash."""
KINDS = ("github", "gitlab")
"""Whose pipelines can be laid out."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What is laid out: `new` paths, and `kept` ones that were there and stay as they are.

    `ci`: whose pipelines; "" where nothing said so. `committed`: the repository is ours to begin, so it is one commit.
    """

    folder: Path
    new: tuple[str, ...]
    kept: tuple[str, ...]
    ci: str
    committed: bool


def ci_of(folder: Path) -> str:
    """Whose pipelines a repository takes, by the files in it, else by its remotes; "" where that is not plain."""
    there = {"github": folder / ".github", "gitlab": folder / ".gitlab-ci.yml"}
    found = {kind for kind, path in there.items() if path.exists()} or set(_by_remotes(folder))
    return found.pop() if len(found) == 1 else ""


def _by_remotes(folder: Path) -> Iterator[str]:
    if not (folder / ".git").exists():
        return
    try:
        told = GitCommand(folder, quiet_environment()).run(
            "config", "--get-regexp", r"^remote\..*\.url$", ok=(0, 1)
        )
    except KnowngoodError:
        return
    for line in told.text.splitlines():
        address = line.partition(" ")[2]
        host = urlsplit(address).hostname if "://" in address else address.partition(":")[0]
        yield from (kind for kind in KINDS if kind in (host or ""))


def lay_out(folder: Path, ci: str, pins: str, *, dry_run: bool = False) -> Layout:
    """Fill `folder` with what is not there yet; a new repository gets its first commit. `ci`: of KINDS, or "none".

    UsageError where the folder holds something and is no repository, or can't be written.
    """
    folder = folder.absolute()
    begun = (folder / ".git").exists()
    if not begun and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "the folder is not empty, and no repository",
            where=str(folder),
            hint="name a new one, or the top of a Git repository: what is there stays as it is",
        )
    files = _files(ci, pins)
    wanted = (*(f"{part}/" for part in PARTS), *files)
    kept = tuple(path for path in wanted if os.path.lexists(folder / path))
    new = tuple(path for path in wanted if path not in kept)
    for path in new:
        _refuse_outside(folder, path)
    if not dry_run:
        try:
            _write(folder, new, files)
        except OSError as error:
            raise UsageError(f"can't write: {error.strerror}", where=str(error.filename or folder)) from error
        if not begun:
            commit_all(folder / ".git", folder, "main", "What knowngood ships, to make our own")
    return Layout(folder, new, kept, ci, not begun)


def unignored(folder: Path) -> tuple[str, ...]:
    """Which of our lines a .gitignore that is there lacks; none where there is none, or it can't be read."""
    file = folder / ".gitignore"
    if not file.is_file():
        return ()
    try:
        there = {line.strip().strip("/") for line in file.read_text(encoding="utf-8").splitlines()}
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(line for line in GITIGNORE.split() if line.strip("/") not in there)


def _files(ci: str, pins: str) -> Mapping[str, str]:
    """All single files, by their path."""
    found = {
        "README.md": (TEMPLATES / "README.md").read_text(encoding="utf-8"),
        ".gitignore": GITIGNORE,
        PINS: pins,
    }
    if ci == "github":
        for file in sorted((TEMPLATES / "github").glob("*.yml")):
            found[f".github/workflows/{file.name}"] = file.read_text(encoding="utf-8")
    elif ci == "gitlab":
        found[".gitlab-ci.yml"] = (TEMPLATES / "gitlab" / "gitlab-ci.yml").read_text(encoding="utf-8")
    return found


def _refuse_outside(folder: Path, path: str) -> None:
    """UsageError where a link on the way would lead what we write out of the repository."""
    place = (folder / path).parent
    if not place.resolve().is_relative_to(folder.resolve()):
        hint = "nothing was written; a repository that others made may hold what you do not expect"
        raise UsageError("is a link that leads out of the repository", where=str(place), hint=hint)


def _write(folder: Path, new: tuple[str, ...], files: Mapping[str, str]) -> None:
    root, skip = data_root(), shutil.ignore_patterns("__pycache__", "*.pyc")
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        if path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(files[path], encoding="utf-8")
            continue
        shutil.copytree(root / path, folder / path, ignore=skip)
        if path == "matrix/":
            shutil.rmtree(folder / "matrix" / "evidence", ignore_errors=True)
