"""The class cluster-version, by hand: follow a release to its end. The commit started it, and nothing is approved."""

from __future__ import annotations

from knowngood.adapters.movers.cluster_version import following
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.model.errors import Refused
from knowngood.model.mover import Moving


class ClusterVersionActs:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Wait until the release is complete; its own states may stand as long as a run gives them."""
        what = f"{moving.component} {moving.after}"
        return task.follow(lambda: following(task.kube, moving), what, "see ClusterVersion version")

    def back(self, task: FleetTask, moving: Moving) -> str:
        """There is no way back."""
        raise Refused(
            f"{moving.component} {moving.before} can't be undone",
            hint="its commit stays; mend what stopped it",
        )
