"""Which files a kustomization reads, and who else reads a file: followed through the repository. Reads only.

It only finds whom to ask: what a change makes of each is shown by rendering it. A kustomization that can't be read
counts as one that reads every file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from knowngood.model.errors import Inconclusive
from knowngood.model.gitops import Application, folder_of

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
LFS = "version https://git-lfs"
LFS_SAID = "a pointer of Git LFS, not the file: keep manifests out of LFS, or no change of them is one line"
_MAX_BYTES = 1024 * 1024
_NAMES_FILES = ("resources", "components", "bases", "crds", "configurations", "transformers", "generators")
_PATCHES = ("patches", "patchesJson6902")
_GENERATORS = ("configMapGenerator", "secretGenerator")


class _Unread(Exception):
    """Why a file can't be followed."""


class Repository:
    """The kustomizations of a work tree, as they are now."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree.resolve()
        self._read: dict[str, tuple[frozenset[str], bool]] = {}
        self._naming: dict[Path, tuple[str, ...] | None] = {}

    def read_by(self, folder: str) -> frozenset[str]:
        """The files that a kustomization in a folder reads, with its own and its bases'; none without one."""
        return self._read[folder][0] if folder in self._read else self._followed(folder)[0]

    def is_known(self, folder: str) -> bool:
        """Whether `read_by` names all: each kustomization on the way can be read."""
        return self._read[folder][1] if folder in self._read else self._followed(folder)[1]

    def _followed(self, folder: str) -> tuple[frozenset[str], bool]:
        seen: set[Path] = set()
        known = True
        todo = [(self._tree / folder).resolve()]
        while todo:
            path = todo.pop()
            own = kustomization_of(path) if path.is_dir() else path
            if own is None or own in seen or not own.is_relative_to(self._tree) or not own.is_file():
                continue
            seen.add(own)
            if own.name in KUSTOMIZATION and own.parent == path:
                if own not in self._naming:  # a base is read by many
                    self._naming[own] = _named_in(own)
                named = self._naming[own]
                known = known and named is not None
                todo += [(path / name).resolve() for name in named or ()]
        self._read[folder] = frozenset(str(path.relative_to(self._tree)) for path in seen), known
        return self._read[folder]

    def strangers(self, files: Iterable[str], known: Iterable[Application]) -> tuple[Application, ...]:
        """Overlays that read these files and belong to no known Application; one that another overlay reads is none."""
        wanted, folders = frozenset(files), {a.path.strip("/") or "." for a in known}
        reading = self._reading if wanted else {}
        below = self._below if wanted else frozenset()
        found = []
        for folder, read in reading.items():
            is_base = any(str(Path(folder) / name) in below for name in KUSTOMIZATION)
            reads = wanted & read or not self.is_known(folder)
            if reads and folder not in folders and (not is_base or folder in self._applications):
                name = self._applications.get(folder, f"of {folder}, which no cluster file names,")
                found.append(Application(name, "", folder))
        return tuple(found)

    def giving(self, wanted: Collection[str], applications: Iterable[Application]) -> Iterator[Application]:
        """Applications beside the known ones whose charts are given one of these files as values.

        Inconclusive where a manifest that mentions one can't be read, or its chart is not here.
        """
        known, files = {(a.name, a.path.strip("/")) for a in applications}, sorted(wanted)
        for manifest in (m for f in files for m in manifests(self._tree, "Application", Path(f).name)):
            name = str((manifest.get("metadata") or {}).get("name") or "")
            for source in _sources(manifest):
                path = folder_of(source)
                given = self._values(source, path)
                if (name, path) in known or given.isdisjoint(files):
                    continue
                if not path:
                    which = ", ".join(sorted(given.intersection(files)))
                    what = f"Application {name} gives a chart from elsewhere {which}, too"
                    hint = "what becomes of it can't be rendered: declare the value in a file of one Application alone"
                    raise Inconclusive(what, hint=hint)
                yield Application(name, "", path)

    def _values(self, source: dict[str, Any], path: str) -> frozenset[str]:
        """The values files that a source names, by their paths in the repository."""
        helm = source.get("helm")
        named = _list(helm, "valueFiles") if isinstance(helm, dict) else []
        found = set()
        for name in (n for n in named if isinstance(n, str) and n and "\0" not in n):
            rooted = name.startswith(("/", "$"))
            where = name.partition("/")[2] if rooted else f"{path}/{name}"
            file = (self._tree / where.strip("/")).resolve()
            if file.is_relative_to(self._tree):
                found.add(str(file.relative_to(self._tree)))
        return frozenset(found)

    @cached_property
    def _reading(self) -> dict[str, frozenset[str]]:
        return {folder: self.read_by(folder) for folder in self._folders}

    @cached_property
    def _below(self) -> frozenset[str]:
        """What some overlay reads beside its own folder."""
        return frozenset(f for folder, read in self._reading.items() for f in read if _parent(f) != folder)

    @cached_property
    def _folders(self) -> list[str]:
        """Each folder with a kustomization."""
        found = []
        for where, folders, files in os.walk(self._tree):
            folders[:] = sorted(f for f in folders if f != ".git")
            if any(name in files for name in KUSTOMIZATION):
                found.append(str(Path(where).relative_to(self._tree)))
        return found

    @cached_property
    def _applications(self) -> dict[str, str]:
        """Path -> name of the Applications whose manifests lie here."""
        found = {}
        for manifest in manifests(self._tree, "Application"):
            for source in _sources(manifest):
                if path := folder_of(source):
                    found[path] = str((manifest.get("metadata") or {}).get("name") or "")
        return found


def _sources(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = manifest.get("spec")
    if isinstance(spec, dict):
        yield from (s for s in (spec.get("source"), *_list(spec, "sources")) if isinstance(s, dict))


def manifests(tree: Path, kind: str, mentioning: str = "") -> Iterator[Any]:
    """The objects of a kind in the YAML files of a work tree.

    Inconclusive where one that mentions that text can't be read; without a text, what can't be read is none.
    """
    for where, folders, files in os.walk(tree):
        folders[:] = sorted(f for f in folders if f != ".git")
        for name in sorted(f for f in files if f.endswith((".yaml", ".yml", ".json"))):
            file = Path(where) / name
            try:
                found = _documents(file, kind)
            except _Unread as error:
                text = _text(file) if mentioning and not file.is_symlink() else ""
                if kind in text and mentioning in text:
                    what = f"it may hold an {kind} that reads {mentioning}, and can't be read: {error}"
                    hint = "write it as plain YAML without aliases, below 1 MiB"
                    raise Inconclusive(what, where=str(file.relative_to(tree)), hint=hint) from error
                continue
            yield from (d for d in found if isinstance(d, dict) and d.get("kind") == kind)


def _documents(file: Path, word: str) -> list[Any]:
    """The documents of a file, none where it lacks the word."""
    try:
        if file.is_symlink() or file.stat().st_size > _MAX_BYTES:
            raise _Unread("a link, or larger than 1 MiB")
        text = file.read_text("utf-8")
        if word not in text:
            return []
        # An alias may stand for a key that is merged, and in a large file it is a bomb; kustomize judges it.
        if "*" in text and any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, Loader=_Loader)):
            raise _Unread("it has aliases")
        return [d for d in yaml.load_all(text, Loader=_Loader) if d]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise _Unread(str(error).partition("\n")[0]) from error


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _named_in(file: Path) -> tuple[str, ...] | None:
    """What a kustomization names; None where it can't be read."""
    try:
        return tuple(_named(file))
    except _Unread:
        return None


def _named(file: Path) -> Iterator[str]:
    """The paths that a kustomization names; what is no file of ours (a URL, inline text) leads nowhere."""
    for kustomization in _kustomizations(file):
        texts = [t for key in _NAMES_FILES for t in _list(kustomization, key)]
        texts += patches_of(kustomization)
        texts += [e.get("path") for e in _entries(kustomization, "replacements")]
        for one in (e for key in _GENERATORS for e in _entries(kustomization, key)):
            texts += [str(t).rpartition("=")[2] for t in (*_list(one, "files"), *_list(one, "envs"))]
        for one in _entries(kustomization, "helmCharts"):
            texts += [one.get("valuesFile"), *_list(one, "additionalValuesFiles")]
        yield from filter(_is_path, texts)


def _kustomizations(file: Path) -> Iterator[dict[str, Any]]:
    for kustomization in _documents(file, ""):
        if not isinstance(kustomization, dict):
            raise _Unread("no mapping")
        yield kustomization


def kustomization_of(folder: Path) -> Path | None:
    """The kustomization in a folder."""
    return next((folder / name for name in KUSTOMIZATION if (folder / name).is_file()), None)


def kustomization_in(file: Path) -> dict[str, Any]:
    """What a kustomization says; nothing where it can't be read."""
    try:
        return next(_kustomizations(file), {})
    except _Unread:
        return {}


def patches_of(kustomization: dict[str, Any]) -> Iterator[str]:
    """The files of a kustomization's patches."""
    texts = [e.get("path") for key in _PATCHES for e in _entries(kustomization, key)]
    yield from filter(_is_path, (*texts, *_list(kustomization, "patchesStrategicMerge")))


def resources_of(kustomization: dict[str, Any], *keys: str) -> Iterator[str]:
    """The files and folders that a kustomization names under these keys."""
    yield from filter(_is_path, (t for key in keys for t in _list(kustomization, key)))


def _is_path(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) < 512 and "\n" not in text and "\0" not in text


def _entries(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [e for e in _list(value, key) if isinstance(e, dict)]


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _parent(file: str) -> str:
    return str(Path(file).parent)
