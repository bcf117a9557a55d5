"""MachineHealthCheck and NodeHealthCheck: a node that is not ready for too long is power-cycled, drained or not.

Both stop where somebody paused them, the one by an annotation, the other by a request in its spec, and where so
many nodes are ill that the trouble must be elsewhere.
"""

from __future__ import annotations

import re
import time

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    NODE,
    Kind,
    annotations_of,
    condition,
    key_of,
    labels_of,
    matches,
    merge_conditions,
    name_of,
)
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

MACHINE: Kind = ("machine.openshift.io/v1beta1", "Machine")
MACHINE_CHECK: Kind = ("machine.openshift.io/v1beta1", "MachineHealthCheck")
NODE_CHECK: Kind = ("remediation.medik8s.io/v1alpha1", "NodeHealthCheck")
PAUSED = "cluster.x-k8s.io/paused"
SILENT_S = 400.0
BOOT_S = 600.0
SHORTEST_S = 0.02
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class HealthChecks(Controller):
    """Looks at all checks together: what one of them restarts is no other's business."""

    name = "health-checks"
    watches = (NODE, MACHINE, MACHINE_CHECK, NODE_CHECK)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._restarting: set[str] = set()
        self._silent: dict[str, Fault] = {}  # whose kubelet nobody hears, by a fault
        self._ready: dict[str, str] = {}  # what each node's Ready said last, and since when
        self._began: dict[str, float] = {}

    def listen(self) -> None:
        """A node's health, or a check."""
        self.twin.handlers["mhc-power-cycles"] = self._silence
        for kind in (MACHINE_CHECK, NODE_CHECK):
            self.every(kind, lambda check: (check["kind"], *key_of(check)))
        self.cache.listen(NODE, self._node)

    def _node(self, _event: str, node: Object) -> None:
        said = _ready_condition(node).get("status", "")
        if self._ready.get(name_of(node)) != said:
            self._ready[name_of(node)] = said
            self._began[name_of(node)] = time.monotonic()
            self._look()

    def _look(self) -> None:
        for kind in (MACHINE_CHECK, NODE_CHECK):
            for check in self.cache.all(kind):
                self.enqueue((check["kind"], *key_of(check)))

    async def reconcile(self, key: tuple[str, str, str]) -> None:
        """Power-cycle who was ill for too long; look again when the next one's time is up."""
        kind = MACHINE_CHECK if key[0] == MACHINE_CHECK[1] else NODE_CHECK
        check = self.cache.get(kind, key[2], key[1])
        if check is None:
            return
        nodes = self._nodes(check)
        ill = [node for node in nodes if _unhealthy(check, node) is not None]
        await self._count(check, len(nodes), len(ill))
        if is_paused(check) or len(ill) > _allowed(check, len(nodes)):
            return
        for node in ill:
            left = (_unhealthy(check, node) or 0.0) - self._since(node)
            if left > 0:
                self.enqueue_later(key, max(self.twin.clock.real(left), SHORTEST_S))
            elif name_of(node) not in self._restarting:
                self._restarting.add(name_of(node))
                self.twin.spawn(self._restart(check, name_of(node)), f"{self.name} {name_of(node)}")

    def _nodes(self, check: Object) -> list[Object]:
        selector = check["spec"].get("selector") or {}
        if check["kind"] == NODE_CHECK[1]:
            return [node for node in self.cache.all(NODE) if matches(selector, labels_of(node))]
        machines = [m for m in self.cache.all(MACHINE) if matches(selector, labels_of(m))]
        names = [((m.get("status") or {}).get("nodeRef") or {}).get("name", "") for m in machines]
        return [node for name in names if (node := self.cache.get(NODE, name))]

    def _since(self, node: Object) -> float:
        """How long the node's state has lasted, in seconds of the cluster, as far as we saw it."""
        now = time.monotonic()
        return (now - self._began.setdefault(name_of(node), now)) * self.twin.clock.scale

    async def _restart(self, check: Object, name: str) -> None:
        cause = f"{check['kind']} {name_of(check)}"
        self.twin.events.write("power-cycled", name, by=cause)
        if fault := self._silent.pop(name, None):
            self.twin.faults.hit(fault, by=cause)
        try:
            await self.twin.reboot(name, cause, BOOT_S)
        finally:
            self._restarting.discard(name)

    async def _count(self, check: Object, total: int, ill: int) -> None:
        names = ("observedNodes", "healthyNodes")
        if check["kind"] == MACHINE_CHECK[1]:
            names = ("expectedMachines", "currentHealthy")
        new = dict(zip(names, (total, total - ill), strict=True))
        old = check.get("status") or {}
        if any(old.get(name) != value for name, value in new.items()):
            await self.api.status(check, new)

    async def _silence(self, fault: Fault, node: str) -> None:
        """Nobody hears from the kubelet for so many seconds; it comes back by itself if nobody restarts it."""
        machine = self.twin.world.machines[node]
        boot = machine.boot_id
        self._silent[node] = fault
        await self._say(node, "Unknown", "NodeStatusUnknown")
        await self.twin.clock.pause(fault.number("seconds", SILENT_S))
        if self._silent.pop(node, None) and machine.boot_id == boot and machine.up:
            await self._say(node, "True", "KubeletReady")

    async def _say(self, name: str, status: str, reason: str) -> None:
        node = self.cache.get(NODE, name)
        if node is not None:
            told = merge_conditions(node["status"]["conditions"], [condition("Ready", status, reason)])
            await self.api.status(node, {"conditions": told})


def is_paused(check: Object) -> bool:
    """Whether somebody asked it to hold still."""
    if check["kind"] == NODE_CHECK[1]:
        return bool(check["spec"].get("pauseRequests"))
    return PAUSED in annotations_of(check)


def _ready_condition(node: Object) -> Object:
    found = [c for c in node["status"].get("conditions") or () if c["type"] == "Ready"]
    return dict(found[0]) if found else {}


def _unhealthy(check: Object, node: Object) -> float | None:
    """After how many seconds in its present state a node is to be restarted; None for a healthy one."""
    said = _ready_condition(node)
    for entry in check["spec"].get("unhealthyConditions") or ():
        if (entry["type"], entry["status"]) == ("Ready", said.get("status")):
            return seconds(entry.get("timeout") or entry.get("duration") or "0")
    return None


def _allowed(check: Object, total: int) -> int:
    """So many may be ill before the check holds still."""
    if check["spec"].get("minHealthy") is not None:
        return total - _share(check["spec"]["minHealthy"], total, up=True)
    return _share(check["spec"].get("maxUnhealthy", "100%"), total, up=False)


def _share(amount: int | str, total: int, *, up: bool) -> int:
    if isinstance(amount, str) and amount.endswith("%"):
        return -(-total * int(amount[:-1]) // 100) if up else total * int(amount[:-1]) // 100
    return int(amount)


def seconds(duration: str) -> float:
    """A Go duration: 300s, 5m, 1h30m."""
    return sum(
        float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", duration)
    )
