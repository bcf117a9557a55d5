"""Where objects lie in a GitOps repository: plain folders, or a kustomize base with an overlay of patches. Pure.

A declared file tells by its place: directly in an Application's folder it holds the whole object; deeper in it, it is
a patch of a kustomization whose base holds the rest; in no Application's folder it is part of such a base. Overlay and
base belong together by their last folder's name: `overlays/fra-prod/gpu` stands on `base/gpu`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from posixpath import relpath

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster
from knowngood.model.values import Object

BASE = PurePosixPath("base")
KUSTOMIZATION = "kustomization.yaml"


@dataclass
class Placed:
    """One object, and the texts of the fields that versions are written in: dotted path -> text."""

    object: Object
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> Object:
        """The object with its fields."""
        return _with(copy.deepcopy(self.object), self.fields, self.object)

    @property
    def patch(self) -> Object:
        """Nothing but the fields."""
        same = {key: copy.deepcopy(self.object[key]) for key in ("apiVersion", "kind", "metadata")}
        return _with(same, self.fields, self.object)


def laid_out(cluster: Cluster, placed: Mapping[str, Placed]) -> dict[str, Object]:
    """Path in the repository to what the file holds, kustomizations included.

    UsageError where no Application would ever read a file.
    """
    found: dict[str, Object] = {}
    for application in cluster.gitops.applications:
        found |= _folder(PurePosixPath(application.path), placed)
    for file in placed:
        if file not in found:
            raise UsageError(
                f"no Application reads {file}",
                where=cluster.where,
                hint="add the Application that reads it, or an overlay whose last folder is named as the base's",
            )
    return found


def _folder(folder: PurePosixPath, placed: Mapping[str, Placed]) -> dict[str, Object]:
    """What one Application reads."""
    paths = {PurePosixPath(file): one for file, one in placed.items()}
    plain = {path: one.whole for path, one in paths.items() if path.parent == folder}
    patches = {path: one for path, one in paths.items() if folder in path.parent.parents}
    base = {path: one.whole for path, one in paths.items() if is_base_of(path, folder)}
    if not patches and not base:
        return {str(path): one for path, one in plain.items()}
    below = next((path.parent for path in base), BASE / folder.name)
    base |= {below / path.name: one.object for path, one in patches.items()}
    found = {path: one.patch for path, one in patches.items()} | base | plain
    resources = [relpath(below, folder), *(path.name for path in plain)]
    found[below / KUSTOMIZATION] = _kustomization([path.name for path in base], [])
    found[folder / KUSTOMIZATION] = _kustomization(
        resources, [str(path.relative_to(folder)) for path in patches]
    )
    return {str(path): one for path, one in found.items()}


def is_base_of(path: PurePosixPath, folder: PurePosixPath) -> bool:
    """Whether a file is part of the base that an overlay's folder stands on."""
    return folder not in path.parents and path.parent.name == folder.name


def _kustomization(resources: Sequence[str], patches: Sequence[str]) -> Object:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
        **({"patches": [{"path": path} for path in patches]} if patches else {}),
    }


def _with(obj: Object, fields: Mapping[str, str], like: Object) -> Object:
    """The object with these texts; `like` has a number where one must be."""
    for path, text in fields.items():
        *parents, last = path.split(".")
        at, shown = obj, like
        for name in parents:
            at, shown = at.setdefault(name, {}), shown.get(name) or {}
        number = isinstance(shown.get(last), int) and text.isdigit()
        at[last] = int(text) if number else {"true": True, "false": False}.get(text, text)
    return obj
