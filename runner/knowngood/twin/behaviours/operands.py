"""The GPU Operator's operands on a node: each waits for the one before it, then does its work."""

from __future__ import annotations

import asyncio
from pathlib import Path

from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.driver import DRIVER_READY, DriverProgram
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DRIVER_COMPONENT,
    GPU,
    NODE,
    controller_of,
    labels_of,
    node_of,
)
from knowngood.twin.behaviours.programs import Program, ProgramError, Ready
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

VALIDATIONS = "run/nvidia/validations"
TOOLKIT, PLUGIN = "nvidia-container-toolkit-daemonset", "nvidia-device-plugin-daemonset"
GFD, VALIDATOR = "gpu-feature-discovery", "nvidia-operator-validator"
# DaemonSet -> (file it waits for, file it writes, seconds it takes); the others wait for the toolkit, write nothing
STEPS = {
    TOOLKIT: (DRIVER_READY, f"{VALIDATIONS}/toolkit-ready", 8.0),
    PLUGIN: (f"{VALIDATIONS}/toolkit-ready", f"{VALIDATIONS}/plugin-ready", 8.0),
    VALIDATOR: (f"{VALIDATIONS}/plugin-ready", f"{VALIDATIONS}/cuda-ready", 15.0),
}
OTHERS = (f"{VALIDATIONS}/toolkit-ready", "", 6.0)
POLL_S = 5.0  # the validators' own interval


class OperandProgram(Program):
    """One operand pod."""

    has_init = True

    def __init__(self, twin: Twin, pod: Object, name: str) -> None:
        super().__init__(twin, pod)
        self.name = name
        self.node = node_of(pod)
        self.machine: Machine = twin.world.machines[self.node]
        self._waits, self._writes, self._seconds = STEPS.get(name, OTHERS)

    async def init(self) -> None:
        """Wait for what must be there before."""
        while not self._there(self._waits):
            changed = asyncio.Event()
            self.machine.watchers.add(changed.set)
            await changed.wait()
            await self.twin.clock.sleep(POLL_S)  # it looks at intervals: seldom at the very moment
        if self.name == VALIDATOR:
            self._validate()

    async def run(self, ready: Ready) -> int:
        """Do the operand's work."""
        await self.twin.clock.sleep(self._seconds)
        if self.name == PLUGIN:
            await advertise(self.twin, self.machine)
        elif self.name == GFD:
            await self._label()
        if self._writes:
            self.machine.write(self._writes, "")
        await ready()
        return await self.hold()

    async def stop(self, grace: float) -> None:
        """What it offered is gone."""
        if self._writes:
            self.machine.remove([self._writes])
        if self.name == PLUGIN:
            await set_allocatable(self.twin, self.node, 0)
        await super().stop(grace)

    def _there(self, path: str) -> bool:
        return self.machine.driver is not None and Path(self.machine.root, path).exists()

    def _validate(self) -> None:
        version = self.machine.driver.version if self.machine.driver else ""
        fault = self.twin.faults.active("validator-missing", self.node, version)
        if fault:
            self.twin.faults.hit(fault, version=version)
            raise ProgramError("cuda-validation: exit status 1: failed to validate the driver")

    async def _label(self) -> None:
        driver = self.machine.driver
        node = self.twin.cache.get(NODE, self.node)
        if driver is None or node is None:
            return
        fault = self.twin.faults.active("stale-gfd-label", self.node, driver.version)
        old = "nvidia.com/cuda.driver-version.full" in labels_of(node)
        if fault and old:
            self.twin.faults.hit(fault, version=driver.version)
            return
        labels = gpu_labels(self.machine, driver.version)
        change = {name: value for name, value in labels.items() if labels_of(node).get(name) != value}
        if change:
            await self.twin.api.patch(node, {"metadata": {"labels": change}})


async def advertise(twin: Twin, machine: Machine) -> None:
    """The device plugin tells the kubelet how many GPUs are healthy."""
    there, all_of_them = machine.devices(len(machine.gpus())), machine.devices(machine.seed.gpus)
    await set_allocatable(twin, machine.name, there, capacity=all_of_them)


async def set_allocatable(twin: Twin, node: str, gpus: int, capacity: int | None = None) -> None:
    """Write the node's GPUs into its status."""
    obj = twin.cache.get(NODE, node)
    if obj is None:
        return
    status: Object = {"allocatable": {GPU: str(gpus)}}
    if capacity is not None:
        status["capacity"] = {GPU: str(capacity)}
    await twin.api.status(obj, status)


def gpu_labels(machine: Machine, version: str) -> dict[str, str]:
    """What GPU feature discovery writes; CUDA's version follows the driver's branch."""
    major, _, rest = version.partition(".")
    minor, _, patch = rest.partition(".")
    cuda = {"580": "13.0", "595": "13.2", "610": "13.3"}.get(major, "13.0")
    return {
        **shared(machine),
        "nvidia.com/gpu.family": "hopper",
        "nvidia.com/gpu.memory": "143771",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/cuda.driver-version.full": version,
        "nvidia.com/cuda.driver-version.major": major,
        "nvidia.com/cuda.driver-version.minor": minor,
        "nvidia.com/cuda.driver-version.revision": patch,
        "nvidia.com/cuda.runtime-version.full": cuda,
    }


def shared(machine: Machine) -> dict[str, str]:
    """How the GPUs are offered: MIG by the strategy `single`, and time-slicing."""
    seed, count = machine.seed, len(machine.gpus())
    product = seed.gpuModel.replace(" ", "-") + (f"-MIG-{seed.migConfig[4:]}" if seed.instances else "")
    mig = {"nvidia.com/mig.config": seed.migConfig, "nvidia.com/mig.config.state": "success"}
    return {
        "nvidia.com/gpu.count": str(count * (seed.instances or 1)),
        "nvidia.com/gpu.product": product + ("-SHARED" if seed.replicas > 1 else ""),
        "nvidia.com/gpu.replicas": str(seed.replicas),
        "nvidia.com/gpu.sharing-strategy": "time-slicing" if seed.replicas > 1 else "none",
        "nvidia.com/mig.strategy": "single",
        **(mig if seed.instances and not machine.by_label else {}),
    }


def gpu_program(twin: Twin, pod: Object) -> Program | None:
    """The program of a GPU Operator pod; None for all others."""
    owner = controller_of(pod)
    if owner is None or owner["kind"] != "DaemonSet":
        return None
    if labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT:
        return DriverProgram(twin, pod)
    if owner["name"] in manifests.OPERANDS:
        return OperandProgram(twin, pod, owner["name"])
    return None
