"""The class cluster-version, by hand: follow a release to its end. The commit started it, and nothing is approved."""

from __future__ import annotations

import time

from knowngood.adapters.movers.cluster_version import following
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.looking import Stood, until_there
from knowngood.model.errors import CouldNot, Refused
from knowngood.model.mover import Look, Moving


class ClusterVersionActs:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Wait until the release is complete; its own states may stand as long as a run gives them."""
        last = Look()

        def looked() -> tuple[str | None, str]:
            nonlocal last
            last = following(task.kube, moving)
            return last.done or None, last.waiting or last.failed

        try:
            return until_there(
                looked,
                age=lambda _state: max(task.limits.operand_age, last.stands),
                ends_at=time.monotonic() + task.limits.settle,
                tell=task.tell,
            )
        except Stood as stood:
            raise CouldNot(
                f"{moving.component} {moving.after}: {stood}", hint="see ClusterVersion version"
            ) from None

    def back(self, task: FleetTask, moving: Moving) -> str:
        """There is no way back."""
        raise Refused(
            f"{moving.component} {moving.before} can't be undone",
            hint="its commit stays; mend what stopped it",
        )
