"""Rules about the edges as a whole; `graphs` has those about their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.matrix.reading import display
from knowngood.model.errors import Location
from knowngood.model.graph import Edges
from knowngood.planner.version import key


@rule("KG129", "No version follows itself: neither an update graph nor a channel's `replaces` has a circle.")
def graphs_go_forward(context: Context) -> Iterator[Finding]:
    """A way through a circle never ends."""
    for name, edges in context.matrix.edges.items():
        for version in _in_circles({v: known.previous for v, known in edges.versions.items()}):
            yield Finding(
                _folder(context, name), f"{name} {version} follows itself in a circle", "cut the circle"
            )
        for catalog in edges.catalogs.values():
            for channel, bundles in catalog.channels.items():
                for version in _in_circles({b.version: frozenset({b.replaces} - {""}) for b in bundles}):
                    message = f"{catalog.openshift} {channel}: {version} replaces itself in a circle"
                    yield Finding(catalog.where, message, "cut the circle")


@rule("KG211", "A release names published versions, as far as its update graphs reach.", severity="warning")
def versions_were_published(context: Context) -> Iterator[Finding]:
    """Nobody can move to a version that is not there. What is newer than all that we know may be."""
    newest = {name: edges for name, edges in context.matrix.edges.items() if edges.graph and edges.versions}
    for document in context.documents.of("releases").values():
        for name, version in document.value["components"].items():
            if name in newest and _missing(context, newest[name], version):
                hint = f"see edges/{name}; if it was published, import it with `knowngood refresh`"
                where = document.at("components", name)
                yield Finding(where, f"{name} {version} is not in its update graph", hint)


def _missing(context: Context, edges: Edges, version: str) -> bool:
    """Whether the graph knows newer versions and not this one; one that can't be read is KG202's."""
    scheme = context.matrix.components[edges.component].scheme
    try:
        return version not in edges.versions and key(scheme, version) < key(scheme, list(edges.versions)[-1])
    except ValueError:
        return False


def _in_circles(before: Mapping[str, frozenset[str]]) -> list[str]:
    """The versions of the first circle that is found."""
    place = {version: number for number, version in enumerate(before)}  # the oldest first
    if all(place.get(earlier, -1) < place[version] for version, known in before.items() for earlier in known):
        return []  # each follows only older ones, as vendors' graphs do
    try:
        TopologicalSorter({version: known & before.keys() for version, known in before.items()}).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def _folder(context: Context, name: str) -> Location:
    """Versions carry no line of their own."""
    return Location(display(context.documents.root / "edges" / name), 1, 1)
