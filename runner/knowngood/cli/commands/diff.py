"""`knowngood diff`: what lies between two releases, or between two revisions of the matrix."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from knowngood.adapters.gitops.matrix_revisions import matrix_at, merge_base
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.matrix_source import pick
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import SCHEMA, say
from knowngood.matrix import build, documents
from knowngood.matrix.load import load
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Matrix, Release
from knowngood.model.text import Page, as_json
from knowngood.planner.plan.diff import MatrixDiff, ReleaseDiff, Revision, changes, compare
from knowngood.report.diff_text import matrix_markdown, matrix_text, release_markdown, release_text


def _json(value: Any) -> Page:
    return as_json({"schema": SCHEMA, **to_json(value)})


FORMS: dict[str, tuple[Callable[[ReleaseDiff], Page], Callable[[MatrixDiff], Page]]] = {
    "text": (release_text, matrix_text),
    "markdown": (release_markdown, matrix_markdown),
    "json": (_json, _json),
}


@click.command("diff")
@click.argument("before", metavar="[A", required=False)
@click.argument("after", metavar="B]", required=False)
@click.option("--since", metavar="REV", help="Compare with where the branch left this Git revision.")
@matrix_option
@output_option("text", "json", "markdown")
@debug_option
@click.pass_obj
def command(settings: Settings, before: str | None, after: str | None, since: str | None, output: str) -> int:
    """Say what lies between two releases, or what changed in the matrix.

    A and B are releases, each as it is now or with @REV as a Git revision has it. Shown is what moves, what each move
    disrupts, how it is undone, which rules come and go, and the risks declared on the updates. With --since alone:
    everything that changed in the matrix, and the same for each release that is new or changed.

    \b
    Examples:
      knowngood diff r580 r595
      knowngood diff r595@origin/main r595
      knowngood diff --since origin/main
      knowngood diff --since origin/main --output markdown     a comment on a pull request

    \b
    Exit codes: 0 shown, 2 there is no such release or revision
    """
    root = matrix_folder(settings)
    of_release, of_matrix = FORMS[output]
    with tempfile.TemporaryDirectory() as folder:
        if since is not None and before is None:
            base, _ = matrix_at(root, merge_base(root, since), Path(folder))
            say(of_matrix(changes(_revision(base), _revision(root))))
            return int(ExitCode.DONE)
        if since is not None or before is None or after is None:
            hint = "knowngood diff A B, or knowngood diff --since REV"
            raise UsageError("name two releases, or one Git revision", hint=hint)
        old, first = _release(root, before, Path(folder) / "a")
        new, second = _release(root, after, Path(folder) / "b")
        say(of_release(compare(old, first, new, second)))
    return int(ExitCode.DONE)


def _release(root: Path, text: str, folder: Path) -> tuple[Matrix, Release]:
    """`NAME` or `NAME@REV`."""
    name, _, revision = text.partition("@")
    place = root
    if revision:
        place, _ = matrix_at(root, revision, folder)
    matrix = load(place)
    return matrix, pick(matrix.releases, name, "release", root / "releases")


def _revision(folder: Path) -> Revision:
    """A matrix as far as it can be read: the past may break today's schema, and a pull request any."""
    found = documents.read(folder)
    broken = {
        (kind, name) for kind in documents.KINDS for name, d in found.by_kind[kind].items() if not d.valid
    }
    broken |= {
        ("edges", name) for name, files in found.edges.items() if any(not d.valid for d in files.values())
    }
    evidence = {f"{e.cluster}/{e.name}": str(e.value["status"]) for e in found.evidence}
    return Revision(build.matrix(found), evidence, frozenset(broken))
