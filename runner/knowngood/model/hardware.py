"""The hardware of a cluster's GPU nodes: one profile, or pools of several. A pool is the nodes of one profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from knowngood.model.matrix import Cluster, Profile


def pools_of(cluster: Cluster) -> Mapping[str, tuple[str, ...]]:
    """Profile -> the GPU nodes that have it, in the cluster file's order."""
    return cluster.pools or {cluster.profile: cluster.gpu}


@dataclass(frozen=True, slots=True)
class Hardware:
    """The profiles of a cluster, and which node has which; `pools` is empty where all have the same."""

    profiles: tuple[Profile, ...]
    pools: Mapping[str, str] = field(default_factory=dict)  # node -> its profile's name

    @classmethod
    def of_cluster(cls, cluster: Cluster, profiles: Mapping[str, Profile]) -> Hardware:
        """By the cluster file. KeyError where a profile is not there."""
        pools = {node: name for name, nodes in cluster.pools.items() for node in nodes}
        return cls(tuple(profiles[name] for name in pools_of(cluster)), pools)

    @property
    def names(self) -> str:
        """The profiles' names in a row."""
        return ", ".join(profile.name for profile in self.profiles)

    def of(self, node: str) -> Profile:
        """A node's profile. KeyError where it is in no pool."""
        if len(self.profiles) == 1:
            return self.profiles[0]
        return {profile.name: profile for profile in self.profiles}[self.pools[node]]

    def nodes(self, profile: Profile, of: Iterable[str]) -> tuple[str, ...]:
        """Those of the nodes that are in a profile's pool."""
        return tuple(node for node in of if self.of(node) is profile)
