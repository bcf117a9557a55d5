"""What each fault does. Those that only change a behaviour (driver-in-use, ...) are asked for there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from knowngood.twin import faults, host_files
from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import FaultHandler, Twin
from knowngood.twin.behaviours.driver import PAUSED
from knowngood.twin.behaviours.kube import (
    BUDGET,
    CONFIG_MAP,
    GPU,
    NODE,
    POD,
    annotations_of,
    controller_of,
    is_true,
    labels_of,
    matches,
    namespace_of,
    requests,
)
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.behaviours.nodes import BOOT_S, Machines
from knowngood.twin.behaviours.operands import PLUGIN, advertise
from knowngood.twin.faults import Fault
from knowngood.twin.gpu_health import AILMENTS
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

MMU_FAULT = (
    "Ch 00000010, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f29_5b8c9000. "
    "Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ"
)
GSP_TIMEOUT = (
    "Timeout after 6s of waiting for RPC response from GPU{index} GSP! "
    "Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc)."
)
FLAP_S = 30.0
HOST_PROCESS = 31337  # its pid
BUDGET_LABEL = "twin.knowngood.dev/blocks"


class Faults:
    """Follows the ConfigMaps, and sets faults off at their triggers."""

    def __init__(self, twin: Twin, kubelets: Kubelets, machines: Machines) -> None:
        self._twin = twin
        self._kubelets = kubelets
        self._machines = machines
        self._evictions: dict[str, int] = {}
        self._cordoned: set[str] = set()
        self._handlers: Mapping[str, FaultHandler] = {
            "xid-79": self._xid_79,
            "xid-31-after-driver": self._xid_31,
            "xid-119-after-driver": self._xid_119,
            "dma-buf-falls-back": self._dma_buf,
            "ib-link-flap": self._link_flap,
            "node-stays-down": self._stays_down,
            "node-reboots": self._reboots,
            "pdb-blocks-drain": self._block,
            "evict-429-halfway": self._block,
            "api-outage": self._outage,
            "operands-left-paused": self._park,
            "journal-vacuumed": self._vacuum,
            "host-process-has-gpu-open": self._open,
            **dict.fromkeys(AILMENTS, self._ail),
        }

    async def start(self) -> None:
        """Take up the faults that are there, and those to come."""
        self._twin.fire = self.fire
        self._twin.events.listen(self._event)
        await self._twin.cache.ensure(CONFIG_MAP)
        self._twin.cache.listen(CONFIG_MAP, self._changed)
        for obj in self._twin.cache.all(CONFIG_MAP, faults.NAMESPACE):
            self._changed("ADDED", obj)
        self._twin.cache.listen(NODE, self._node)

    def fire(self, when: str, node: str) -> None:
        """A trigger: start what waits for it."""
        for fault in self._twin.faults.waiting(when, node, self._version(node)):
            self._strike(fault, node or fault.node)

    def _event(self, event: Object) -> None:
        if event["event"] == "module-loaded" and event["module"] == "nvidia":
            self.fire(faults.MODULE_LOAD, event["node"])
        elif event["event"] == "pod-evicted":
            self._evictions[event["node"]] = self._evictions.get(event["node"], 0) + 1
            self.fire(faults.DRAIN, event["node"])

    def _node(self, _event: str, obj: Object) -> None:
        name = str(obj["metadata"]["name"])
        if (obj.get("spec") or {}).get("unschedulable"):
            self._cordoned.add(name)
        elif name in self._cordoned:
            self._cordoned.discard(name)
            self.fire(faults.UNCORDON, name)

    def _changed(self, event: str, obj: Object) -> None:
        fault = faults.from_config_map(obj)
        if fault is None:
            return
        if event == "DELETED":
            self._twin.faults.remove(fault.uid)
            self._twin.spawn(self._clear(fault), f"clear {fault.name}")
        elif self._twin.faults.add(fault):
            self._evictions.pop(fault.node, None)
            if fault.name == "evict-429-halfway":
                self._twin.spawn(self._allow_some(fault), f"fault {fault.name}")
            elif fault.when == faults.NOW:
                self._strike(fault, fault.node)
            elif fault.when == faults.GPU_POD and self._kubelets.gpu_pods(fault.node):
                self.fire(faults.GPU_POD, fault.node)

    def _strike(self, fault: Fault, node: str) -> None:
        handler = self._handlers.get(fault.name) or self._twin.handlers.get(fault.name)
        if handler is not None:
            if int(fault.number("times", 0)):
                self._twin.faults.reserve(fault)
            self._twin.spawn(handler(fault, node), f"fault {fault.name} on {node}")

    def _version(self, node: str) -> str:
        machine = self._twin.world.machines.get(node)
        return machine.driver.version if machine and machine.driver else ""

    async def _open(self, fault: Fault, node: str) -> None:
        machine = self._twin.world.machines[node]
        machine.open_gpu(HOST_PROCESS, "gpu-burn", "/system.slice/gpu-burn.service")
        self._twin.faults.hit(fault)

    async def _xid_79(self, fault: Fault, node: str) -> None:
        machine = self._twin.world.machines[node]
        gpu = _gpu(machine, fault)
        if gpu is None:
            return
        machine.lose_gpu(gpu)
        machine.kernel(
            f"NVRM: Xid (PCI:{gpu[:-2]}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", 3
        )
        machine.kernel(f"NVRM: GPU {gpu}: GPU has fallen off the bus.", 3)
        line = "154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
        machine.kernel(f"NVRM: Xid (PCI:{gpu[:-2]}): {line}", 3)
        self._twin.faults.hit(fault, xid=79, gpu=gpu)
        if any((controller_of(p) or {}).get("name") == PLUGIN for p in self._twin.cache.pods_on(node)):
            await advertise(self._twin, machine)

    async def _xid_31(self, fault: Fault, node: str) -> None:
        await self._xid(fault, node, 31, "pt_main_thread", MMU_FAULT)

    async def _xid_119(self, fault: Fault, node: str) -> None:
        machine = self._twin.world.machines[node]
        gpu = _gpu(machine, fault)
        index = host_files.gpu_addresses(machine.seed).index(gpu) if gpu else 0
        await self._xid(fault, node, 119, "nv-hostengine", GSP_TIMEOUT.format(index=index))

    async def _xid(self, fault: Fault, node: str, code: int, process: str, text: str) -> None:
        """A line of the driver, if it is the version that the incident is about."""
        machine = self._twin.world.machines[node]
        wanted = fault.param("version")
        gpu = _gpu(machine, fault)
        if machine.driver is None or gpu is None or (wanted and machine.driver.version != wanted):
            return
        pid = 20000 + len(machine.journal.entries())
        machine.kernel(f"NVRM: Xid (PCI:{gpu[:-2]}): {code}, pid={pid}, name={process}, {text}", 3)
        self._twin.faults.hit(fault, xid=code, gpu=gpu, version=machine.driver.version)

    async def _ail(self, fault: Fault, node: str) -> None:
        """The driver tells it of one GPU. No line in the kernel's log: those are other faults."""
        machine = self._twin.world.machines[node]
        if gpu := _gpu(machine, fault):
            machine.ail(fault.name, gpu)
            self._twin.faults.hit(fault, gpu=gpu)

    async def _vacuum(self, fault: Fault, node: str) -> None:
        self._twin.faults.hit(fault, entries=self._twin.world.machines[node].journal.vacuum())

    async def _dma_buf(self, fault: Fault, node: str) -> None:
        machine = self._twin.world.machines[node]
        machine.load_peermem(users=machine.seed.nics)
        machine.kernel("nvidia-peermem: loaded, RDMA peer memory client registered")
        self._twin.faults.hit(fault, module="nvidia_peermem")

    async def _link_flap(self, fault: Fault, node: str) -> None:
        machine = self._twin.world.machines[node]
        nic = int(fault.number("nic", 0))
        address = host_files.nic_address(nic)
        machine.set_port(nic, host_files.PORT_DOWN)
        machine.count(nic, "link_downed")
        machine.kernel(f"mlx5_core {address} ibp{nic}s0: Link down", 4)
        self._twin.faults.hit(fault, nic=nic)
        await self._twin.clock.sleep(fault.number("seconds", FLAP_S))
        machine.set_port(nic, host_files.PORT_UP)
        machine.kernel(f"mlx5_core {address} ibp{nic}s0: Link up")

    async def _stays_down(self, fault: Fault, node: str) -> None:
        self._twin.faults.hit(fault)
        await self._machines.go_down(node, fault.name)
        seconds = fault.number("seconds", 0)
        if seconds:
            await self._twin.clock.sleep(seconds)
            if not self._twin.world.machines[node].up:  # else it was cleared, or somebody cycled its power
                await self._machines.come_back(node, fault.name)

    async def _reboots(self, fault: Fault, node: str) -> None:
        self._twin.faults.hit(fault)
        await self._machines.reboot(node, fault.name, fault.number("seconds", BOOT_S))

    async def _allow_some(self, fault: Fault) -> None:
        """Before a drain: `after` evictions in the first namespace, none in the others."""
        pods = self._tenant_pods(fault.node)
        # At least one stays, or it would not be halfway.
        left = min(int(fault.number("after", 1)), sum(map(len, pods.values())) - 1)
        for space in sorted(pods):
            await self._budget(fault, space, allowed=left)
            left = 0

    async def _block(self, fault: Fault, node: str) -> None:
        """A budget that allows nothing (more) for the tenants' pods on the node."""
        if fault.name == "evict-429-halfway" and self._evictions.get(node, 0) < fault.number("after", 1):
            return
        spaces = sorted(self._tenant_pods(node))
        for space in spaces:
            await self._budget(fault, space, allowed=0)
        self._twin.faults.hit(fault, namespaces=spaces)
        if fault.number("seconds", 0):
            await self._twin.clock.sleep(fault.number("seconds", 0))
            await self._unblock(fault)

    def _tenant_pods(self, node: str) -> dict[str, list[Object]]:
        """The tenants' GPU pods on a node, by namespace."""
        found: dict[str, list[Object]] = {}
        for pod in self._twin.cache.pods_on(node):
            if GPU in requests(pod["spec"]) and self._twin.tenant_of(namespace_of(pod)):
                found.setdefault(namespace_of(pod), []).append(pod)
        return found

    async def _budget(self, fault: Fault, space: str, *, allowed: int) -> None:
        """Leave room for so many evictions in the namespace: tighten its budgets, or make one.

        Eviction supports one budget a pod, so those that are there are changed, not doubled.
        """
        pods = [
            p for p in self._twin.cache.all(POD, space) if is_true(p, "Ready") and GPU in requests(p["spec"])
        ]
        present = list(self._twin.cache.all(BUDGET, space))
        for budget in present:
            mine = sum(matches(budget["spec"].get("selector"), labels_of(p)) for p in pods)
            kept = annotations_of(budget).get(BUDGET_LABEL) or _as_text(budget["spec"])
            spec = {"minAvailable": _kept(mine, allowed), "maxUnavailable": None}
            mark = {"annotations": {BUDGET_LABEL: kept}}
            await self._twin.api.patch(budget, {"metadata": mark, "spec": spec})
        if present:
            return
        apps = sorted({labels_of(p).get("app", "") for p in pods})
        entry = {"key": "app", "operator": "In", "values": apps}
        await self._twin.api.create(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {
                    "name": f"{fault.name}-{fault.node}",
                    "namespace": space,
                    "labels": {BUDGET_LABEL: fault.name},
                },
                "spec": {
                    "minAvailable": _kept(len(pods), allowed),
                    "selector": {"matchExpressions": [entry]},
                },
            }
        )

    async def _unblock(self, fault: Fault) -> None:
        for budget in list(self._twin.cache.all(BUDGET)):
            if labels_of(budget).get(BUDGET_LABEL) == fault.name:
                await self._twin.api.delete(budget)
            elif kept := annotations_of(budget).get(BUDGET_LABEL):
                minimum, maximum = kept.split(",")
                spec = {"minAvailable": _amount(minimum), "maxUnavailable": _amount(maximum)}
                mark = {"annotations": {BUDGET_LABEL: None}}
                await self._twin.api.patch(budget, {"metadata": mark, "spec": spec})

    async def _outage(self, fault: Fault, _node: str) -> None:
        """The API answers nobody for so many real seconds: Leases run in real time too."""
        if self._twin.set_outage is None:
            return
        await asyncio.sleep(fault.number("delay", 0))
        self._twin.faults.hit(fault, seconds=fault.number("seconds", 10))
        self._twin.set_outage(True)
        try:
            await asyncio.sleep(fault.number("seconds", 10))
        finally:
            self._twin.set_outage(False)

    async def _park(self, fault: Fault, node: str) -> None:
        """Only with when=now; else the driver manager leaves them parked."""
        obj = self._twin.cache.get(NODE, node)
        if obj is not None:
            parked = [label for label in manifests.PARKED_LABELS if label in obj["metadata"]["labels"]]
            await self._twin.api.patch(obj, {"metadata": {"labels": dict.fromkeys(parked, PAUSED)}})
            self._twin.faults.hit(fault)

    async def _clear(self, fault: Fault) -> None:
        """What ends with the fault. Broken hardware stays broken until it boots."""
        if fault.name in AILMENTS:
            self._twin.world.machines[fault.node].heal(fault.name)
        elif ender := self._twin.enders.get(fault.name):
            await ender(fault, fault.node)
        elif fault.name in {"pdb-blocks-drain", "evict-429-halfway"}:
            await self._unblock(fault)
        elif fault.name == "host-process-has-gpu-open":
            self._twin.world.machines[fault.node].remove([f"proc/{HOST_PROCESS}"])
        elif fault.name == "node-stays-down" and not self._twin.world.machines[fault.node].up:
            await self._machines.come_back(fault.node, "fault cleared")


def _gpu(machine: Machine, fault: Fault) -> str | None:
    """The GPU meant: by address or index, else the first that answers."""
    wanted = fault.param("gpu")
    addresses = machine.gpus()
    if wanted.isdigit() and int(wanted) < machine.seed.gpus:
        wanted = host_files.gpu_addresses(machine.seed)[int(wanted)]
    return next((gpu for gpu in addresses if not wanted or gpu == wanted), None)


def _kept(ready: int, allowed: int) -> int | str:
    """How many pods a budget keeps: all that are wanted where none may go, however many are ready just now."""
    return max(ready - allowed, 1) if allowed else "100%"


def _as_text(spec: Object) -> str:
    return f"{spec.get('minAvailable', '')},{spec.get('maxUnavailable', '')}"


def _amount(text: str) -> int | str | None:
    if not text:
        return None
    return int(text) if text.isdigit() else text
