"""The NIC configuration operator: burns what a NicFirmwareTemplate names, then resets the NICs, or boots the host.

It acts as soon as the template says so, on every node of its selector. It believes itself: after a reset it writes the
version that was asked for into the device's status, and an image that matches is never burned again.
(Mellanox/nic-configuration-operator nicdevice_controller.go.)
"""

from __future__ import annotations

import re

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, Kind, condition, labels_of, merge_conditions, name_of
from knowngood.twin.behaviours.maintenance import MAINTENANCE, is_ready
from knowngood.twin.host_files import NIC_TYPE, PSID, nic_address
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

API = "configuration.net.nvidia.com/v1alpha1"
TEMPLATE: Kind = (API, "NicFirmwareTemplate")
SOURCE: Kind = (API, "NicFirmwareSource")
DEVICE: Kind = (API, "NicDevice")
REQUESTOR = "configuration.nic.mellanox.com"
WAIT_LABEL = "network.nvidia.com/operator.nic-configuration.wait"
IN_PROGRESS = "FirmwareUpdateInProgress"
STARTED, FAILED, MATCH = "FirmwareUpdateStarted", "FirmwareUpdateFailed", "DeviceFirmwareConfigMatch"
BURN_S, RESET_S, BOOT_S, LOOK_S = 240.0, 30.0, 600.0, 2.0
LOOPS = 3
"""Boots after which a loop's node is left alone, for the twin must end."""
_VERSION = re.compile(r"(\d+)_(\d+)_(\d+)")


class NicFirmware(Controller):
    """One task a node at a time; what it began it ends, whatever the template says meanwhile."""

    name = "nic-configuration-operator"
    watches = (NODE, TEMPLATE, SOURCE, DEVICE, MAINTENANCE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._busy: set[str] = set()
        self._believed: dict[str, str] = {}  # what a node's devices are said to run
        found = twin.seed.nic_configuration
        self._space = found.namespace if found else ""

    async def start(self) -> None:
        """Its daemons tell of each device, then look at templates."""
        await self.cache.ensure(NODE)
        for machine in self.twin.world.machines.values():
            if machine.seed.nics:
                await self._label(machine.name, "false")
            for index in range(machine.seed.nics):
                device = self._device(machine, index)
                await self.api.ensure(device)
                await self.api.patch(device, {"status": device["status"]}, subresource="status")
        await super().start()

    def listen(self) -> None:
        """Any template, source or node may ask for something of any node."""
        self.every(NODE, name_of)
        self.every(SOURCE, lambda source: f"source {name_of(source)}")
        self.cache.listen(TEMPLATE, self._all)

    def _all(self, _event: str, _obj: Object) -> None:
        for name in self.twin.world.machines:
            self.enqueue(name)

    async def reconcile(self, key: str) -> None:
        """Fetch a source, or start a node's task."""
        kind, _, named = key.partition(" ")
        if named and kind == "source":
            await self._fetch(named)
            return
        machine, node = self.twin.world.machines.get(key), self.cache.get(NODE, key)
        if machine is None or node is None or not machine.seed.nics or not machine.up or key in self._busy:
            return
        wanted = await self._told(machine, node)
        if wanted is None or wanted == (
            self._believed.get(key) or machine.burned or machine.seed.nicFirmware
        ):
            return
        self._busy.add(key)
        self.twin.spawn(self._flash(machine, wanted), f"{self.name} {key}")

    async def _told(self, machine: Machine, node: Object) -> str | None:
        """The version of the only template that selects the node's devices: of two neither is applied."""
        found = [t for t in self.cache.all(TEMPLATE) if _selects(t, node)]
        if len(found) != 1:
            return None
        template = found[0]["spec"]["template"]
        for index in range(machine.seed.nics):
            device = self.cache.get(DEVICE, _named(machine.name, index), self._space)
            if device is not None and device["spec"].get("firmware") != template:
                await self.api.patch(device, {"spec": {"firmware": template}})
        source = self.cache.get(SOURCE, template["nicFirmwareSourceRef"], self._space)
        versions = ((source or {}).get("status") or {}).get("binaryVersions") or {}
        if template["updatePolicy"] != "Update":
            return None
        return next((version for version, psids in versions.items() if PSID in psids), None)

    async def _fetch(self, name: str) -> None:
        """Download an image and read which version it is, for which boards."""
        source = self.cache.get(SOURCE, name, self._space)
        if source is None or (source.get("status") or {}).get("state") == "Success":
            return
        urls = source["spec"].get("binUrlSources") or ()
        found = {".".join(m.groups()): [PSID] for url in urls if (m := _VERSION.search(url))}
        state = {"state": "Success", "binaryVersions": found} if found else {"state": "DownloadFailed"}
        await self.api.status(source, state)
        self._all("MODIFIED", source)

    async def _flash(self, machine: Machine, wanted: str) -> None:
        name = machine.name
        try:
            maintenance = await self._out(name)
            await self._say(machine, STARTED, running=True)
            await self._burn(machine, wanted)
            self._believed[name] = wanted
            await self._say(machine, MATCH, version=wanted)
            await self.api.delete(maintenance)
            await self._label(name, "false")
        finally:
            self._busy.discard(name)
            self.enqueue(name)

    async def _out(self, name: str) -> Object:
        """Ask for the node, and wait until the maintenance operator has taken it out."""
        await self._label(name, "true")
        called = f"nic-configuration-operator-{name}"
        asked: Object = {
            "apiVersion": MAINTENANCE[0],
            "kind": MAINTENANCE[1],
            "metadata": {"name": called, "namespace": self._space},
            "spec": {
                "requestorID": REQUESTOR,
                "nodeName": name,
                "cordon": True,
                "drainSpec": {"force": True, "deleteEmptyDir": True},
            },
        }
        await self.api.ensure(asked)
        while True:
            found = self.cache.get(MAINTENANCE, called, self._space)
            if found is not None and is_ready(found):
                return found
            await self.twin.clock.pause(LOOK_S)

    async def _burn(self, machine: Machine, wanted: str) -> None:
        name, active = machine.name, self.twin.faults.active
        if fault := active("nic-status-says-requested", name, wanted):
            self.twin.faults.hit(fault)
            return
        await self.twin.clock.sleep(BURN_S)
        machine.burn(wanted)
        machine.keeps_firmware = False
        if fault := active("nic-burned-not-running", name, wanted):
            self.twin.faults.hit(fault)
            machine.keeps_firmware = True
        elif fault := active("nic-reboot-loop", name, wanted):
            machine.keeps_firmware = True
            for _ in range(LOOPS):
                self.twin.faults.hit(fault)
                await self.twin.reboot(name, "nic-configuration", BOOT_S)
        elif fault := active("nic-reset-fails-reboots", name, wanted):
            self.twin.faults.hit(fault)
            await self.twin.reboot(name, "nic-configuration", BOOT_S)
        else:
            await self.twin.clock.sleep(RESET_S)
            machine.reset_nics()

    async def _say(self, machine: Machine, reason: str, *, version: str = "", running: bool = False) -> None:
        """What the devices' status says: the version is the one that was asked for."""
        for index in range(machine.seed.nics):
            device = self.cache.get(DEVICE, _named(machine.name, index), self._space)
            if device is None:
                continue
            old = (device.get("status") or {}).get("conditions") or ()
            said = merge_conditions(old, [condition(IN_PROGRESS, running, reason)])
            await self.api.status(
                device, {"conditions": said, **({"firmwareVersion": version} if version else {})}
            )

    async def _label(self, name: str, waits: str) -> None:
        if node := self.cache.get(NODE, name):
            await self.api.patch(node, {"metadata": {"labels": {WAIT_LABEL: waits}}})

    def _device(self, machine: Machine, index: int) -> Object:
        port = {"pci": nic_address(index), "rdmaInterface": f"mlx5_{index}"}
        status = {
            "node": machine.name,
            "type": NIC_TYPE,
            "psid": PSID,
            "firmwareVersion": machine.seed.nicFirmware,
            "ports": [port],
        }
        metadata = {"name": _named(machine.name, index), "namespace": self._space}
        return {"apiVersion": API, "kind": DEVICE[1], "metadata": metadata, "spec": {}, "status": status}


def _named(node: str, index: int) -> str:
    return f"{node}-{NIC_TYPE}-{index}"


def _selects(template: Object, node: Object) -> bool:
    wanted, labels = template["spec"].get("nodeSelector") or {}, labels_of(node)
    return template["spec"]["nicSelector"]["nicType"] == NIC_TYPE and all(
        labels.get(key) == value for key, value in wanted.items()
    )
