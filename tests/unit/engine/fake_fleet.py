"""What is declared once for all nodes, behind the engine's port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.unit.engine.world import NEW, World

from knowngood.model.errors import Refused, Unreachable
from knowngood.model.finding import Finding
from knowngood.model.mover import FleetState, Look, Moving, Starts
from knowngood.model.node import Leftover
from knowngood.ports.cancel import Cancel
from knowngood.ports.fleet import FleetWork

OPERATOR = "gpu-operator"
WAS, IS = "25.10.1", "26.7.0"
POLICY = ("clusterpolicy.yaml", "spec.driver.version")
SUBSCRIPTION = ("subscription.yaml", "spec.startingCSV")
CHART = "kai-scheduler"
CHART_WAS, CHART_IS = "0.12.16", "0.13.0"
APPLICATION = ("kai.yaml", "spec.source.targetRevision")
CONSTRAINT = ("kai.yaml", "spec.constraint")
"""What must give way before an older version is taken, where the mover says so."""


class FakeFleet(FleetWork):
    """Faults in `world.broken`: `catalog-lacks-it`, `plan-carries-more`, `csv-fails`, `csv-stands-still`,
    `back-is-refused`, `olm-away`, `plan-waits`. Of what its commit starts: `gives-up`, `stands-still`,
    `stays-new`.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def states(self, moves: Sequence[Moving]) -> Mapping[str, FleetState]:
        waits = ("install-abc",) if "plan-waits" in self.world.broken else ()
        return {m.component: FleetState(self._declared(), self._there(m), waits) for m in moves}

    def ready(self, moves: Sequence[Moving], *, undo: bool = False) -> Sequence[Finding]:
        return self.world.found.get("fleet-back" if undo else "fleet", ()) if moves else ()

    def start(self, moving: Moving, key: str, cancel: Cancel) -> str:
        if moving.spec.starts is not Starts.APPROVE or self.world.operator == moving.after:
            return ""
        if "plan-carries-more" in self.world.broken:
            raise Refused("InstallPlan install-abc carries nfd.v4, too")
        assert self._declared() == moving.after, "approved before it was declared"
        self._to(moving.after)
        self.world.moment("approve", cancel)
        return f"InstallPlan of {moving.after} approved"

    def look(self, moving: Moving) -> Look:
        if "olm-away" in self.world.broken:
            raise Unreachable("the API does not answer")
        forth = moving.after in (NEW, IS)
        if forth and "csv-fails" in self.world.broken:
            return Look(failed="CSV Failed: UnsupportedOperatorGroup")
        if forth and "csv-stands-still" in self.world.broken:
            return Look(waiting="CSV InstallReady")
        if moving.spec.starts is Starts.DECLARE and moving.after == CHART_IS:
            if "gives-up" in self.world.broken:
                return Look(failed="its sync Failed")
            if "stands-still" in self.world.broken:
                return Look(waiting="0 of 2 pods are available")
        eased = self.world.live.get(CONSTRAINT) == "SelfCertified"
        if moving.spec.eases and moving.after == CHART_WAS and not eased:
            return Look(waiting="it is no successor of what is installed")
        if "stays-new" in self.world.broken and moving.after == CHART_WAS:
            return Look(failed="the older version is refused")
        there = self._there(moving)
        return Look(done="there") if there == moving.after else Look(waiting=f"it has {there}")

    def back(self, moving: Moving, key: str, cancel: Cancel) -> str:
        if moving.spec.starts is not Starts.APPROVE or self.world.operator == moving.after:
            return ""
        if "back-is-refused" in self.world.broken:
            raise Refused("the catalog does not have it any more")
        assert self._declared() == moving.after, "brought back before Git was"
        self._to(moving.after)
        self.world.moment("operator back", cancel)
        return "CSV and Subscription made anew"

    def residue(self, moves: Sequence[Moving]) -> Sequence[Leftover]:
        return [Leftover("install-plan", "install-abc", "waits")] if "plan-left" in self.world.broken else []

    def _there(self, moving: Moving) -> str:
        """What runs: an operator takes its approval, a chart and a policy their commit."""
        if moving.component == OPERATOR:
            return self.world.operator
        return self.world.live[APPLICATION if moving.spec.starts is Starts.DECLARE else POLICY]

    def _declared(self) -> str:
        return self.world.live.get(SUBSCRIPTION, "")

    def _to(self, version: str) -> None:
        self.world.operator = version
        self.world.history.append(("the cluster", "operator", version))
