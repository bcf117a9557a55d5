"""Rules about files and compatibility rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowngood.matrix.documents import KINDS
from knowngood.matrix.lint.registry import Context, Finding, rule, while_reading
from knowngood.matrix.reading import display
from knowngood.model.errors import Location
from knowngood.planner.ranges import parse_range

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


while_reading(
    "KG001",
    "A data file is a plain UTF-8 file inside the matrix, and one YAML document of bounded size and depth.",
    "No anchors, aliases, tags or doubled keys: what a person reads is what the program reads.",
)
while_reading(
    "KG002",
    "A data file has the keys and the kinds of values that its schema in matrix/schema names.",
    "An unknown key is a typing error that would be ignored in silence.",
)


@rule("KG003", "Only data files lie in the data folders: NAME.yaml, and NAME.json as evidence.")
def only_yaml(context: Context) -> Iterator[Finding]:
    """A file of another kind would be ignored in silence."""
    for path in context.documents.strangers:
        yield Finding(
            Location(display(path), 1, 1), f"{path.name} is no data file", "rename it or move it away"
        )


@rule("KG004", "A file's name is its key: lower case letters, digits, dots and hyphens.")
def file_name_is_key(context: Context) -> Iterator[Finding]:
    """Names become node labels, folders and commit trailers."""
    for kind in KINDS:
        for name, document in context.documents.by_kind[kind].items():
            if not _NAME.fullmatch(name):
                yield Finding(
                    document.where, f"{name!r} can't be the name of a {KINDS[kind]}", "rename the file"
                )


@rule("KG101", "A compatibility rule names only known components.")
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


@rule("KG102", "A compatibility rule's ranges can be read by the component's version scheme.")
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


@rule("KG005", "A matrix has components, releases and profiles.")
def matrix_is_there(context: Context) -> Iterator[Finding]:
    """An empty folder is a wrong `--matrix`, not an empty matrix."""
    for kind in ("components", "releases", "profiles"):
        if not context.documents.by_kind[kind]:
            where = Location(display(context.documents.root / kind), 1, 1)
            yield Finding(where, f"there are no {kind}", "name the folder that holds them, or add one")
