"""A hop's fleet part on one cluster, as ports.fleet.FleetWork: each component by its class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers import nic_firmware_ready, sriov_ready
from knowngood.adapters.movers.base import FleetMover
from knowngood.adapters.movers.chart import Charts
from knowngood.adapters.movers.cluster_version import ClusterVersion
from knowngood.adapters.movers.daemon_fleet import DaemonFleet
from knowngood.adapters.movers.olm_v0 import OlmV0
from knowngood.adapters.movers.olm_v1 import OlmV1
from knowngood.adapters.movers.operand import Operands
from knowngood.model.errors import UsageError
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving, Starts
from knowngood.model.node import Leftover
from knowngood.ports.cancel import Cancel
from knowngood.ports.fleet import FleetWork

FLEETS: Mapping[str, Callable[[Kube, Cluster], FleetMover]] = {
    "chart": Charts,
    "cluster-version": ClusterVersion,
    "daemon-driver": DaemonFleet,
    "olm-v0": OlmV0,
    "olm-v1": OlmV1,
    "operand": Operands,
}
"""The classes that can be declared once for all nodes, each by its name in a component file."""

OF_RINGS = {"nic-firmware": nic_firmware_ready.ready, "sriov": sriov_ready.ready}
"""The classes that a ring's commit starts by itself: what must be so on the cluster before it."""


class KubeFleet(FleetWork):
    """The fleet parts of one run."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def states(self, moves: Sequence[Moving]) -> Mapping[str, FleetState]:
        """See the port."""
        return {m.component: self._of(m).state(m) for m in moves}

    def ready(self, moves: Sequence[Moving], *, undo: bool = False) -> Sequence[Finding]:
        """See the port."""
        return [finding for m in moves for finding in self._ready(m, undo=undo)]

    def start(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """See the port: the commit alone starts a class that has no approval."""
        self._needs_no_role(moving)
        return ""

    def look(self, moving: Moving) -> Look:
        """See the port."""
        return self._of(moving).look(moving)

    def back(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """See the port: a revert is all that such a class needs."""
        self._needs_no_role(moving)
        return ""

    def residue(self, moves: Sequence[Moving]) -> Sequence[Leftover]:
        """See the port."""
        return [left for m in moves for left in self._of(m).residue(m)]

    def _ready(self, moving: Moving, *, undo: bool) -> Iterable[Finding]:
        if of_rings := OF_RINGS.get(moving.spec.kind):
            return of_rings(self._kube, self._cluster, moving, undo=undo)
        return self._of(moving).ready(moving, undo=undo)

    def _needs_no_role(self, moving: Moving) -> None:
        self._of(moving)
        if moving.spec.starts is Starts.APPROVE:
            raise UsageError(
                f"{moving.component} is approved and brought back by its role, which is not here"
            )

    def _of(self, moving: Moving) -> FleetMover:
        if moving.spec.kind not in FLEETS:
            raise UsageError(
                f"class {moving.spec.kind!r} of {moving.component} can't be declared once for all nodes"
            )
        return FLEETS[moving.spec.kind](self._kube, self._cluster)
