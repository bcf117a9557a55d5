"""`knowngood refresh`: upstream's data again, as a difference that a person reviews."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from knowngood.adapters.upstream import graph_data, olm_catalog
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.options import Settings, debug_option, matrix_option
from knowngood.cli.terminal import say
from knowngood.matrix import build, documents, refresh
from knowngood.matrix.documents import Document
from knowngood.matrix.reading import display, read_text
from knowngood.model.errors import DataError, UsageError
from knowngood.model.graph import Edges
from knowngood.model.text import Page, page


@click.command("refresh")
@click.option("--component", metavar="NAME", required=True, help="Whose edges.")
@click.option(
    "--from",
    "source",
    metavar="PATH",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="A checkout, a mirrored copy of one, or a catalog file.",
)
@click.option("--openshift", metavar="MINOR", default="", help="Only this minor's catalog.")
@click.option("--write", is_flag=True, help="Write the files; without, only the difference is shown.")
@matrix_option
@debug_option
@click.pass_obj
def command(settings: Settings, component: str, source: Path, openshift: str, write: bool) -> int:
    """Read a component's edges from upstream's data again, as a difference to review.

    For openshift PATH holds the graph-data repository's channels/ and blocked-edges/; who may update to a version is
    not in it and stays. For an operator PATH is a checkout with catalogs/v4.18/<package>/catalog.yaml, or one
    file-based catalog with --openshift. What people wrote (gist, gpu, notes, steps) is kept, and nothing is deleted.

    \b
    Examples:
      knowngood refresh --component openshift --from ../cincinnati-graph-data
      knowngood refresh --component gpu-operator --from ../certified-operators --write
      knowngood refresh --component gpu-operator --from catalog.json --openshift 4.18

    \b
    Exit codes: 0 nothing differs, or it is written, 1 there is a difference, 2 a file is wrong or missing
    """
    folder = matrix_folder(settings)
    found = documents.read(folder)
    matrix = build.matrix(found)
    if component not in matrix.edges or not (files := found.edges.get(component)):
        known = ", ".join(sorted(matrix.edges))
        raise UsageError(
            f"no edges of {component!r} are kept here", where=str(folder), hint=f"known: {known}"
        )
    _sound(found, files)
    place = folder / "edges" / component
    current = {f"{name}.yaml": read_text(place / f"{name}.yaml") for name in files}
    edges = matrix.edges[component]
    if edges.graph:
        oldest = min(refresh.minor_of_channel(name) for name in edges.channels)
        made = refresh.openshift(files, edges, graph_data.read(source, oldest), current)
    else:
        made = _operator(files, edges, matrix.components[component].scheme, source, openshift)
    for note in made.notes:
        say(note, err=True)
    changed = {path: text for path, text in sorted(made.files.items()) if text != current.get(path, "")}
    for path, text in changed.items():
        say(_difference(display(place / path), current.get(path, ""), text))
        if write:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text, encoding="utf-8")
    say(f"{len(changed)} files {'written' if write else 'differ'}", err=True)
    return int(bool(changed) and not write)


def _sound(found: documents.Documents, files: dict[str, Document]) -> None:
    """Refuse to rewrite files that are broken: what they lose in reading would be lost for good."""
    ours = {document.file for document in files.values()}
    problems = [p for p in found.problems if p.where.file in ours]
    faults = [f for f in found.edge_faults if f.where.file in ours]
    if problems:
        raise DataError(tuple(problems))
    if faults:
        raise UsageError(faults[0].message, where=faults[0].where, hint="knowngood validate lists all")


def _operator(
    files: dict[str, Document], edges: Edges, scheme: str, source: Path, openshift: str
) -> refresh.Refreshed:
    if "olm" not in files:
        raise UsageError(
            f"{edges.component} has no catalogs here",
            hint="write its olm.yaml with `package` and one bundle first; releases are added by hand",
        )
    fresh = olm_catalog.checkout(source, edges.package, openshift)
    return refresh.operator(files, edges, scheme, fresh)


def _difference(path: str, before: str, after: str) -> Page:
    old = path if before else "/dev/null"
    return page(difflib.unified_diff(before.split("\n"), after.split("\n"), old, path, lineterm=""))
