"""The node-lifecycle controller: a cordon's taint, and what becomes of a node that nobody hears from.

Machines of this process say themselves when they fall silent. Nodes of others are heard of by their Leases.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import aiohttp

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.heartbeats import LEASE
from knowngood.twin.behaviours.heartbeats import NAMESPACE as LEASES
from knowngood.twin.behaviours.kube import (
    NODE,
    POD,
    condition,
    controller_of,
    merge_conditions,
    moment,
    name_of,
    stamp,
)
from knowngood.twin.client import ClientError
from knowngood.twin.objects import node_conditions
from knowngood.twin.values import Object

log = logging.getLogger("twin")

TOLERATION_S = 300.0
MONITOR_S, GRACE_S = 5.0, 50.0  # upstream's, in real seconds as Leases are
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

Taints = list[Object]


class NodeLifecycle(Controller):
    """Keeps the taint of cordons, and tends nodes that fall silent and come back."""

    name = "node-lifecycle-controller"
    watches = (NODE, POD)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._silent: dict[str, object] = {}  # node -> one such silence

    async def start(self) -> None:
        """Watch nodes, and the Leases of those that are not ours."""
        await super().start()
        self.twin.spawn(self._listen_to_others(), f"{self.name}: leases")

    def listen(self) -> None:
        """A node whose cordon and taint differ."""
        self.every(NODE, lambda node: name_of(node) if _is_cordoned(node) != _is_tainted(node) else None)

    async def reconcile(self, key: str) -> None:
        """Add or remove the cordon's taint."""
        node = self.cache.get(NODE, key)
        if node is None or _is_cordoned(node) == _is_tainted(node):
            return
        others = [one for one in _taints(node) if one["key"] != UNSCHEDULABLE]
        added = [_taint(UNSCHEDULABLE, "NoSchedule")] if _is_cordoned(node) else []
        await self._write(node, others + added)  # a 409 comes again in a moment, on the newer state

    async def lost(self, name: str) -> None:
        """Nobody hears from the node: conditions Unknown, tainted, its pods not ready and after a while deleted."""
        node = self.cache.get(NODE, name)
        if node is None:
            return
        silence = self._silent[name] = object()
        await self.api.status(node, {"conditions": node_conditions(ready=False)})
        unreachable = [_taint(UNREACHABLE, effect) for effect in ("NoSchedule", "NoExecute")]
        await self._retaint(name, lambda others: others + unreachable)
        for pod in self.cache.pods_on(name):
            old = pod.get("status", {}).get("conditions") or ()
            new = condition("Ready", status=False, reason="NodeNotReady")
            await self.api.status(pod, {"conditions": merge_conditions(old, [new])})
        self.twin.spawn(self._evict_later(name, silence), f"taint eviction on {name}")

    async def found(self, name: str) -> None:
        """The node is heard of again."""
        self._silent.pop(name, None)
        await self._retaint(name, lambda others: others)

    async def _listen_to_others(self) -> None:
        while True:
            await asyncio.sleep(MONITOR_S)
            others = {name_of(node) for node in self.cache.all(NODE)} - set(self.twin.world.machines)
            if not others:
                continue
            try:
                leases = (await self.twin.client.list(LEASE, LEASES)).items
                for lease in leases:
                    if name_of(lease) in others:  # a virtual node has none, and is never missed
                        await self._hear(name_of(lease), moment(lease["spec"]["renewTime"]))
            except (ClientError, aiohttp.ClientError, TimeoutError) as error:
                log.debug("%s: %s", self.name, error)

    async def _hear(self, name: str, renewed: float) -> None:
        silent = time.time() - renewed > GRACE_S
        if silent and name not in self._silent:
            await self.lost(name)
        elif not silent and name in self._silent:
            await self.found(name)

    async def _retaint(self, name: str, change: Callable[[Taints], Taints]) -> None:
        """Write what becomes of the taints without `unreachable`, on whatever state the node has by then."""
        while True:
            node = await self.api.get(NODE, name)
            if node is None:
                return
            try:
                await self._write(node, change([one for one in _taints(node) if one["key"] != UNREACHABLE]))
            except ClientError as error:
                if error.code != 409:
                    raise
            else:
                return

    async def _write(self, node: Object, taints: Taints) -> None:
        """409 where the node has changed since it was read: others write taints too."""
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        await self.api.patch(node, {"metadata": version, "spec": {"taints": taints or None}})

    async def _evict_later(self, name: str, silence: object) -> None:
        """What the taint manager does: after five minutes the pods of a lost node are deleted."""
        await self.twin.clock.sleep(TOLERATION_S)
        if self._silent.get(name) is not silence:
            return
        for pod in self.cache.pods_on(name):
            owner = controller_of(pod)
            if owner is None or owner["kind"] != "DaemonSet":
                await self.api.delete(pod)


def _taints(node: Object) -> Taints:
    return list(node["spec"].get("taints") or ())


def _is_cordoned(node: Object) -> bool:
    return bool(node["spec"].get("unschedulable"))


def _is_tainted(node: Object) -> bool:
    return any(one["key"] == UNSCHEDULABLE for one in _taints(node))


def _taint(key: str, effect: str) -> Object:
    return {"key": key, "effect": effect, "timeAdded": stamp()}
