"""Rules about files, components and rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowngood.matrix.documents import KINDS, display
from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.model.errors import Location
from knowngood.planner.ranges import parse_range

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@rule("M001", "Only NAME.yaml files lie in the data folders.")
def only_yaml(context: Context) -> Iterator[Finding]:
    """A file of another kind would be ignored in silence."""
    for path in context.documents.strangers:
        yield Finding(
            Location(display(path)), "only NAME.yaml files belong here", "rename it or move it away"
        )


@rule("M002", "A file's name is its key: lower case letters, digits, dots and hyphens.")
def file_name_is_key(context: Context) -> Iterator[Finding]:
    """Names become node labels, folders and commit trailers."""
    for kind in KINDS:
        for name, document in context.documents.by_kind[kind].items():
            if not _NAME.fullmatch(name):
                yield Finding(
                    document.where, f"{name!r} can't be the name of a {KINDS[kind]}", "rename the file"
                )


@rule("M003", "A compatibility rule names only known components.")
def rule_components_exist(context: Context) -> Iterator[Finding]:
    """A rule about an unknown component would never match."""
    known = context.documents.names("components")
    for document in context.documents.of("rules").values():
        for part in ("when", "require"):
            for name in document.value[part]:
                if name not in known:
                    yield Finding(
                        document.at_key(part, name),
                        f"there is no component {name!r}",
                        f"known are {', '.join(sorted(known))}",
                    )


@rule("M004", "A compatibility rule's ranges can be read by the component's version scheme.")
def ranges_are_readable(context: Context) -> Iterator[Finding]:
    """A range that can't be read can't be judged."""
    for document in context.documents.of("rules").values():
        for part in ("when", "require"):
            for name, text in document.value[part].items():
                component = context.matrix.components.get(name)
                if component is None:
                    continue
                try:
                    parse_range(component.scheme, text)
                except ValueError as error:
                    yield Finding(document.at(part, name), str(error), "see docs/matrix.md, ranges")


@rule("M005", "An evidence file speaks about the release and the cluster that its path names.")
def evidence_is_where_it_says(context: Context) -> Iterator[Finding]:
    """Evidence that was moved by hand proves nothing."""
    for evidence in context.documents.evidence:
        value = evidence.value
        expected = f"{value['release']}-{value['run']}"
        if (evidence.cluster, evidence.name) != (value["cluster"], expected):
            yield Finding(
                Location(evidence.file),
                f"it speaks about {value['release']} on {value['cluster']}, run {value['run']}",
                f"its place is evidence/{value['cluster']}/{expected}.json",
            )
        for kind, name in (("releases", value["release"]), ("clusters", value["cluster"])):
            if name not in context.documents.names(kind):
                yield Finding(
                    Location(evidence.file), f"there is no {KINDS[kind]} {name!r}", "never delete a release"
                )


@rule("M006", "A matrix has components, releases and profiles.")
def matrix_is_there(context: Context) -> Iterator[Finding]:
    """An empty folder is a wrong `--matrix`, not an empty matrix."""
    for kind in ("components", "releases", "profiles"):
        if not context.documents.by_kind[kind]:
            where = Location(display(context.documents.root / kind))
            yield Finding(where, f"there are no {kind}", "is --matrix the folder that holds them?")
