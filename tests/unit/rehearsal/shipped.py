"""The shipped clusters, as a rehearsal gets them."""

from __future__ import annotations

from functools import cache

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Matrix
from knowngood.rehearsal.at_rest import AtRest


@cache
def matrix() -> Matrix:
    return load(matrix_dir())


def shipped(name: str) -> AtRest:
    """A cluster at rest on its pinned release."""
    return AtRest.of(matrix(), matrix().clusters[name])
