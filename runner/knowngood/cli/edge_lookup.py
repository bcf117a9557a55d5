"""Finding a component's edges and a version in them, with an error that helps where they are not known."""

from __future__ import annotations

import difflib

from knowngood.cli.matrix_source import Source, pick
from knowngood.model.errors import UsageError
from knowngood.model.graph import Edges
from knowngood.model.matrix import Component
from knowngood.planner.spelling import plain


def edges_of(source: Source, name: str) -> tuple[Component, Edges]:
    """The component and what is known of its versions; UsageError names the near ones."""
    component = pick(source.matrix.components, name, "component", source.folder / "components")
    edges = source.matrix.edges.get(name)
    if edges is None or not edges.versions:
        known = [n for n, e in source.matrix.edges.items() if e.versions]
        raise UsageError(
            f"no version of {name} is known",
            where=str(source.folder / "edges"),
            hint=f"versions are known of {', '.join(sorted(known)) or 'no component'}",
        )
    return component, edges


def known_version(component: Component, edges: Edges, text: str) -> str:
    """The version that is meant; UsageError that names the near ones."""
    version = plain(component.scheme, text)
    if version in edges.versions:
        return version
    near = difflib.get_close_matches(version, edges.versions, n=4, cutoff=0.5)
    newest = list(edges.versions)[-1]
    raise UsageError(
        f"no version {version!r} of {edges.component} is known",
        hint=f"near it: {', '.join(near)}" if near else f"the newest known is {newest}",
    )
