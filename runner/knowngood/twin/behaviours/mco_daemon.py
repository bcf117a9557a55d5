"""machine-config-daemon on every machine: ask for the drain, boot into the new config, ask for the uncordon."""

from __future__ import annotations

from knowngood.twin.behaviours import mco_nodes as mco
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, annotations_of, name_of
from knowngood.twin.objects import os_release
from knowngood.twin.values import Object
from knowngood.twin.world import Staged

BOOT_S = 600.0
LONG_BOOT_S = 900.0
NEVER_S = 365 * 86400.0


class MachineConfigDaemons(Controller):
    """One step of one node a pass. What a node began it ends, whatever its pool says meanwhile."""

    name = "machine-config-daemon"
    watches = (NODE, mco.CONFIG)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._target: dict[str, str] = {}  # what a node is on its way to
        self._booted: dict[str, str] = {}  # into what it booted; "" while it boots

    def listen(self) -> None:
        """A node changed."""
        self.every(NODE, name_of)

    async def reconcile(self, key: str) -> None:
        """Go on with what the node was told."""
        node = self.cache.get(NODE, key)
        if node is None or key not in self.twin.world.machines:
            return
        said = annotations_of(node)
        if key not in self._target:
            if said.get(mco.CURRENT) == said.get(mco.DESIRED) or not said.get(mco.DESIRED):
                return
            self._target[key] = said[mco.DESIRED]
        wanted = self._target[key]
        drain, uncordon = f"drain-{wanted}", f"uncordon-{wanted}"
        applied = said.get(mco.DRAINED)
        if said.get(mco.DRAIN) == uncordon and self._booted.get(key) == wanted:
            if applied == uncordon:
                await self._say(node, {mco.CURRENT: wanted, mco.STATE: mco.DONE})
                self.twin.events.write("config-done", key, config=wanted)
                del self._target[key], self._booted[key]
                self.enqueue(key)
        elif said.get(mco.DRAIN) != drain:
            await self._say(node, {mco.DRAIN: drain, mco.STATE: mco.WORKING})
        elif applied == drain and key not in self._booted:
            self._booted[key] = ""
            self.twin.spawn(self._boot(key, wanted), f"boot of {key}")

    async def _boot(self, name: str, wanted: str) -> None:
        seconds = BOOT_S
        if fault := self.twin.faults.active("boot-takes-15-minutes", name):
            seconds = fault.number("seconds", LONG_BOOT_S)
            self.twin.faults.hit(fault, seconds=seconds)
        if fault := self.twin.faults.active("kubelet-stays-away", name):
            seconds = fault.number("seconds", NEVER_S)
            self.twin.faults.hit(fault)
        self._stage(name, wanted)
        await self.twin.reboot(name, "machine-config", seconds)
        self._booted[name] = wanted
        node = self.cache.get(NODE, name)
        if node is not None:
            await self._say(node, {mco.DRAIN: f"uncordon-{wanted}"})

    def _stage(self, name: str, wanted: str) -> None:
        """The config of another release brings its operating system."""
        config = self.cache.get(mco.CONFIG, wanted)
        version = annotations_of(config).get(mco.RELEASE, "") if config else ""
        payloads = self.twin.seed.cluster_version.payloads if self.twin.seed.cluster_version else ()
        payload = next((p for p in payloads if p.version == version), None)
        machine = self.twin.world.machines[name]
        if payload is not None and machine.release != os_release(version):
            machine.stage(Staged(payload.kernel, payload.kubernetes, os_release(version)))

    async def _say(self, node: Object, words: dict[str, str]) -> None:
        await self.api.patch(node, {"metadata": {"annotations": words}})
