"""The class olm-v1, by hand: follow an extension until what it installs runs. The commit started it."""

from __future__ import annotations

from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.olm_v1 import following
from knowngood.model.mover import Moving


class OlmV1Acts:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Wait until the version that Git declares is there."""
        what = f"{moving.component} {moving.after}"
        return task.follow(lambda: following(task.kube, moving), what, f"see {moving.declared_by}")

    def back(self, task: FleetTask, moving: Moving) -> str:
        """The same, once Git was taken back and eased; what gave way is for Git to take back."""
        return self.start(task, moving)
