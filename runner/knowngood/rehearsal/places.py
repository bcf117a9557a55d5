"""Where a rehearsal declares what a team keeps in patches, values or a base: in a file of the object's own.

A rehearsal plays the upgrade, not the repository; that an edit there changes only what is planned is proven by
rendering, before each push to the real one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from knowngood.model.matrix import Cluster
from knowngood.model.values import Object
from knowngood.rehearsal.layout import is_base_of

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def playable(declare: Mapping[str, Object], applications: Sequence[Object]) -> dict[str, Object]:
    """`declare` of a cluster file, each in a plain file where the twin would not know the place."""
    folders = [PurePosixPath(a["path"]) for a in applications]
    flat = [PurePosixPath(a["path"]) for a in applications if a.get("recurse")]
    objects: dict[str, set[str]] = {}
    alike: dict[str, set[str]] = {}  # files that one kustomization would hold by one name
    for one in declare.values():
        objects.setdefault(one["file"], set()).add(f"{one['object']['kind']} {one['object']['name']}")
        alike.setdefault(PurePosixPath(one["file"]).name, set()).add(one["file"])

    def fits(one: Object) -> bool:
        file = PurePosixPath(one["file"])
        deeper = any(folder in file.parent.parents for folder in folders)
        apart = not deeper or (len(alike[file.name]) == 1 and not any(f in file.parents for f in flat))
        return _plain(one, folders) and apart and len(objects[one["file"]]) == 1

    return {name: one if fits(one) else _in_a_file(one, folders) for name, one in declare.items()}


def played(cluster: Cluster) -> Cluster:
    """The cluster with its declarations where a rehearsal has them: as its cluster file says there."""
    declare = playable(
        cluster.raw["declare"], [{"path": a.path, "recurse": a.recurse} for a in cluster.gitops.applications]
    )
    files = {name: str(one["file"]) for name, one in declare.items()}
    found = (
        replace(d, file=files[d.component], written=d.written if "written" in declare[d.component] else "")
        for d in cluster.declarations
    )
    return replace(cluster, declarations=tuple(found))


def _plain(one: Object, folders: Sequence[PurePosixPath]) -> bool:
    file = PurePosixPath(one["file"])
    if "written" in one or file.name in _KUSTOMIZATIONS or file.suffix not in (".yaml", ".yml"):
        return False
    if "{ring}" in one["object"]["name"] and "{ring}" not in one["file"]:
        return False
    return any(folder in file.parents or is_base_of(file, folder) for folder in folders)


def _in_a_file(one: Object, folders: Sequence[PurePosixPath]) -> Object:
    file, named = PurePosixPath(one["file"]), one["object"]
    reading = [folder for folder in folders if folder in file.parents]
    own = f"{str(named['kind']).lower()}-{named['name']}.yaml"
    kept = {key: value for key, value in one.items() if key != "written"}
    return {**kept, "file": str((reading or folders)[0] / own)}
