"""The part of a seed that says which Talos the machines run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TalosSeed:
    """version: without its `v`. images: the installers that they can be asked to take, image -> version."""

    version: str
    images: Mapping[str, str]
