"""What is done once a cluster, beside what Git does: approve, wait, and the way back that a revert is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from knowngood.model.finding import Finding
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover
from knowngood.ports.cancel import Cancel


class FleetWork(Protocol):
    """The fleet part of a hop, by the class of each component. Each call is idempotent.

    CouldNot where nobody answers: that says nothing of the component.
    """

    def states(self, moves: Sequence[Moving]) -> Mapping[str, FleetState]:
        """Component -> what there is of it now."""
        ...

    def ready(self, moves: Sequence[Moving], *, undo: bool = False) -> Sequence[Finding]:
        """Why they could not start now, or with `undo` could not come back later; empty where nothing is in the way."""
        ...

    def start(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """Approve exactly what the plan names, found again by `key`; says what was done, "" if nothing was to be done.

        Refused where what waits is not what the plan names.
        """
        ...

    def look(self, moving: Moving) -> Look:
        """Whether it has come to `after`. The engine waits, with its deadline and an age for each state."""
        ...

    def back(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """The class's own way back, once Git and the live object hold `moving.after`; says what was done, or ""."""
        ...

    def residue(self, moves: Sequence[Moving]) -> Sequence[Leftover]:
        """What a way forth or back left behind and nobody needs."""
        ...
