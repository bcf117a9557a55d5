"""The MIG manager: parts a node's GPUs as the node's label says, and tells in another label how far it is.

As reconfigure-mig.sh of NVIDIA/mig-parted: it says success at once where the layout is there already; else pending,
stops the operands that have GPUs open, parts, lets them go on, success. What it said of the layout before stays until
it begins. It acts when the label changes and when its own pod starts, so that a new driver gets its layout again.
"""

from __future__ import annotations

from knowngood.twin.behaviours import gpu_manifests as manifests
from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.indices import NODE as ON_NODE
from knowngood.twin.behaviours.kube import (
    GPU,
    NODE,
    POD,
    controller_of,
    deleting,
    is_true,
    labels_of,
    name_of,
    node_of,
    phase_of,
    requests,
    uid_of,
)
from knowngood.twin.seed import MIG_CONFIG
from knowngood.twin.values import Object
from knowngood.twin.world import Machine

CONFIG, STATE = "nvidia.com/mig.config", "nvidia.com/mig.config.state"
NONE = "all-disabled"
PAUSED = "paused-for-mig-change"
MANAGER = "nvidia-mig-manager"
CLIENTS = {
    "nvidia-device-plugin-daemonset": f"{manifests.DEPLOY}device-plugin",
    "gpu-feature-discovery": f"{manifests.DEPLOY}gpu-feature-discovery",
    "nvidia-dcgm-exporter": f"{manifests.DEPLOY}dcgm-exporter",
    "nvidia-dcgm": f"{manifests.DEPLOY}dcgm",
}
"""The operands that it stops: DaemonSet -> the label that places it."""
LOOK_S, PART_S, LATE_S = 3.0, 20.0, 60.0


class MigManager(Controller):
    """All nodes' MIG managers. A key is a node."""

    name = "mig-manager"
    watches = (NODE, POD)

    def listen(self) -> None:
        """A node's label, and the manager's own pod there."""
        self._tried: dict[str, tuple[str, str]] = {}  # node -> the layout and the pod that took it up
        self._ever: set[tuple[str, str]] = set()  # (node, layout) that were made once
        for machine in self.twin.world.machines.values():
            machine.by_label = True
        self.every(NODE, name_of)
        self.every(POD, lambda pod: node_of(pod) or None if _is_manager(pod) else None)

    async def reconcile(self, key: str) -> None:
        """Take a layout up, once a pod and label; what takes time goes on beside."""
        node, machine = self.cache.get(NODE, key), self.twin.world.machines.get(key)
        wanted = labels_of(node).get(CONFIG, "") if node else ""
        pod = next((p for p in self.cache.pods_on(key) if _is_manager(p) and is_true(p, "Ready")), None)
        if machine is None or pod is None or deleting(pod) or not wanted:
            return
        if self._tried.get(key) != (wanted, uid_of(pod)):
            self._tried[key] = (wanted, uid_of(pod))
            self.twin.spawn(self._make(machine, wanted, uid_of(pod)), f"{self.name} {key}")

    async def _make(self, machine: Machine, wanted: str, pod: str) -> None:
        """What one manager does with one layout. Another pod, or another layout, takes it out of its hands."""
        node, faults = machine.name, self.twin.faults
        if (lost := faults.active("mig-layout-lost", node)) and (node, wanted) in self._ever:
            faults.hit(lost, layout=wanted)
            return
        if old := faults.active("mig-success-is-old", node):
            faults.hit(old, layout=wanted)
            await self.twin.clock.sleep(old.number("seconds", LATE_S))
        await self.twin.clock.sleep(LOOK_S)
        if as_named(machine) != wanted:
            await self._say(node, {STATE: "pending", **dict.fromkeys(CLIENTS.values(), PAUSED)})
            if wedge := faults.active("mig-manager-wedges", node):
                faults.hit(wedge, layout=wanted)
                return
            await self._gone(node)
            await self.twin.clock.sleep(PART_S)
            if self._tried.get(node) != (wanted, pod):
                return
            if self._users(node) or not (wanted == NONE or MIG_CONFIG.fullmatch(wanted)):
                await self._say(node, {STATE: "failed", **dict.fromkeys(CLIENTS.values(), "true")})
                return
            machine.part("" if wanted == NONE else wanted)
        self._ever.add((node, wanted))
        parked = dict.fromkeys(CLIENTS.values(), "true")
        await self._say(node, {STATE: "success", **parked})

    async def _say(self, name: str, labels: dict[str, str]) -> None:
        """Write labels; what is parked for somebody else's reason stays so."""
        node = self.cache.get(NODE, name)
        if node is None:
            return
        has = labels_of(node)
        mine = {k: v for k, v in labels.items() if k == STATE or has.get(k) in {"true", PAUSED}}
        change = {k: v for k, v in mine.items() if has.get(k) != v}
        if change:
            await self.api.patch(node, {"metadata": {"labels": change}})

    async def _gone(self, node: str) -> None:
        while any(_daemon_set_of(p) in CLIENTS for p in self.cache.pods_on(node)):
            await self.cache.changed((POD, ON_NODE, node))

    def _users(self, node: str) -> list[Object]:
        """Pods that have a GPU: it can't be parted while one is in use."""
        pods = self.cache.pods_on(node)
        return [
            p
            for p in pods
            if GPU in requests(p["spec"]) and not _daemon_set_of(p) and phase_of(p) == "Running"
        ]


def as_named(machine: Machine) -> str:
    """The layout that the machine has, by its name."""
    return machine.seed.migConfig or NONE


def as_labelled(node: Object, machine: Machine) -> bool:
    """Whether a node is parted as its label says, and its manager has said so."""
    labels = labels_of(node)
    return CONFIG not in labels or (labels[CONFIG] == as_named(machine) and labels.get(STATE) == "success")


def _is_manager(pod: Object) -> bool:
    return _daemon_set_of(pod) == MANAGER


def _daemon_set_of(pod: Object) -> str:
    owner = controller_of(pod)
    return str(owner["name"]) if owner and owner["kind"] == "DaemonSet" else ""
