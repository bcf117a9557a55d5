"""The shipped clusters, as a rehearsal gets them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Cluster, Matrix, Profile, Release


@dataclass(frozen=True)
class Shipped:
    """A cluster at rest on its pinned release."""

    cluster: Cluster
    profile: Profile
    release: Release


@cache
def matrix() -> Matrix:
    return load(matrix_dir())


def shipped(name: str) -> Shipped:
    cluster = matrix().clusters[name]
    return Shipped(cluster, matrix().profiles[cluster.profile], matrix().releases[cluster.release])
