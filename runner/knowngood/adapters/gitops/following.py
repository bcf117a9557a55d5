"""Which files a kustomization reads, and who else reads a file: followed through the repository. Reads only.

It only finds whom to ask: what a change makes of each is shown by rendering it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from knowngood.model.gitops import Application

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_BYTES = 1024 * 1024
_NAMES_FILES = ("resources", "components", "bases", "crds", "configurations", "transformers", "generators")
_IN_ENTRIES = ("patches", "patchesJson6902", "replacements")


class Repository:
    """The kustomizations of a work tree, as they are now."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree.resolve()
        self._naming: dict[Path, tuple[str, ...]] = {}

    def read_by(self, folder: str) -> frozenset[str]:
        """The files that a kustomization in a folder reads, with its own and its bases'; none without one."""
        seen: set[Path] = set()
        todo = [(self._tree / folder).resolve()]
        while todo:
            path = todo.pop()
            own = self._kustomization(path) if path.is_dir() else path
            if own is None or own in seen or not own.is_relative_to(self._tree) or not own.is_file():
                continue
            seen.add(own)
            if own.name in KUSTOMIZATION and own.parent == path:
                if own not in self._naming:  # a base is read by many
                    self._naming[own] = tuple(_named(_load(own)))
                todo += [(path / named).resolve() for named in self._naming[own]]
        return frozenset(str(path.relative_to(self._tree)) for path in seen)

    def strangers(self, files: Iterable[str], known: Iterable[Application]) -> tuple[Application, ...]:
        """Overlays that read these files and belong to no known Application; one that another overlay reads is none."""
        wanted, folders = frozenset(files), {a.path.strip("/") or "." for a in known}
        reading = self._reading if wanted else {}
        below = self._below if wanted else frozenset()
        found = []
        for folder, read in reading.items():
            is_base = any(str(Path(folder) / name) in below for name in KUSTOMIZATION)
            if wanted & read and not is_base and folder not in folders:
                name = self._applications.get(folder, f"of {folder}, which no cluster file names,")
                found.append(Application(name, "", folder))
        return tuple(found)

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
            spec = manifest.get("spec") or {}
            for source in [spec.get("source") or {}, *(spec.get("sources") or ())]:
                if path := str(source.get("path") or "").strip("/"):
                    found[path] = str((manifest.get("metadata") or {}).get("name") or "")
        return found

    def _kustomization(self, folder: Path) -> Path | None:
        return next((folder / name for name in KUSTOMIZATION if (folder / name).is_file()), None)


def manifests(tree: Path, kind: str) -> Iterator[Any]:
    """The objects of a kind in the YAML files of a work tree; what can't be read is none."""
    for where, folders, files in os.walk(tree):
        folders[:] = sorted(f for f in folders if f != ".git")
        for name in sorted(f for f in files if f.endswith((".yaml", ".yml", ".json"))):
            yield from (d for d in _documents(Path(where) / name, kind) if d.get("kind") == kind)


def _documents(file: Path, word: str) -> list[dict[str, Any]]:
    try:
        text = file.read_text("utf-8") if file.stat().st_size <= _MAX_BYTES and not file.is_symlink() else ""
        if word not in text or "&" in text:  # an anchor in a large file is a bomb; kustomize judges it
            return []
        return [d for d in yaml.load_all(text, Loader=_Loader) if isinstance(d, dict)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return []


def _load(file: Path) -> dict[str, Any]:
    found = _documents(file, "")
    return found[0] if found else {}


def _named(kustomization: dict[str, Any]) -> Iterator[str]:
    """The paths that a kustomization names; what is no file of ours (a URL, inline text) leads nowhere."""
    texts = [t for key in (*_NAMES_FILES, "patchesStrategicMerge") for t in _list(kustomization, key)]
    entries = [e for key in _IN_ENTRIES for e in _list(kustomization, key) if isinstance(e, dict)]
    texts += [e.get("path") for e in entries]
    for text in texts:
        if isinstance(text, str) and text and "\n" not in text and len(text) < 512 and "\0" not in text:
            yield text


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _parent(file: str) -> str:
    return str(Path(file).parent)
