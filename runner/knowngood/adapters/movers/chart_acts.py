"""The class chart, by hand: follow a chart until all that it owns runs. The commit started it."""

from __future__ import annotations

from knowngood.adapters.movers.chart import following
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.model.mover import Moving


class ChartActs:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Wait until the version that Git declares is there."""
        what = f"{moving.component} {moving.after}"
        return task.follow(lambda: following(task.kube, moving), what, f"see {moving.declared_by}")

    def back(self, task: FleetTask, moving: Moving) -> str:
        """The same, once Git was taken back: a revert is all that it needs."""
        return self.start(task, moving)
