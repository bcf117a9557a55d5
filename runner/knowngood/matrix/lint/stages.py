"""Rules about the fleet's stages."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule


def _named(context: Context) -> Iterator[tuple[Document, int, int, str, str]]:
    """Each cluster that a stage names: the file, its two indexes, the stage and the cluster."""
    document = context.documents.fleet
    if document is None or not document.valid:
        return
    for number, stage in enumerate(document.value["stages"]):
        for index, name in enumerate(stage["clusters"]):
            yield document, number, index, stage["name"], name


@rule("KG430", "A stage names clusters that have a file.")
def stages_name_clusters(context: Context) -> Iterator[Finding]:
    """What has no file can't be moved, and nobody would miss it."""
    known = context.documents.names("clusters")
    for document, number, index, _, name in _named(context):
        if name not in known:
            where = document.at("stages", number, "clusters", index)
            yield Finding(where, f"there is no cluster {name!r}", known_are(known, name))


@rule("KG431", "A cluster is in one stage, and stages have different names.")
def clusters_are_in_one_stage(context: Context) -> Iterator[Finding]:
    """It would be proven before its turn, or wait for itself."""
    seen: dict[str, str] = {}
    for file, number, index, stage, name in _named(context):
        if name in seen:
            where = file.at("stages", number, "clusters", index)
            yield Finding(where, f"{name} is in {seen[name]} and in {stage}", "keep one")
        seen.setdefault(name, stage)
    document = context.documents.fleet
    if document is None or not document.valid:
        return
    names: set[str] = set()
    for number, one in enumerate(document.value["stages"]):
        if one["name"] in names:
            yield Finding(
                document.at("stages", number, "name"), f"two stages are {one['name']}", "rename one"
            )
        names.add(one["name"])


@rule("KG432", "Every cluster is in a stage, where there are stages.", severity="warning")
def clusters_are_in_a_stage(context: Context) -> Iterator[Finding]:
    """One that is in none stays behind when the fleet moves."""
    document = context.documents.fleet
    if document is None or not document.valid:
        return
    staged = {name for *_, name in _named(context)}
    for name in sorted(context.documents.names("clusters") - staged):
        yield Finding(document.at("stages"), f"{name} is in no stage", "add it to one, or move it by itself")
