"""What goes wrong between the machine-config operator and whoever else works on a node, when somebody says so."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import NODE, name_of
from knowngood.twin.behaviours.mco_nodes import POOL, pool_of
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

UNCORDON_S = 5.0
UNPAUSE_S = 5.0
OURS = "knowngood.dev/"
"""What the keys of those taints begin with that stand beside a claim's or a quarantine's cordon."""


class McoFaults:
    """`mco-skips-cordoned`, `mco-uncordons-quarantine` and `sriov-unpauses-pool`."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def start(self) -> None:
        """Offer the faults that are set off, and watch for what the other one waits for."""
        self._twin.handlers["mco-skips-cordoned"] = self._cordon
        self._twin.enders["mco-skips-cordoned"] = self._uncordon
        self._twin.cache.listen(NODE, self._changed)
        self._twin.cache.listen(POOL, self._paused)

    async def _cordon(self, fault: Fault, node: str) -> None:
        """Somebody cordons a node and forgets it: its pool stands still from now on."""
        if obj := self._twin.cache.get(NODE, node):
            await self._twin.api.patch(obj, {"spec": {"unschedulable": True}})
            self._twin.faults.hit(fault)

    async def _uncordon(self, _fault: Fault, node: str) -> None:
        if obj := self._twin.cache.get(NODE, node):
            await self._twin.api.patch(obj, {"spec": {"unschedulable": None}})

    def _changed(self, event: str, node: Object) -> None:
        fault = self._twin.faults.active("mco-uncordons-quarantine", name_of(node))
        if event == "DELETED" or fault is None or not node["spec"].get("unschedulable"):
            return
        if any(taint["key"].startswith(OURS) for taint in node["spec"].get("taints") or ()):
            self._twin.faults.reserve(fault)
            self._twin.spawn(self._lift(fault, name_of(node)), f"fault {fault.name}")

    def _paused(self, event: str, pool: Object) -> None:
        if event == "DELETED" or not pool["spec"].get("paused"):
            return
        pools = self._twin.cache.all(POOL)
        for node in self._twin.cache.all(NODE):
            fault = self._twin.faults.active("sriov-unpauses-pool", name_of(node))
            if fault and pool_of(node, pools) == name_of(pool):
                self._twin.faults.reserve(fault)
                self._twin.spawn(self._unpause(fault, name_of(pool)), f"fault {fault.name}")
                return

    async def _unpause(self, fault: Fault, name: str) -> None:
        """The SR-IOV operator's last drain in the pool ends: it unpauses the pool, whoever paused it."""
        await self._twin.clock.pause(fault.number("seconds", UNPAUSE_S))
        if pool := self._twin.cache.get(POOL, name):
            await self._twin.api.patch(pool, {"spec": {"paused": False}})
            self._twin.faults.hit(fault, pool=name)

    async def _lift(self, fault: Fault, node: str) -> None:
        """The node's update, begun before, ends now: its cordon goes, whoever set it, and the taint stays."""
        await self._twin.clock.pause(UNCORDON_S)
        await self._uncordon(fault, node)
        self._twin.faults.hit(fault)
