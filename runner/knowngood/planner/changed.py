"""Which releases a change brought, and on which clusters each is to be rehearsed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowngood.model.hardware import pools_of
from knowngood.model.matrix import Matrix, Release, ReleaseStatus


@dataclass(frozen=True, slots=True)
class Pair:
    """A changed release and a cluster. `why_not`: why it is not played there, "" where it is.

    `start`: the release that it is played from, where that is not the cluster's pin now. `untold`: it is meant for the
    cluster, and no rehearsal can say anything of it there.
    """

    release: str
    cluster: str
    why_not: str = ""
    start: str = ""
    untold: bool = False


def releases(before: Mapping[str, Release], now: Mapping[str, Release]) -> tuple[str, ...]:
    """The releases that are new, or name other versions or hardware than before.

    A status that rose is no reason to play it again, and nobody goes to one that was revoked.
    """
    return tuple(
        name
        for name, release in sorted(now.items())
        if release.status is not ReleaseStatus.REVOKED and _aim(before.get(name)) != _aim(release)
    )


def _aim(release: Release | None) -> object:
    return release and (dict(release.components), {*release.profiles})


def pairs(matrix: Matrix, changed: tuple[str, ...], pins: Mapping[str, str]) -> Iterator[Pair]:
    """Each changed release with each cluster, in their order. `pins`: cluster -> its release before the change."""
    for name in changed:
        release = matrix.releases[name]
        for cluster in matrix.clusters.values():
            others = [kind for kind in pools_of(cluster) if kind not in release.profiles]
            if others:
                yield Pair(name, cluster.name, f"not meant for {', '.join(others)}")
            elif cluster.release != name:
                yield Pair(name, cluster.name)
            elif (start := pins.get(cluster.name, name)) != name and start in matrix.releases:
                yield Pair(name, cluster.name, start=start)
            else:
                why = "it is what the cluster is pinned to, and no other release was before"
                yield Pair(name, cluster.name, why, untold=True)
