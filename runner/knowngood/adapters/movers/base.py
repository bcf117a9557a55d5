"""What a class of movers implements; registered by the class's name in `node_work` and `fleet_work`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from knowngood.adapters.nodes.batch import Task
from knowngood.model.finding import Finding
from knowngood.model.mover import FleetState, Look, Mark, Moving
from knowngood.model.node import Leftover


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes to a node with one restart. `since`: what came before it in this hop, which it must be newer than.

    `ends_at`: on time.monotonic()'s clock.
    """

    moves: tuple[Moving, ...]
    ends_at: float
    since: Mark | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came, by component. `held`: how often our cordon or taint had to be put back."""

    restarted: bool
    held: int
    marks: Mapping[str, Mark]


class NodeMover(Protocol):
    """Brings components of its class to their versions on one node that is ours and drained; idempotent."""

    def __call__(self, task: Task, name: str, turn: Turn) -> Arrived:
        """Start the change and wait for its proof. NodeFailed, NotTold where it does not arrive."""
        ...


class FleetMover(Protocol):
    """One component that is declared once for all nodes: what is read of it. What is done goes through Ansible."""

    def state(self, moving: Moving) -> FleetState:
        """See ports.fleet."""
        ...

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """See ports.fleet."""
        ...

    def look(self, moving: Moving) -> Look:
        """See ports.fleet."""
        ...

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """See ports.fleet."""
        ...
