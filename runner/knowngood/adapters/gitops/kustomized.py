"""What the kustomizations of a checkout make of its objects: other names, values from elsewhere, all that is rendered.

Reads only. What kustomize makes is asked of kustomize.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from posixpath import basename, dirname, join, normpath

from knowngood.adapters.gitops.following import KUSTOMIZATION
from knowngood.adapters.gitops.renaming import affixes
from knowngood.adapters.gitops.render import FolderRenderer, Renderer
from knowngood.matrix import yaml_text
from knowngood.matrix.places import said, targets
from knowngood.matrix.yaml_text import Node, Sequence
from knowngood.model.errors import Inconclusive
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application
from knowngood.planner.discover.seen import Kustomized, Replacement

Documents = Mapping[str, tuple[Node, ...]]
"""File -> what it holds."""


def kustomized(
    tree: Path,
    documents: Documents,
    objects: Iterable[ObjectRef],
    *,
    reads: Mapping[str, frozenset[str]],
    declaring: Iterable[str],
    renderer: Renderer | None = None,
) -> Kustomized:
    """`reads`: folders of Applications with a kustomization, and their files; `declaring`: those that are rendered."""
    made: dict[str, Mapping[tuple[str, str], Mapping[str, str]]] = {}
    unmade: dict[str, str] = {}
    for folder in declaring:
        try:
            rendered = (renderer or FolderRenderer()).render(tree, Application("", "", folder))
        except Inconclusive as error:
            unmade[folder] = _why(error, documents)
        else:
            made[folder] = {(kind, name): fields for (_, kind, _, name), fields in rendered.items()}
    naming = {f for f, one in _kustomizations(documents) if one.get("namePrefix") or one.get("nameSuffix")}
    return Kustomized(
        {folder: affixes(tree, folder) for folder, files in reads.items() if not naming.isdisjoint(files)},
        tuple(_replacements(documents, tuple(objects))),
        made,
        unmade,
        dict(_generated(documents)),
    )


def _why(error: Inconclusive, documents: Documents) -> str:
    """Where and why, with the line of a chart that kustomize would inflate."""
    lines = [f"{file}:{line}" for file, line in _lines(documents, "helmCharts")]
    where = lines[0] if "helmCharts" in error.hint and lines else error.where
    return f"{where}: {error.message}; {error.hint}" if error.hint else f"{where}: {error.message}"


def _kustomizations(documents: Documents) -> Iterator[tuple[str, yaml_text.Mapping]]:
    for file, several in documents.items():
        if basename(file) in KUSTOMIZATION:
            yield from ((file, one) for one in several if isinstance(one, yaml_text.Mapping))


def _lines(documents: Documents, key: str) -> Iterator[tuple[str, int]]:
    for file, one in _kustomizations(documents):
        if entry := one.entry(key):
            yield file, entry[0].span.line


def _generated(documents: Documents) -> Iterator[tuple[str, Mapping[str, str]]]:
    for file, one in _kustomizations(documents):
        for generator in _items(one.get("configMapGenerator")):
            literals = _texts(generator.get("literals")) if isinstance(generator, yaml_text.Mapping) else ()
            pairs = (text.partition("=")[::2] for text in literals)
            yield f"{file}:{generator.span.line}", {key: text.strip("'\"") for key, text in pairs}


def _replacements(documents: Documents, objects: tuple[ObjectRef, ...]) -> Iterator[Replacement]:
    for file, one in _kustomizations(documents):
        for entry in _items(one.get("replacements")):
            path = said(entry, "path")
            where = normpath(join(dirname(file), path)) if path else file
            for node in _flat(documents.get(where, ())) if path else (entry,):
                yield from _replacement(node, file, f"{where}:{node.span.line}", objects)


def _flat(documents: Iterable[Node]) -> Iterator[Node]:
    for one in documents:
        yield from one.items if isinstance(one, Sequence) else (one,)


def _replacement(node: Node, file: str, at: str, objects: tuple[ObjectRef, ...]) -> Iterator[Replacement]:
    source = node.get("source") if isinstance(node, yaml_text.Mapping) else None
    if not isinstance(node, yaml_text.Mapping) or not isinstance(source, yaml_text.Mapping):
        return
    of = said(source, "kind"), said(source, "name"), said(source, "fieldPath") or "metadata.name"
    for target in _items(node.get("targets")):
        select = target.get("select") if isinstance(target, yaml_text.Mapping) else None
        if not isinstance(target, yaml_text.Mapping) or select is None:
            continue
        whole = not any(_said_delimiter(one) for one in (source, target))
        meant = {(o.kind, o.name) for o in objects if targets(select, o)}
        for path in _texts(target.get("fieldPaths")):
            yield from (Replacement(at, file, kind, name, path, of, whole) for kind, name in sorted(meant))


def _said_delimiter(one: Node) -> bool:
    return bool(said(one, "options", "delimiter"))


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, Sequence) else ()


def _texts(node: Node | None) -> tuple[str, ...]:
    return tuple(one.text for one in _items(node) if isinstance(one, yaml_text.Scalar))
