"""What a class of movers implements; registered by the class's name in `node_work` and `fleet_work`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from knowngood.adapters.nodes.batch import Task
from knowngood.model.finding import Finding
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover


class NodeMover(Protocol):
    """Brings one component to its version on one node that is ours and drained; idempotent."""

    def __call__(self, task: Task, name: str, moving: Moving) -> tuple[bool, dict[str, Any]]:
        """Start the change, wait for its proof and for what depends on it.

        Returns whether anything was changed, and small JSON about it. NodeFailed, NotTold where it does not arrive.
        """
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
