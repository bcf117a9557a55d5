"""What a class of movers implements: one function, registered by the class's name in `node_work`."""

from __future__ import annotations

from typing import Any, Protocol

from knowngood.adapters.nodes.batch import Task
from knowngood.model.mover import Moving


class NodeMover(Protocol):
    """Brings one component to its version on one node that is ours and drained; idempotent."""

    def __call__(self, task: Task, name: str, moving: Moving) -> tuple[bool, dict[str, Any]]:
        """Start the change, wait for its proof and for what depends on it.

        Returns whether anything was changed, and small JSON about it. NodeFailed, NotTold where it does not arrive.
        """
        ...
