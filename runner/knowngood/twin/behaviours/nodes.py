"""Machines that go down and come back, as the cluster sees them."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import GPU, NODE, labels_of
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.objects import node_conditions, os_labels

BOOT_S = 600.0
LOOK_S = 5.0
DISCOVERY_S = 30.0


class Machines:
    """Takes machines down and brings them back."""

    def __init__(self, twin: Twin, kubelets: Kubelets, lifecycle: NodeLifecycle | None = None) -> None:
        self._twin = twin
        self._kubelets = kubelets
        self._cycles: dict[str, int] = {}
        self._lifecycle = lifecycle  # None: a real one takes its place, and goes by the nodes' Leases

    async def start(self) -> None:
        """Tell the API which boot each node is in."""
        await self._twin.cache.ensure(NODE)
        for name in self._twin.world.machines:
            await self._post(name)

    async def go_down(self, name: str, cause: str) -> None:
        """The node falls silent."""
        machine = self._twin.world.machines[name]
        if not machine.up:
            return
        machine.up = False
        self._twin.events.write("node-down", name, cause=cause)
        self._kubelets.node_down(name)
        if self._lifecycle is not None:
            await self._lifecycle.lost(name)

    async def come_back(self, name: str, cause: str) -> None:
        """The node boots: new boot id, no driver, its pods' containers start again."""
        machine = self._twin.world.machines[name]
        machine.boot(cause)
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        if self._lifecycle is not None:
            await self._lifecycle.found(name)
        if machine.seed.gpus:
            await self._twin.api.status(node, {"allocatable": {GPU: "0"}})
        await self._post(name)
        self._twin.events.write("node-up", name)
        self._twin.spawn(self._discover(name), f"NFD on {name}")
        self._kubelets.node_up(name)

    async def reboot(self, name: str, cause: str, seconds: float = BOOT_S) -> None:
        """Down, and up again after so many seconds of the cluster's time.

        A later power cycle begins the boot anew: whoever asked for the earlier one waits for the later one's end.
        """
        self._cycles[name] = mine = self._cycles.get(name, 0) + 1
        await self.go_down(name, cause)
        await self._twin.clock.sleep(seconds)
        if self._cycles[name] == mine:
            await self.come_back(name, cause)
        while not self._twin.world.machines[name].up:
            await self._twin.clock.pause(LOOK_S)

    async def _post(self, name: str) -> None:
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        machine = self._twin.world.machines[name]
        info = {
            **node["status"]["nodeInfo"],
            "bootID": machine.boot_id,
            "kernelVersion": machine.seed.kernel,
            "osImage": machine.release["PRETTY_NAME"],
            **({"kubeletVersion": machine.kubelet} if machine.kubelet else {}),
        }
        await self._twin.api.status(node, {"nodeInfo": info, "conditions": node_conditions(ready=True)})

    async def _discover(self, name: str) -> None:
        """NFD looks at the host some time after the boot; until then its labels say what was there before."""
        machine = self._twin.world.machines[name]
        await self._twin.clock.sleep(DISCOVERY_S)
        node = self._twin.cache.get(NODE, name)
        openshift = bool(self._twin.seed.openshift)
        found = os_labels(machine.release, machine.seed.kernel, openshift=openshift)
        if node is not None and machine.up and any(labels_of(node).get(k) != v for k, v in found.items()):
            await self._twin.api.patch(node, {"metadata": {"labels": found}})
