"""Machines that go down and come back, as the cluster sees them."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import (
    GPU,
    NODE,
    Object,
    condition,
    controller_of,
    merge_conditions,
)
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.objects import node_conditions

BOOT_S = 600.0
TOLERATION_S = 300.0
UNREACHABLE = "node.kubernetes.io/unreachable"


class Machines:
    """Takes nodes down and brings them back."""

    def __init__(self, twin: Twin, kubelets: Kubelets) -> None:
        self._twin = twin
        self._kubelets = kubelets

    async def start(self) -> None:
        """Tell the API which boot each node is in."""
        await self._twin.cache.ensure(NODE)
        for name in self._twin.world.machines:
            await self._post(name)

    async def go_down(self, name: str, cause: str) -> None:
        """The node falls silent: NotReady, unreachable, its pods not ready."""
        machine = self._twin.world.machines[name]
        if not machine.up:
            return
        machine.up = False
        self._twin.events.write("node-down", name, cause=cause)
        self._kubelets.node_down(name)
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        await self._twin.api.status(node, {"conditions": node_conditions(ready=False)})
        taints = [t for t in node["spec"].get("taints") or () if t["key"] != UNREACHABLE]
        taints += [{"key": UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        await self._twin.api.patch(node, {"spec": {"taints": taints}})
        for pod in self._twin.cache.pods_on(name):
            await self._not_ready(pod)
        self._twin.spawn(self._evict_later(name, machine.boot_id), f"taint eviction on {name}")

    async def _evict_later(self, name: str, boot_id: str) -> None:
        """What the taint manager does: after five minutes the pods of a lost node are deleted."""
        await self._twin.clock.sleep(TOLERATION_S)
        machine = self._twin.world.machines[name]
        if machine.up or machine.boot_id != boot_id:
            return
        for pod in self._twin.cache.pods_on(name):
            owner = controller_of(pod)
            if owner is None or owner["kind"] != "DaemonSet":
                await self._twin.api.delete(pod)

    async def come_back(self, name: str, cause: str) -> None:
        """The node boots: new boot id, no driver, its pods' containers start again."""
        machine = self._twin.world.machines[name]
        machine.boot(cause)
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        taints = [t for t in node["spec"].get("taints") or () if t["key"] != UNREACHABLE]
        await self._twin.api.patch(node, {"spec": {"taints": taints or None}})
        if machine.seed.gpus:
            await self._twin.api.status(node, {"allocatable": {GPU: "0"}})
        await self._post(name)
        self._twin.events.write("node-up", name)
        self._kubelets.node_up(name)

    async def reboot(self, name: str, cause: str, seconds: float = BOOT_S) -> None:
        """Down, and up again after so many seconds of the cluster's time."""
        await self.go_down(name, cause)
        await self._twin.clock.sleep(seconds)
        await self.come_back(name, cause)

    async def _post(self, name: str) -> None:
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        info = {**node["status"]["nodeInfo"], "bootID": self._twin.world.machines[name].boot_id}
        await self._twin.api.status(node, {"nodeInfo": info, "conditions": node_conditions(ready=True)})

    async def _not_ready(self, pod: Object) -> None:
        old = pod.get("status", {}).get("conditions") or ()
        new = condition("Ready", status=False, reason="NodeNotReady")
        await self._twin.api.status(pod, {"conditions": merge_conditions(old, [new])})
