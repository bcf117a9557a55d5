"""The objects in the files of a checkout, each with its scalars, patches of them included, and who reads which file.

Reads only; what is no plain YAML is named.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from knowngood.adapters.gitops.charts import CHART
from knowngood.adapters.gitops.following import KUSTOMIZATION, LFS, LFS_SAID, Repository
from knowngood.adapters.gitops.kustomized import kustomized
from knowngood.matrix.places import said, targets
from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, parse_all
from knowngood.model.errors import DataError, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application
from knowngood.planner.discover.seen import VALUES, Checkout, File

MAX_BYTES = 1024 * 1024
SUFFIXES = (".yaml", ".yml", ".json")
DEPTH = 40


@dataclass(frozen=True, slots=True)
class _Document:
    file: str
    node: Node


def checkout_of(folder: Path, applications: Iterable[str], declaring: Iterable[str] = ()) -> Checkout:
    """What lies in a checkout; UsageError where it is no folder. `applications`: the folders that Argo CD reads.

    `declaring`: those of them whose kustomizations are rendered.
    """
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), hint="name a checkout with --gitops")
    documents: list[_Document] = []
    unread: dict[str, str] = {}
    for file in sorted(_manifests(folder)):
        where = str(file.relative_to(folder))
        try:
            there = file.lstat()
            if not stat.S_ISREG(there.st_mode) or there.st_size > MAX_BYTES:  # a pipe would never end
                unread[where] = "a link or another thing than a file, or larger than a manifest is"
                continue
            if sub := _submodule(folder, file):
                unread[where] = (
                    f"in the submodule {sub}, another repository: no run renders it or pushes to it"
                )
                continue
            text = file.read_bytes().decode("utf-8")
            if text.startswith(LFS):
                unread[where] = LFS_SAID
                continue
            documents += [_Document(where, one) for one in parse_all(text, where)]
        except UnicodeDecodeError:
            unread[where] = "not UTF-8"
        except OSError as error:
            unread[where] = str(error.strerror)
        except DataError as error:
            line = error.problems[0].where.line
            unread[f"{where}:{line}" if line else where] = error.message
    repository, own = Repository(folder), frozenset(applications)
    reads = {path: found for path in own if (found := repository.read_by(path))}
    by_file: dict[str, tuple[Node, ...]] = {}
    for one in documents:
        by_file[one.file] = (*by_file.get(one.file, ()), one.node)
    made = kustomized(folder, by_file, _refs(documents), reads=reads, declaring=reads.keys() & {*declaring})
    files = tuple(_files(documents))
    return Checkout(files, unread, reads, _others(repository, own, reads.values()), made)


def _manifests(folder: Path) -> Iterator[Path]:
    named = (p for p in folder.rglob("*") if p.suffix in SUFFIXES or p.name in KUSTOMIZATION)
    for path in named:
        above = [p for p in path.parents if p.name == "templates" and (p.parent / CHART).exists()]
        if ".git" not in path.relative_to(folder).parts and not path.is_dir() and not above:
            yield path


def _submodule(folder: Path, file: Path) -> str:
    """The folder of another repository that a file lies in, "" for none."""
    above = [p for p in file.parents if p != folder and p.is_relative_to(folder) and (p / ".git").exists()]
    return str(above[0].relative_to(folder)) if above else ""


def _others(
    repository: Repository, own: frozenset[str], read: Iterable[frozenset[str]]
) -> dict[str, tuple[str, ...]]:
    """File -> the overlays, no Application's here, that read it too."""
    known = [Application("", "", path) for path in own]
    found: dict[str, tuple[str, ...]] = {}
    for file in frozenset().union(*read):
        if others := repository.strangers([file], known):
            found[file] = tuple(sorted(a.path for a in others))
    return found


def _files(documents: list[_Document]) -> Iterator[File]:
    patches = {file for one in documents for file in _patch_files(one)}
    by_file: dict[str, list[_Document]] = {}
    for one in documents:
        by_file.setdefault(one.file, []).append(one)
        if listed := _listed(one):
            yield from listed
        elif said(one.node, "kind") and said(one.node, "metadata", "name"):
            yield _object(one, patch=one.file in patches)
        elif posixpath.basename(one.file) not in (CHART, *KUSTOMIZATION):
            yield File(one.file, VALUES, "", "", dict(_walk(one.node, "", 0)))
    objects = _refs(documents)
    for one in documents:
        for target, text_or_path in _targeted(one):
            yield from _patched(one.file, target, text_or_path, by_file, objects)


def _object(one: _Document, *, patch: bool) -> File:
    named = (
        said(one.node, "kind"),
        said(one.node, "metadata", "name"),
        said(one.node, "metadata", "namespace"),
    )
    texts = dict(_walk(one.node, "", 0))
    for path in [p for p in texts if named[0] == "Application" and p.endswith(".helm.values")]:
        texts.update(_in_text(texts[path], path))
    return File(one.file, *named, texts, patch)


def _listed(one: _Document) -> list[File]:
    """The objects of a List, each with where it is written in it."""
    items = one.node.get("items") if isinstance(one.node, Mapping) else None
    if not said(one.node, "kind").endswith("List") or not isinstance(items, Sequence):
        return []
    found = (
        (f"items.{n}", _object(_Document(one.file, item), patch=False)) for n, item in enumerate(items.items)
    )
    return [replace(f, written={path: f"{at}.{path}" for path in f.texts}) for at, f in found]


def _in_text(text: str, path: str) -> Iterator[tuple[str, str]]:
    """The values in text that is YAML itself; none where it is not."""
    try:
        found = parse_all(text, path)
    except DataError:
        return
    for one in found[:1]:
        yield from _walk(one, path, 0)


def _entries(one: _Document) -> Iterator[Node]:
    for key in ("patches", "patchesJson6902", "patchesStrategicMerge"):
        found = one.node.get(key) if isinstance(one.node, Mapping) else None
        yield from found.items if isinstance(found, Sequence) else ()


def _patch_files(one: _Document) -> Iterator[str]:
    for entry in _entries(one):
        path = entry.text if isinstance(entry, Scalar) else said(entry, "path")
        if path and "\n" not in path:
            yield _beside(one.file, path)


def _beside(file: str, path: str) -> str:
    return posixpath.normpath(str(PurePosixPath(file).parent / path))


def _targeted(one: _Document) -> Iterator[tuple[Node | None, str]]:
    """Each patch of a kustomization: whom it is for, and its text, or the file that it is in."""
    for entry in _entries(one):
        target = entry.get("target") if isinstance(entry, Mapping) else None
        text = entry.text if isinstance(entry, Scalar) else said(entry, "patch") or said(entry, "path")
        if text:
            yield target, text


def _refs(documents: Iterable[_Document]) -> frozenset[ObjectRef]:
    named = (
        (said(one.node, "apiVersion"), said(one.node, "kind"), said(one.node, "metadata", "name"))
        for one in documents
    )
    return frozenset(ObjectRef(*texts) for texts in named if texts[1] and texts[2])


def _patched(
    file: str,
    target: Node | None,
    text: str,
    by_file: dict[str, list[_Document]],
    objects: Set[ObjectRef],
) -> Iterator[File]:
    """The objects that a patch is of: by its own name, or all that its target names or means by a pattern."""
    inline = "\n" in text or text.lstrip().startswith(("[", "{"))
    if inline:
        try:
            found = [_Document(file, node) for node in parse_all(text, file)]
        except DataError:
            return
    else:
        found = by_file.get(_beside(file, text), [])
    for one in found:
        if target is not None:
            own = ("", "") if inline else (said(one.node, "kind"), said(one.node, "metadata", "name"))
            texts = dict(_operations(one.node) if isinstance(one.node, Sequence) else _walk(one.node, "", 0))
            meant = sorted(_meant(target, objects) - {own})
            shared = f"a patch of {len(meant)} objects, line {one.node.span.line}" if len(meant) > 1 else ""
            for kind, name in meant:
                yield File(one.file, kind, name, "", texts, patch=True, called=shared)
        elif inline and said(one.node, "kind") and said(one.node, "metadata", "name"):
            yield _object(one, patch=True)


def _meant(target: Node, objects: Set[ObjectRef]) -> frozenset[tuple[str, str]]:
    """Kind and name of what a target means; what it names need not lie in the checkout."""
    named = said(target, "kind"), said(target, "name")
    fitting = {(of.kind, of.name) for of in objects if targets(target, of)}
    return frozenset(fitting or {named})


def _operations(operations: Sequence) -> Iterator[tuple[str, str]]:
    """Dotted path -> text of what a JSON patch sets."""
    for one in operations.items:
        value = one.get("value") if isinstance(one, Mapping) else None
        if said(one, "op") in ("add", "replace") and value is not None:
            parts = [p.replace("~1", "/").replace("~0", "~") for p in said(one, "path").split("/")[1:]]
            yield from _walk(value, ".".join(parts), 0)


def _walk(node: Node | None, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(node, Scalar):
        yield path, node.text
    elif isinstance(node, Mapping) and depth < DEPTH:
        for key, value in node.entries:
            yield from _walk(value, f"{path}.{key.text}" if path else key.text, depth + 1)
    elif isinstance(node, Sequence) and depth < DEPTH:
        for index, value in enumerate(node.items):
            yield from _walk(value, f"{path}.{index}", depth + 1)
