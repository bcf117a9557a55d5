"""A registry that says of images what the world says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.unit.engine.world import World

from knowngood.ports.registry import PRESENT, Looked, Registry


class FakeRegistry(Registry):
    def __init__(self, world: World) -> None:
        self.world = world

    def look(
        self, nodes: Sequence[str], running: Sequence[str], versions: Mapping[str, str]
    ) -> Mapping[str, Looked]:
        return {PRESENT: Looked(tuple(running), self.world.images), **self.world.coming}
