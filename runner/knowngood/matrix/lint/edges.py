"""Rules about the edges: published versions, catalogs, vendor steps and risks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.matrix.reading import display
from knowngood.model.errors import Location
from knowngood.model.graph import Catalog, Edges
from knowngood.model.matrix import Component
from knowngood.planner.ranges import parse_range
from knowngood.planner.version import key


@rule("KG111", "Edges belong to a known component, and their versions fit its version scheme.")
def edges_have_versions(context: Context) -> Iterator[Finding]:
    """A version that can't be read can't be moved to."""
    for name, edges in context.matrix.edges.items():
        component = context.matrix.components.get(name)
        if component is None:
            known = f"add components/{name}.yaml, or rename the folder"
            yield Finding(_folder(context, name), f"there is no component {name!r}", known)
            continue
        for version in edges.versions:
            if problem := _unreadable(component, version):
                yield Finding(_folder(context, name), f"{name}: {problem}", "name one exact version")


@rule("KG112", "An update graph has no circle, and leads only between known versions.")
def graphs_go_forward(context: Context) -> Iterator[Finding]:
    """A path through a circle never ends."""
    for name, edges in context.matrix.edges.items():
        for version, known in edges.versions.items():
            for before in sorted(known.previous - edges.versions.keys()):
                message = f"{name} {version} follows {before}, which is no known version"
                yield Finding(_folder(context, name), message, f"add {before}, or take the edge away")
        for version in _in_circles({v: known.previous for v, known in edges.versions.items()}):
            yield Finding(
                _folder(context, name), f"{name} {version} follows itself in a circle", "cut the circle"
            )


@rule("KG113", "A catalog's channels can be followed: ranges are readable, `replaces` makes no circle.")
def catalogs_can_be_followed(context: Context) -> Iterator[Finding]:
    """OLM walks them from bundle to bundle, and so does the planner."""
    for name, edges in context.matrix.edges.items():
        component = context.matrix.components.get(name)
        for catalog in edges.catalogs.values() if component else ():
            if catalog.default_channel not in catalog.channels:
                message = f"the default channel {catalog.default_channel!r} is not there"
                yield Finding(catalog.where, message, f"known are {', '.join(catalog.channels) or 'none'}")
            if component:
                yield from _channels(catalog, component)


@rule("KG114", "A risk's expressions can be read, and are declared for versions that it targets.")
def risks_can_be_matched(context: Context) -> Iterator[Finding]:
    """A risk that matches nothing warns nobody."""
    for edges in context.matrix.edges.values():
        for risk in edges.risks.values():
            for version, expression in risk.targets.items():
                try:
                    re.compile(expression)
                except re.error as error:
                    yield Finding(risk.where, f"{risk.name}: {version}: {error}", "mend the expression")
            for version in sorted(risk.declared.keys() - risk.targets.keys()):
                message = f"{risk.name} is declared for {version}, which it does not target"
                yield Finding(risk.where, message, "add the target, or take the day away")


@rule(
    "KG211", "A release names versions that were published, where all of them are known.", severity="warning"
)
def versions_were_published(context: Context) -> Iterator[Finding]:
    """Nobody can move to a version that is not there."""
    graphs = {name: edges for name, edges in context.matrix.edges.items() if _complete(edges)}
    for document in context.documents.of("releases").values():
        for name, version in document.value["components"].items():
            if name in graphs and version not in graphs[name].versions:
                near = f"see edges/{name}; if it is new, import it with `knowngood refresh`"
                yield Finding(
                    document.at("components", name), f"{name} {version} is not in its update graph", near
                )


def _complete(edges: Edges) -> bool:
    return edges.graph and bool(edges.versions)


def _channels(catalog: Catalog, component: Component) -> Iterator[Finding]:
    for channel, bundles in catalog.channels.items():
        for bundle in bundles:
            problem = _unreadable(component, bundle.version)
            if bundle.skip_range and not problem:
                try:
                    parse_range(component.scheme, bundle.skip_range)
                except ValueError as error:
                    problem = str(error)
            if problem:
                yield Finding(catalog.where, f"{channel}: {bundle.version}: {problem}", "mend the entry")
        for version in _in_circles({b.version: frozenset({b.replaces} - {""}) for b in bundles}):
            yield Finding(
                catalog.where, f"{channel}: {version} replaces itself in a circle", "cut the circle"
            )


def _in_circles(before: Mapping[str, frozenset[str]]) -> list[str]:
    """The versions that can be reached from themselves. What can be taken away from either end is in no circle."""
    left = {version: set(known & before.keys()) for version, known in before.items()}
    for _ in range(2):
        free = [version for version, known in left.items() if not known]
        after: dict[str, set[str]] = {version: set() for version in left}
        for version, known in left.items():
            for each in known:
                after[each].add(version)
        while free:
            gone = free.pop()
            del left[gone]
            for version in after[gone]:
                left[version].discard(gone)
                if not left[version]:
                    free.append(version)
        left = {version: {v for v in after[version] if v in left} for version in left}
    return sorted(left)


def _unreadable(component: Component, version: str) -> str:
    try:
        key(component.scheme, version)
    except ValueError as error:
        return str(error)
    return ""


def _folder(context: Context, name: str) -> Location:
    """Versions carry no line of their own."""
    return Location(display(context.documents.root / "edges" / name), 1, 1)
