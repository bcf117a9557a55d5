"""Rules about the files in `edges/`: what `matrix.edges` found while it put a component's files together."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.lint.registry import Context, Finding, rule


@rule("KG120", "A folder in `edges/` is named after a component.")
def component_exists(context: Context) -> Iterator[Finding]:
    """The version scheme comes from the component; without one nothing can be compared."""
    known = context.documents.names("components")
    for name, files in context.documents.edges.items():
        if name not in known and files:
            where = next(iter(files.values())).where
            yield Finding(where, f"there is no component {name!r}", f"add components/{name}.yaml")


@rule("KG121", "A version in `edges/` fits its component's version scheme.")
def versions_fit_the_scheme(context: Context) -> Iterator[Finding]:
    """A version that can't be read can't be moved to."""
    return _of(context, "version")


@rule("KG122", "A version, a catalog and a risk's target stand once.")
def nothing_stands_twice(context: Context) -> Iterator[Finding]:
    """Of two that differ nobody would know which one counts."""
    return _of(context, "twice")


@rule("KG123", "A span in `edges/` begins and ends with known versions, and each name is one.")
def spans_are_known(context: Context) -> Iterator[Finding]:
    """A slip of the pen must not open or close an update."""
    return _of(context, "span")


@rule("KG124", "A note, a changed bundle and a declaration speak about a version that is there.")
def names_are_there(context: Context) -> Iterator[Finding]:
    """Else it would be dropped in silence."""
    return _of(context, "name")


@rule("KG125", "A risk's expression is simple enough to be matched at once.")
def expressions_are_simple(context: Context) -> Iterator[Finding]:
    """They come from other people, and some expressions take a matcher for ever."""
    return _of(context, "expression")


@rule("KG126", "A skipRange and a branch's range can be read.")
def ranges_of_graphs_are_readable(context: Context) -> Iterator[Finding]:
    """OLM would read it otherwise than we do."""
    return _of(context, "range")


@rule("KG127", "A catalog's default channel is one of its channels.")
def default_channel_exists(context: Context) -> Iterator[Finding]:
    """A Subscription without a channel follows it."""
    return _of(context, "default")


@rule("KG128", "Somebody has judged what a risk means for a GPU cluster.", severity="warning")
def risks_are_judged(context: Context) -> Iterator[Finding]:
    """A refresh brings new risks as they are; the gist and the judgement are ours."""
    for files in context.documents.edges.values():
        for name, document in files.items():
            if document.valid and name.startswith("risks/") and document.value["gpu"] == "unknown":
                hint = "read its url, then write gist and gpu"
                yield Finding(document.at("gpu"), f"{document.name} is not judged yet", hint)


def _of(context: Context, subject: str) -> Iterator[Finding]:
    for fault in context.documents.edge_faults:
        if fault.subject == subject:
            yield Finding(fault.where, fault.message, fault.hint)
