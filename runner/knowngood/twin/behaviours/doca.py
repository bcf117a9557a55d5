"""The DOCA-OFED pod: builds its driver, takes the loaded one out and its own in, and holds.

As the container of 26.x: the same driver is not loaded anew, so that a restarted pod proves nothing; the build comes
first and is kept on the host; nvidia_peermem must go before, and NFS over RDMA is loaded only where the policy says
so. The driver stays when the pod goes, unless RESTORE_DRIVER_ON_POD_TERMINATION asks for the kernel's own.
"""

from __future__ import annotations

import re

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import NODE, controller_of, environment, labels_of, node_of
from knowngood.twin.behaviours.nic_manifests import OFED_LABEL, TOOLKIT_CONTAINER
from knowngood.twin.behaviours.programs import Program, ProgramError, Ready
from knowngood.twin.nic_driver import OFED_READY, PEERMEM, ModuleError
from knowngood.twin.objects import RDMA, RDMA_SHARES
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

PREPARE_S = 10.0
BUILD_S = 180.0  # from local packages; a first compilation without them takes longer
INSTALL_S = 20.0  # what an earlier pod built for this kernel
RESTART_S = 20.0  # the ports are gone for that long
PLUGIN_S = 5.0
INVENTORY = "var/opt/mofed-container/inventory"
_REPORTED = re.compile(r"\d{2}\.\d{2}-\d+\.\d+\.\d+")


def reported(version: str) -> str:
    """What mlx5_core says of an image's version: the release and its first three numbers."""
    found = _REPORTED.search(version)
    return found.group() if found else version


def version_of(pod: Object) -> str:
    """The DOCA version in the image's tag, "" for a digest."""
    image = str(pod["spec"]["containers"][0]["image"])
    return "" if "@" in image else image.rpartition("/")[2].partition(":")[2]


def ofed_info(pod: Object) -> str:
    """What `ofed_info -s` prints in the pod: the packages of its image, whatever the kernel has loaded."""
    return f"OFED-internal-{reported(version_of(pod))}:\n"


class DocaProgram(Program):
    """One DOCA pod on one node."""

    def __init__(self, twin: Twin, pod: Object) -> None:
        super().__init__(twin, pod)
        self.node = node_of(pod)
        self.machine: Machine = twin.world.machines[self.node]
        self.version = reported(version_of(pod)) or self.machine.seed.docaOfed
        env = environment(pod, pod["spec"]["containers"][0])
        self._nfs = env.get("ENABLE_NFSRDMA") == "true"
        self._storage = env.get("UNLOAD_STORAGE_MODULES") == "true"
        self._restore = env.get("RESTORE_DRIVER_ON_POD_TERMINATION") == "true"
        self._toolkit = any(c["name"] == TOOLKIT_CONTAINER for c in pod["spec"]["containers"])
        self._loaded = False

    async def run(self, ready: Ready) -> int:
        """Check, build, load, tell; then hold."""
        twin, nic = self.twin, self.machine.nic
        twin.events.write(
            "doca-pod-started", self.node, pod=self.pod["metadata"]["name"], version=self.version
        )
        self.machine.remove([OFED_READY])
        nic.left_to_a_pod()
        await twin.clock.sleep(PREPARE_S)
        self._clear_the_way()
        await self._build()
        if nic.version != self.version or (self._nfs and not nic.nfs):
            await self._reload()
        self.machine.write(OFED_READY, "")
        await ready()
        return await super().hold()

    async def stop(self, grace: float) -> None:
        """The driver stays; its mark goes. With RESTORE_DRIVER_ON_POD_TERMINATION the kernel's own comes back."""
        self.machine.remove([OFED_READY])
        if self._restore and self._loaded:
            nic = self.machine.nic
            try:
                nic.unload()
            except ModuleError:
                return
            await self.twin.clock.sleep(RESTART_S)
            nic.load("")
            nic.restore_vfs()
        await super().stop(grace)

    def _clear_the_way(self) -> None:
        """Before anything is built: peermem out, and no storage module that may not be unloaded."""
        nic, faults = self.machine.nic, self.twin.faults
        held = faults.active("peermem-will-not-unload", self.node, self.version)
        if held and PEERMEM in self.machine.modules:
            self.machine.hold_peermem()
            faults.hit(held, module=PEERMEM)
        try:
            nic.remove_peermem()
        except ModuleError as error:
            raise ProgramError(f"failed to unload nvidia_peermem module: {error}") from error
        if nic.nfs and not self._storage:
            raise ProgramError("storage modules are loaded and UNLOAD_STORAGE_MODULES is not true")

    async def _build(self) -> None:
        built = f"{INVENTORY}/{self.machine.seed.kernel}/{self.version}.checksum"
        if self.machine.read(built):
            await self.twin.clock.sleep(INSTALL_S)
            return
        await self.twin.clock.sleep(BUILD_S)
        fault = self.twin.faults.active("doca-dtk-mismatch", self.node, self.version)
        if fault and self._toolkit:
            self.twin.faults.hit(fault, version=self.version)
            kernel = self.machine.seed.kernel
            raise ProgramError(f"timeout awaiting DTK compilation: its kernel packages are not of {kernel}")
        self.machine.write(built, "built\n")

    async def _reload(self) -> None:
        nic, faults = self.machine.nic, self.twin.faults
        try:
            nic.unload()
        except ModuleError as error:
            raise ProgramError(f"failed to restart openibd service: {error}") from error
        await self.twin.clock.sleep(RESTART_S)
        nic.load(self.version)
        self._loaded = True
        if self._nfs:
            fault = faults.active("rpcrdma-stays-out", self.node, self.version)
            if fault:
                faults.hit(fault, version=self.version)
            else:
                nic.load_nfs()
        nic.restore_vfs()


class RdmaPluginProgram(Program):
    """The shared RDMA device plugin: offers its devices while it runs."""

    async def run(self, ready: Ready) -> int:
        """Offer, then hold."""
        await self.twin.clock.sleep(PLUGIN_S)
        await self._offer(RDMA_SHARES)
        await ready()
        return await super().hold()

    async def stop(self, grace: float) -> None:
        """What it offered is gone."""
        await self._offer("0")
        await super().stop(grace)

    async def _offer(self, count: str) -> None:
        node = self.twin.cache.get(NODE, node_of(self.pod))
        if node is not None and (node["status"].get("allocatable") or {}).get(RDMA) != count:
            await self.twin.api.status(node, {"allocatable": {RDMA: count}})


def nic_program(twin: Twin, pod: Object) -> Program | None:
    """The program of a Network Operator pod; None for all others."""
    owner = controller_of(pod)
    if owner is None or owner["kind"] != "DaemonSet":
        return None
    if OFED_LABEL in labels_of(pod):
        return DocaProgram(twin, pod)
    if owner["name"].startswith("rdma-shared-dp-ds"):
        return RdmaPluginProgram(twin, pod)
    return None
