"""The driver pod: k8s-driver-manager in its init container, then the driver container.

As 26.3 and later: an unchanged digest keeps the loaded module and installs user space only; else the manager
parks the operands, cordons, evicts GPU pods, unloads the module, and uncordons before the driver is even built.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from knowngood.twin import host_files
from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import MAY_NOT_GO, Twin
from knowngood.twin.behaviours.indices import NODE as ON_NODE
from knowngood.twin.behaviours.kube import (
    GPU,
    NODE,
    POD,
    controller_of,
    deleting,
    environment,
    labels_of,
    node_of,
    phase_of,
    requests,
)
from knowngood.twin.behaviours.programs import Program, ProgramError, PullError, Ready
from knowngood.twin.behaviours.sidecars import Sidecars
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object
from knowngood.twin.world import DRIVER_STATE, FABRIC_MANAGER, Machine

PAUSED = "paused-for-driver-upgrade"
NOT_AGAIN, VALIDATOR = "validator-not-run-again", "nvidia-operator-validator"
DRIVER_READY = "run/nvidia/validations/.driver-ctr-ready"
MANAGER_S = 10.0  # start, read the node, park
UNLOAD_S = 5.0
BUILD_S = 90.0  # compile against the driver toolkit, load
USER_SPACE_S = 20.0
WAIT_S = 300.0  # for operands and GPU pods to go, as the manager's time-out


class DriverProgram(Program):
    """One driver pod on one node."""

    has_init = True

    def __init__(self, twin: Twin, pod: Object) -> None:
        super().__init__(twin, pod)
        self.node = node_of(pod)
        self.machine: Machine = twin.world.machines[self.node]
        env = environment(pod, pod["spec"]["containers"][0])
        self.version = version_of(pod["spec"]["containers"][0]["image"])
        self.digest = env.get(manifests.DIGEST_ENV, "")
        self.kind = env.get(manifests.TYPE_ENV, "auto")
        self.sidecars = Sidecars(twin, pod)
        self._nic_before = ""
        self.kept = False  # the module of an equal digest, or one that a fault holds

    async def init(self) -> None:
        """What k8s-driver-manager does."""
        twin = self.twin
        twin.events.write(
            "driver-pod-started", self.node, pod=self.pod["metadata"]["name"], version=self.version
        )
        self.machine.remove([DRIVER_READY])
        await self.sidecars.wait_for_ofed()
        await twin.clock.sleep(MANAGER_S)
        loaded = self.machine.driver
        self._nic_before = loaded.abi if loaded else ""
        self.kept = loaded is not None and self.machine.read(DRIVER_STATE) == self.digest
        parked = await self._park()
        try:
            await self._wait_gone(self._operands, "operands to terminate")
            if not self.kept and loaded is not None:
                await self._uninstall()
        finally:
            await self._unpark(parked)

    async def run(self, ready: Ready) -> int:
        """Build, load, install; then hold."""
        twin = self.twin
        self._check_image()
        await twin.clock.sleep(USER_SPACE_S if self.kept else BUILD_S)
        if not self.kept:
            self._check_modules()
            self._check_second_load()
            self.machine.load_driver(self.version, self._flavour())
            self.sidecars.built(self.version, self._nic_before)
        self.machine.install_user_space(self.version)
        self.machine.start_fabric_manager()
        self.machine.write(DRIVER_STATE, self.digest)
        self.machine.write(DRIVER_READY, "")
        failing = self.sidecars.start()
        if failing:
            await self.tell(failing)
        await ready()
        await self.sidecars.hold(failing, self.tell)
        return 0

    def _check_image(self) -> None:
        """An image of another operating system is not there; the old module was taken out before that was seen."""
        image = self.pod["spec"]["containers"][0]["image"]
        wrong = self.twin.faults.active("os-tag-of-one-node", "", self.version)
        if wrong and not image.endswith(f"-{self.twin.os[0]}"):
            raise PullError(f"Failed to pull image {image}: manifest unknown")

    def _check_modules(self) -> None:
        """Where a system's image brings the modules and lacks them, there is nothing to load."""
        system = self.machine.release["PRETTY_NAME"].partition("(v")[2].rstrip(")")
        fault = self.twin.faults.active("talos-image-without-driver", self.node, system)
        if fault:
            self.twin.faults.hit(fault, version=system)
            raise ProgramError("modprobe: FATAL: Module nvidia not found in directory /lib/modules")

    def _check_second_load(self) -> None:
        """What was loaded well once may be built for symbols that only its first load found."""
        fault = self.twin.faults.active("fails-at-second-load", self.node, self.version)
        if fault and self.version in self.machine.came:
            self.twin.faults.hit(fault, version=self.version)
            raise ProgramError(
                "modprobe: ERROR: could not insert 'nvidia': disagrees about version of symbol"
            )

    def _flavour(self) -> str:
        """Which modules it loads; `auto` leaves that to the driver container."""
        if self.kind == "auto":
            fault = self.twin.faults.active("auto-picks-other-flavour", self.node, self.version)
            if fault:
                self.twin.faults.hit(fault, version=self.version)
                return host_files.PROPRIETARY
        return host_files.PROPRIETARY if self.kind == "proprietary" else host_files.OPEN

    async def stop(self, grace: float) -> None:
        """The module stays; the marker that operands wait for goes, and the daemons of the container."""
        self.machine.remove([DRIVER_READY, FABRIC_MANAGER])
        await super().stop(grace)

    async def _uninstall(self) -> None:
        """Cordon, evict, unload, uncordon; on the failure path too."""
        await self._cordon(on=True)
        try:
            await self._evict()
            await self._unload()
        finally:
            # Whoever cordoned before: the manager uncordons (until a version after 0.12).
            await self._cordon(on=False)

    async def _unload(self) -> None:
        fault = self.twin.faults.active("driver-in-use", self.node, self.version)
        if fault:
            self.twin.faults.hit(fault, version=self.version)
            raise ProgramError("Could not unload NVIDIA driver kernel modules, driver is in use")
        if holder := self.twin.faults.active("host-process-has-gpu-open", self.node, ""):
            self.twin.faults.hit(holder, version=self.version)
            raise ProgramError("Could not unload NVIDIA driver kernel modules, driver is in use")
        if self._gpu_pods():
            raise ProgramError("Could not unload NVIDIA driver kernel modules, GPU pods are running")
        stuck = self.twin.faults.active("module-not-reloaded", self.node, self.version)
        if stuck:
            self.twin.faults.hit(stuck, version=self.version)
            self.kept = True
            return
        self.sidecars.check_unload(self.version)
        await self.twin.clock.sleep(UNLOAD_S)
        self.machine.unload_driver()

    async def _park(self) -> dict[str, str]:
        """Pause the operands by their labels; returns the values to put back."""
        node = self._get_node()
        before = {name: labels_of(node).get(name, "") for name in manifests.PARKED_LABELS}
        if fault := self.twin.faults.active(NOT_AGAIN, self.node, self.version):
            before.pop(f"{manifests.DEPLOY}operator-validator", None)
            self.twin.faults.hit(fault, version=self.version)
        parked = {name: value for name, value in before.items() if value == "true"}
        if parked:
            await self.twin.api.patch(node, {"metadata": {"labels": dict.fromkeys(parked, PAUSED)}})
        # What an earlier, killed manager left parked is ours to put back too.
        return {name: "true" for name, value in before.items() if value in {"true", PAUSED}}

    async def _unpark(self, parked: dict[str, str]) -> None:
        fault = self.twin.faults.active("operands-left-paused", self.node, self.version)
        if fault:
            self.twin.faults.hit(fault, labels=sorted(parked))
        elif parked:
            await self.twin.api.patch(self._get_node(), {"metadata": {"labels": parked}})

    async def _cordon(self, *, on: bool) -> None:
        node = self._get_node()
        if bool(node["spec"].get("unschedulable")) != on:
            await self.twin.api.patch(node, {"spec": {"unschedulable": True if on else None}})

    async def _evict(self) -> None:
        for pod in self._gpu_pods():
            if not deleting(pod):
                await self._evict_one(pod)
        await self._wait_gone(self._gpu_pods, "GPU pods to terminate")

    async def _evict_one(self, pod: Object) -> None:
        deadline = time.monotonic() + self.twin.clock.real(WAIT_S)
        while True:
            try:
                await self.twin.api.evict(pod)
            except ClientError as error:
                if error.code == 404:
                    return
                if error.code not in MAY_NOT_GO:
                    raise
                if time.monotonic() >= deadline:
                    raise ProgramError(f"Failed to evict GPU pods: {error.body.get('message')}") from error
                await self.twin.clock.sleep(5.0)
            else:
                return

    async def _wait_gone(self, who: Callable[[], list[Object]], what: str) -> None:
        try:
            async with asyncio.timeout(max(self.twin.clock.real(WAIT_S), 5.0)):
                while who():
                    await self.twin.cache.changed((POD, ON_NODE, self.node))
        except TimeoutError as error:
            raise ProgramError(f"timed out waiting for {what}") from error

    def _operands(self) -> list[Object]:
        """Of the operands, those that are parked: it waits for no other."""
        spared = {VALIDATOR} if self.twin.faults.active(NOT_AGAIN, self.node, self.version) else set()
        return [p for p in self._pods() if _daemon_set_of(p) in manifests.OPERANDS.keys() - spared]

    def _gpu_pods(self) -> list[Object]:
        """Pods that ask for a GPU, as the manager's filter sees them: not those of DaemonSets."""
        pods = [
            p for p in self._pods() if GPU in requests(p["spec"]) and phase_of(p) in {"Pending", "Running"}
        ]
        return [p for p in pods if not _daemon_set_of(p)]

    def _pods(self) -> Iterable[Object]:
        return self.twin.cache.pods_on(self.node)

    def _get_node(self) -> Object:
        node = self.twin.cache.get(NODE, self.node)
        if node is None:
            raise ProgramError(f"node {self.node} not found")
        return node


def version_of(image: str) -> str:
    """The driver's version by its image: what stands before the kernel and the operating system; a digest as it is."""
    name, at, seen = image.partition("@")
    return seen if at else name.rpartition(":")[2].partition("-")[0]


def _daemon_set_of(pod: Object) -> str:
    owner = controller_of(pod)
    return str(owner["name"]) if owner and owner["kind"] == "DaemonSet" else ""
