"""The machine-config operator's drain controller: cordon and drain, or uncordon, when a node's daemon asks.

It acts when the wish changes, and then only: a node that somebody uncordons while it is drained stays so, and an
uncordon lifts whoever's cordon there is. Pods without a controller and emptyDirs are no reason to stop; budgets are.
"""

from __future__ import annotations

import time

from knowngood.twin.behaviours import mco_nodes as mco
from knowngood.twin.behaviours.context import MAY_NOT_GO, Controller, Twin
from knowngood.twin.behaviours.kube import ENDED, NODE, POD, annotations_of, controller_of, name_of, phase_of
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

DELAY_S = 5.0
TRY_S = 5.0
PATIENCE_S = 90.0
AGAIN_S = 60.0


class Drains(Controller):
    """One task a node: while it drains it hears nothing else."""

    name = "machine-config-drains"
    watches = (NODE, POD)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._wishes: dict[str, str] = {}
        self._busy: set[str] = set()

    def listen(self) -> None:
        """A node's wish changed."""
        for node in self.cache.all(NODE):
            self._wishes[name_of(node)] = annotations_of(node).get(mco.DRAIN, "")
            self.enqueue(name_of(node))
        self.cache.listen(NODE, self._changed)

    def _changed(self, event: str, node: Object) -> None:
        name, wish = name_of(node), annotations_of(node).get(mco.DRAIN, "")
        if event == "DELETED":
            self._wishes.pop(name, None)
        elif self._wishes.get(name) != wish:
            self._wishes[name] = wish
            self.enqueue(name)

    async def reconcile(self, key: str) -> None:
        """Start the node's task, unless one is at work: that one looks again when it has ended."""
        if key not in self._busy:
            self._busy.add(key)
            self.twin.spawn(self._node(key), f"{self.name} {key}")

    async def _node(self, name: str) -> None:
        try:
            wish = None
            while wish != (wish := self._wishes.get(name)):
                await self.twin.clock.pause(DELAY_S)
                await self._serve(name)
        finally:
            self._busy.discard(name)

    async def _serve(self, name: str) -> None:
        node = self.cache.get(NODE, name)
        if node is None:
            return
        wish = annotations_of(node).get(mco.DRAIN, "")
        if wish == annotations_of(node).get(mco.DRAINED, ""):
            return
        verb = wish.partition("-")[0]
        if verb == "uncordon" or (verb == "drain" and await self._drain(node)):
            if verb == "uncordon" and node["spec"].get("unschedulable"):
                await self.api.patch(node, {"spec": {"unschedulable": None}})
            await self.api.patch(node, {"metadata": {"annotations": {mco.DRAINED: wish}}})

    async def _drain(self, node: Object) -> bool:
        """Cordon, then evict until all have gone; after a while give up, and try again a while later."""
        name = name_of(node)
        if not node["spec"].get("unschedulable"):
            await self.api.patch(node, {"spec": {"unschedulable": True}})
        ends = time.monotonic() + self.twin.clock.real(PATIENCE_S)
        while pods := [pod for pod in self.cache.pods_on(name) if _leaves(pod)]:
            if time.monotonic() > ends:
                self.twin.events.write("drain-failed", name, by=self.name, pods=len(pods))
                self.twin.spawn(self._again(name), f"{self.name} {name} again")
                return False
            for pod in pods:
                await self._evict(pod)
            await self.twin.clock.pause(TRY_S)
        return True

    async def _again(self, name: str) -> None:
        await self.twin.clock.pause(AGAIN_S)
        self.enqueue(name)

    async def _evict(self, pod: Object) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            return
        try:
            await self.api.evict(pod)
        except ClientError as error:
            if error.code not in {404, 409, *MAY_NOT_GO}:
                raise


def _leaves(pod: Object) -> bool:
    owner = controller_of(pod)
    mirror = "kubernetes.io/config.mirror" in annotations_of(pod)
    return phase_of(pod) not in ENDED and not mirror and (owner is None or owner["kind"] != "DaemonSet")
