"""Runs that are killed, and go on: at one record, or at each of an undisturbed run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from tests.unit.engine.world import Killed, World

T = TypeVar("T")


def killed(
    world: World, boundary: int, play: Callable[[World], object], *, before_write: bool = False
) -> World:
    """A run that was killed at that record; its machine is up again. `before_write`: what it did was not written."""
    world.kill_after, world.kill_before_write = boundary, before_write
    with pytest.raises(Killed):
        play(world)
    return world.revived()


def resumed_at_each(
    whole: World, make: Callable[[], World], play: Callable[[World], T]
) -> Iterator[tuple[str, World, T]]:
    """The run killed at each record that `whole` has, and gone on with: where that was, the world, how it ended.

    Every other kill comes when the effect was done and its record lost.
    """
    for boundary in range(len(whole.records)):
        world = killed(make(), boundary, play, before_write=bool(boundary % 2))
        yield f"killed at record {boundary}", world, play(world)
