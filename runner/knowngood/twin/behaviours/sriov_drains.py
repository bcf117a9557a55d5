"""The SR-IOV network operator's drains: a node whose daemon asks is cordoned and emptied, and given back afterwards.

What it did not take it gives back all the same: at the end it lifts the cordon and has the node's pool go on, whoever
had cordoned the one and paused the other. (Recorded: h1; sriov-network-operator controllers/drain_controller.go.)
"""

from __future__ import annotations

from knowngood.twin.behaviours.context import MAY_NOT_GO, Controller, Twin
from knowngood.twin.behaviours.kube import (
    ENDED,
    NODE,
    POD,
    Kind,
    annotations_of,
    controller_of,
    name_of,
    phase_of,
)
from knowngood.twin.behaviours.mco_nodes import POOL, pool_of
from knowngood.twin.behaviours.sriov_objects import (
    CURRENT,
    DESIRED,
    DRAINED,
    DRAINING,
    IDLE,
    MARK,
    PAUSED,
    POOL_CONFIG,
    REBOOT,
    STATE,
    room,
    said,
    uses,
)
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

TRY_S = 3.0
"""Until it looks again whether there is room, or whether a pod may go."""


class SriovDrains(Controller):
    """All nodes by one loop: whether there is room is one number."""

    name = "sriov-drain"
    watches: tuple[Kind, ...] = (NODE, POD, STATE, POOL_CONFIG)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        if twin.seed.openshift:
            self.watches = (*self.watches, POOL)

    def listen(self) -> None:
        """One asks, one is done."""
        self.every(STATE, name_of)

    async def reconcile(self, key: str) -> None:
        """One step for one node."""
        node, state = self.cache.get(NODE, key), self._states().get(key)
        if node is None or state is None:
            return
        wants, now = said(state, DESIRED), said(state, CURRENT)
        if wants == IDLE:
            if now != IDLE:
                await self._give_back(node, state)
        elif now == IDLE:
            await self._begin(key, node, state)
        elif now == DRAINING and await self._empty(node, everybody=wants == REBOOT):
            await self._say(state, DRAINED)
        elif now == DRAINING:
            self._again(key)

    async def _begin(self, key: str, node: Object, state: Object) -> None:
        if fault := self.twin.faults.active("sriov-drain-never-starts", key):
            self.twin.faults.hit(fault)
            return
        if not room(node, self.cache.all(POOL_CONFIG), self._states(), self.cache.all(NODE)):
            self._again(key)
            return
        await self._say(state, DRAINING)
        if pool := self._pool(node):
            if annotations_of(pool).get(MARK) != PAUSED:
                pool = await self.api.patch(pool, {"metadata": {"annotations": {MARK: PAUSED}}})
            if not pool["spec"].get("paused"):
                await self.api.patch(pool, {"spec": {"paused": True}})
        if not node["spec"].get("unschedulable"):
            await self.api.patch(node, {"spec": {"unschedulable": True}})

    async def _empty(self, node: Object, *, everybody: bool) -> bool:
        """Have the node's pods go: whoever uses functions, before a boot everybody. Whether nobody is left."""
        pods = [p for p in self.cache.pods_on(name_of(node)) if _leaves(p) and (everybody or uses(p))]
        for pod in pods:
            try:
                await self.api.evict(pod)
            except ClientError as error:
                if error.code not in {404, 409, *MAY_NOT_GO}:
                    raise
        return not pods

    async def _give_back(self, node: Object, state: Object) -> None:
        await self.api.patch(node, {"spec": {"unschedulable": None}})
        self.twin.events.write("uncordoned", name_of(node), by=self.name)
        pool = self._pool(node)
        if pool and annotations_of(pool).get(MARK) == PAUSED and not self._others(node, pool):
            pool = await self.api.patch(pool, {"spec": {"paused": False}})
            await self.api.patch(pool, {"metadata": {"annotations": {MARK: IDLE}}})
        await self._say(state, IDLE)

    def _others(self, node: Object, pool: Object) -> bool:
        """Whether another node of the pool still wants to be drained."""
        pools = self.cache.all(POOL)
        others = (n for n in self.cache.all(NODE) if name_of(n) != name_of(node))
        return any(said(n, MARK) != IDLE and pool_of(n, pools) == name_of(pool) for n in others)

    def _pool(self, node: Object) -> Object | None:
        if POOL not in self.watches:
            return None
        pools = self.cache.all(POOL)
        own = pool_of(node, pools)
        return next((pool for pool in pools if name_of(pool) == own), None)

    def _states(self) -> dict[str, Object]:
        return {name_of(state): state for state in self.cache.all(STATE)}

    async def _say(self, state: Object, current: str) -> None:
        await self.api.patch(state, {"metadata": {"annotations": {CURRENT: current}}})

    def _again(self, key: str) -> None:
        self.enqueue_later(key, max(self.twin.clock.real(TRY_S), 0.02))


def _leaves(pod: Object) -> bool:
    owner = controller_of(pod)
    return phase_of(pod) not in ENDED and (owner is None or owner["kind"] != "DaemonSet")
