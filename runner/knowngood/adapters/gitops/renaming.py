"""What kustomizations make of names: an object's name in a file, and those that it may have in the cluster.

A kustomization gives its prefix and suffix to all that it reads; one that patches may name an object by any name that
it had on the way up (kustomize v5.5, as it runs). Reads only; what can't be read gives no name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from knowngood.adapters.gitops.following import (
    kustomization_in,
    kustomization_of,
    patches_of,
    resources_of,
)
from knowngood.model.gitops import Affix

_LONGEST = 253
"""No object of Kubernetes has a longer name."""
_DEEPEST = 8
"""Components of components."""


def affixes(tree: Path, folder: str) -> Mapping[str, frozenset[Affix]]:
    """File -> what the kustomization in a folder puts around the names of its objects, and of those that it patches.

    Empty where the folder has no kustomization.
    """
    walk = _Walk(tree.resolve())
    walk.down((tree / folder).resolve(), Affix())
    return {str(path.relative_to(walk.tree)): frozenset(found) for path, found in walk.found.items()}


def names_in(tree: Path, folders: Iterable[str], file: str, name: str) -> tuple[str, ...]:
    """What a file may call the object that the cluster has by a name, where these folders' kustomizations read it."""
    around = {affix for folder in folders for affix in affixes(tree, folder).get(file, ())}
    return tuple(sorted({affix.without(name) for affix in around} - {name, ""}))


class _Walk:
    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.found: dict[Path, set[Affix]] = {}
        self._begun: set[tuple[Path, Affix]] = set()

    def down(self, path: Path, around: Affix, above: frozenset[Affix] = frozenset()) -> frozenset[Affix]:
        """Note a file, or a folder's kustomization with all below it; what stands around names there, `above` too."""
        own = kustomization_of(path) if path.is_dir() else path
        if own is None or not own.is_relative_to(self.tree) or not own.is_file():
            return frozenset()
        if own == path:
            self._note([own], {around})
            return frozenset((around,))
        if (own, around) in self._begun or len(around.prefix + around.suffix) > _LONGEST:
            return frozenset()  # a ring of kustomizations ends here
        self._begun.add((own, around))
        said = kustomization_in(own)
        inner = around = _inside(said, around)
        components = [(path / text).resolve() for text in resources_of(said, "components")]
        outside = []  # what stands around the names that each component is given, and leaves
        for component in reversed(components):
            outside.append((component, inner))
            inner = self._given(component, inner)
        below = {*above, around, inner}
        for text in resources_of(said, "resources", "bases"):
            below |= self.down((path / text).resolve(), inner)
        for component, left in reversed(outside):
            below |= self.down(component, left, frozenset(below))
        self._note([own, *((path / text).resolve() for text in patches_of(said))], below)
        return frozenset(below)

    def _note(self, files: Iterable[Path], around: Iterable[Affix]) -> None:
        for file in files:
            if file.is_relative_to(self.tree):
                self.found.setdefault(file, set()).update(around)

    def _given(self, component: Path, around: Affix, depth: int = 0) -> Affix:
        """What stands around the names that a component is given."""
        own = kustomization_of(component) if component.is_dir() else None
        if own is None or not own.is_relative_to(self.tree) or depth > _DEEPEST:
            return around
        said = kustomization_in(own)
        around = _inside(said, around)
        for text in reversed([*resources_of(said, "components")]):
            around = self._given((component / text).resolve(), around, depth + 1)
        return around


def _inside(kustomization: Mapping[str, Any], outside: Affix) -> Affix:
    """What stands around names in a kustomization: its own prefix and suffix, and those around it."""
    prefix, suffix = (kustomization.get(key) for key in ("namePrefix", "nameSuffix"))
    return Affix(f"{outside.prefix}{prefix or ''}", f"{suffix or ''}{outside.suffix}")
