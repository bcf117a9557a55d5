"""The class operand, by hand: follow an operator until all that it makes runs. The commit started it."""

from __future__ import annotations

from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.operand import following
from knowngood.model.mover import Moving


class OperandActs:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Wait until the version that Git declares is there."""
        what = f"{moving.component} {moving.after}"
        return task.follow(
            lambda: following(task.kube, task.space_of, moving), what, f"see {moving.declared_by}"
        )

    def back(self, task: FleetTask, moving: Moving) -> str:
        """The same, once Git was taken back: a revert is all that it needs."""
        return self.start(task, moving)
