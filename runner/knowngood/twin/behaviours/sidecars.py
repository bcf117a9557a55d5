"""The driver pod's other containers: nvidia_peermem, nvidia_fs and gdrdrv beside the GPU driver.

Their modules are built with the GPU driver, against the NIC driver that is loaded then. A DOCA pod takes peermem out
on its way; its container puts it back, and fails for ever where the GPU driver was built for another NIC driver.
"""

from __future__ import annotations

import asyncio

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import environment, node_of
from knowngood.twin.behaviours.programs import Failing, ProgramError, Tell
from knowngood.twin.nic_driver import NIC, OFED_READY, PEERMEM, ModuleError
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

PEERMEM_CONTAINER, FS_CONTAINER, COPY_CONTAINER = "nvidia-peermem-ctr", "nvidia-fs-ctr", "nvidia-gdrcopy-ctr"
MODULES = {FS_CONTAINER: "nvidia_fs", COPY_CONTAINER: "gdrdrv"}
RETRY_S, RETRY_MAX_S = 10.0, 300.0  # the container's restarts


class Sidecars:
    """Those that a driver pod has."""

    def __init__(self, twin: Twin, pod: Object) -> None:
        self._twin = twin
        self._node = node_of(pod)
        self._machine: Machine = twin.world.machines[self._node]
        self._containers = {c["name"]: c for c in pod["spec"]["containers"]}
        self._peermem = PEERMEM_CONTAINER in self._containers
        every = [environment(pod, container) for container in pod["spec"]["containers"]]
        self._host_ofed = any(env.get("USE_HOST_MOFED") == "true" for env in every)

    async def wait_for_ofed(self) -> None:
        """With legacy RDMA nothing is built before DOCA-OFED is there. With DMA-BUF nobody waits."""
        while self._peermem and not self._ofed_there():
            changed = asyncio.Event()
            self._machine.watchers.add(changed.set)
            if not self._ofed_there():
                await changed.wait()

    def check_unload(self, version: str) -> None:
        """Before the GPU driver is taken out, with its users gone. ProgramError: peermem is in use all the same."""
        held = self._twin.faults.active("peermem-will-not-unload", self._node, version)
        if held and PEERMEM in self._machine.modules:
            self._machine.hold_peermem()
            self._twin.faults.hit(held, module=PEERMEM)
        self._machine.release_peermem()
        try:
            self._machine.nic.remove_peermem()
        except ModuleError as error:
            raise ProgramError("Could not unload NVIDIA driver kernel modules, driver is in use") from error

    def built(self, version: str, nic_before: str) -> None:
        """The GPU driver was loaded; nic_before: the NIC driver that the one before it was built against."""
        fault = self._twin.faults.active("peermem-old-abi", self._node, version)
        if fault and self._peermem and nic_before not in {"", self._machine.nic.version}:
            self._machine.built_against(nic_before)
            self._twin.faults.hit(fault, version=version, abi=nic_before)

    def start(self) -> Failing:
        """Load what belongs to the driver; returns the containers that fail, with their last words."""
        for container, module in MODULES.items():
            if container in self._containers and module not in self._machine.modules:
                self._machine.load_beside(module, _tag(self._containers[container]))
        return self._insert()

    async def hold(self, failing: Failing, tell: Tell) -> None:
        """Run until cancelled; peermem is put back whenever a DOCA pod took it out."""
        backoff = RETRY_S
        while self._peermem:
            changed = asyncio.Event()
            self._machine.watchers.add(changed.set)
            now = self._insert()
            if now != failing:
                failing = now
                await tell(failing)
            if failing and self._ofed_there():
                await self._twin.clock.pause(backoff)
                backoff = min(backoff * 2, RETRY_MAX_S)
            else:
                backoff = RETRY_S
                await changed.wait()
        await asyncio.Event().wait()

    def _insert(self) -> Failing:
        if not self._peermem or PEERMEM in self._machine.modules:
            return {}
        if not self._ofed_there():
            return {PEERMEM_CONTAINER: "waiting for mellanox ofed and nvidia drivers to be installed"}
        try:
            self._machine.nic.insert_peermem()
        except ModuleError as error:
            return {PEERMEM_CONTAINER: f"{error}; failed to load nvidia-peermem module"}
        return {}

    def _ofed_there(self) -> bool:
        if self._host_ofed:
            return NIC in self._machine.modules
        return (self._machine.root / OFED_READY).exists()


def _tag(container: Object) -> str:
    """The version in a container's image, without its OS."""
    tag = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag.partition("-")[0]
