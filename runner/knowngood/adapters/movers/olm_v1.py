"""The class olm-v1, read: a ClusterExtension pinned to a version, which starts with its commit and may be refused."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.adapters.cluster.reader import scalar_at
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers import olm_v1_ready
from knowngood.adapters.movers.olm_extension import (
    KIND,
    PROGRESSING,
    Extension,
    condition,
    installed,
    message,
    seen,
    unrest,
)
from knowngood.model.errors import UsageError
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover
from knowngood.planner.moving import version_of


class OlmV1:
    """Components that the Operator Lifecycle Manager installed by a ClusterExtension."""

    def __init__(self, kube: Kube, _cluster: Cluster) -> None:
        self._kube = kube

    def state(self, moving: Moving) -> FleetState:
        """What it asks for, and which version is installed where all of it runs."""
        extension = Extension.of(self._kube, moving)
        obj = extension.live()
        if obj is None:
            return FleetState(trouble=f"there is no {extension.at}")
        try:
            fields = moving.spec.fields[KIND]
            declared = version_of(moving.spec, KIND, {p: scalar_at(obj, p) for p in fields})
        except UsageError as error:
            return FleetState(trouble=error.message)
        why = unrest(obj) or "; ".join(extension.late(obj))
        return FleetState(declared, "" if why else installed(obj), (), why, why)

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """See `olm_v1_ready`."""
        return [*olm_v1_ready.ready(Extension.of(self._kube, moving), undo=undo)]

    def look(self, moving: Moving) -> Look:
        """See `following`."""
        return following(self._kube, moving)

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """What gave way for a way back and has not been taken back."""
        extension = Extension.of(self._kube, moving)
        obj = extension.live()
        required = moving.spec.require.get(KIND, {})
        eased = [
            f"{where} is {found}"
            for where in moving.spec.eases.get(KIND, {})
            if obj is not None and (found := scalar_at(obj, where)) != required.get(where, found)
        ]
        return [Leftover("eased", str(extension.at), "; ".join(eased))] if eased else []


def following(kube: Kube, moving: Moving) -> Look:
    """Whether it asks for the version, has installed it at its present generation, and all that it made runs."""
    extension = Extension.of(kube, moving)
    obj = extension.live()
    if obj is None:
        return Look(waiting=f"there is no {extension.at}")
    if why := extension.asks_otherwise(obj, moving.after):
        return Look(waiting=why)
    progress = condition(obj, PROGRESSING)
    if seen(obj, progress) and (progress.get("status"), progress.get("reason")) == ("False", "Blocked"):
        return Look(failed=f"{extension.at} is Blocked: {message(progress)}")
    if why := unrest(obj):
        return Look(waiting=why)
    if (has := installed(obj)) != moving.after:
        return Look(waiting=f"{extension.at} has {has or 'nothing'} installed, not {moving.after}")
    if late := "; ".join(extension.late(obj)):
        return Look(waiting=late)
    return Look(done=f"{obj['status']['install']['bundle']['name']} is installed and runs")
