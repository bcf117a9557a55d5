"""The node-lifecycle controller: a cordon's taint, and what becomes of a node that nobody hears from."""

from __future__ import annotations

from collections.abc import Callable

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    NODE,
    POD,
    condition,
    controller_of,
    merge_conditions,
    name_of,
    stamp,
)
from knowngood.twin.client import ClientError
from knowngood.twin.objects import node_conditions
from knowngood.twin.values import Object

TOLERATION_S = 300.0
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

Taints = list[Object]


class NodeLifecycle(Controller):
    """Keeps the taint of cordons; machines tell it themselves when they fall silent and when they are back."""

    name = "node-lifecycle-controller"
    watches = (NODE, POD)

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
        boot_id = self.twin.world.machines[name].boot_id
        await self.api.status(node, {"conditions": node_conditions(ready=False)})
        unreachable = [_taint(UNREACHABLE, effect) for effect in ("NoSchedule", "NoExecute")]
        await self._retaint(name, lambda others: others + unreachable)
        for pod in self.cache.pods_on(name):
            old = pod.get("status", {}).get("conditions") or ()
            new = condition("Ready", status=False, reason="NodeNotReady")
            await self.api.status(pod, {"conditions": merge_conditions(old, [new])})
        self.twin.spawn(self._evict_later(name, boot_id), f"taint eviction on {name}")

    async def found(self, name: str) -> None:
        """The node is heard of again."""
        await self._retaint(name, lambda others: others)

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

    async def _evict_later(self, name: str, boot_id: str) -> None:
        """What the taint manager does: after five minutes the pods of a lost node are deleted."""
        await self.twin.clock.sleep(TOLERATION_S)
        machine = self.twin.world.machines[name]
        if machine.up or machine.boot_id != boot_id:
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
