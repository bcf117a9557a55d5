"""What a cluster declares and its pinned release does not name: from which version is it played. Pure."""

from __future__ import annotations

from dataclasses import replace

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster, Release


def unnamed(cluster: Cluster, pinned: Release) -> tuple[str, ...]:
    """The components that are declared and that the release does not name."""
    declared = dict.fromkeys(d.component for d in cluster.declarations)
    return tuple(name for name in declared if name not in pinned.components)


def as_named(cluster: Cluster, pinned: Release, to: Release) -> Cluster:
    """The cluster as the twin can start it, `raw` included: without what its release does not name.

    UsageError where the release to go to names that: a rehearsal of its move would start from nothing.
    """
    left = unnamed(cluster, pinned)
    if moved := [name for name in left if name in to.components]:
        raise UsageError(
            f"{cluster.name} declares {', '.join(moved)}, {to.name} names it, and {pinned.name}, to which it is pinned,"
            " does not: what a rehearsal starts from is not said",
            where=cluster.where,
            hint=f"name in {pinned.where.file} what runs there now; `knowngood discover` reads it",
        )
    if not left:
        return cluster
    declare = {name: value for name, value in cluster.raw.get("declare", {}).items() if name not in left}
    kept = tuple(d for d in cluster.declarations if d.component not in left)
    return replace(cluster, declarations=kept, raw={**cluster.raw, "declare": declare})
