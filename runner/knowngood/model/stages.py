"""Many clusters: in which stages a release reaches them."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.model.errors import Location


@dataclass(frozen=True, slots=True)
class Stage:
    """Clusters that move after those of the stage before are proven, at most `at_once` of them side by side."""

    name: str
    clusters: tuple[str, ...]
    at_once: int
    where: Location
