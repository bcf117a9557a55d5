"""Rules about the graphs: what `matrix.edges` found while it put the files of a component together."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.lint.registry import Context, Finding, rule

_SUBJECTS = {
    "version": ("M301", "A version in `edges/` fits its component's version scheme."),
    "twice": ("M302", "A version, a catalog and a risk's target stand once."),
    "span": ("M303", "A span in `edges/` begins and ends with known versions, and each name is one."),
    "name": ("M304", "A note, a changed bundle and a declaration speak about a version that is there."),
    "expression": ("M305", "A risk's expression is simple enough to be matched at once."),
    "range": ("M306", "A skipRange and a branch's range can be read."),
    "default": ("M307", "A catalog's default channel is one of its channels."),
}


@rule("M300", "A folder in `edges/` is named after a component.")
def component_exists(context: Context) -> Iterator[Finding]:
    """The version scheme comes from the component; without one nothing can be compared."""
    known = context.documents.names("components")
    for name, files in context.documents.edges.items():
        if name not in known and files:
            where = next(iter(files.values())).where
            yield Finding(where, f"there is no component {name!r}", f"add components/{name}.yaml")


def _register(subject: str, number: str, title: str) -> None:
    @rule(number, title)
    def find(context: Context) -> Iterator[Finding]:
        for fault in context.documents.edge_faults:
            if fault.subject == subject:
                yield Finding(fault.where, fault.message, fault.hint)


for _subject, (_number, _title) in _SUBJECTS.items():
    _register(_subject, _number, _title)


@rule("M308", "Somebody has judged what a risk means for a GPU cluster.", severity="warning")
def risks_are_judged(context: Context) -> Iterator[Finding]:
    """A refresh brings new risks as they are; the gist and the judgement are ours."""
    for files in context.documents.edges.values():
        for name, document in files.items():
            if document.valid and name.startswith("risks/") and document.value["gpu"] == "unknown":
                hint = "read its url, then write gist and gpu"
                yield Finding(document.at("gpu"), f"{document.name} is not judged yet", hint)
