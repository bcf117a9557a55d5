"""The maintenance operator: takes nodes out for whoever asks by a NodeMaintenance, a few at a time.

It cordons, drains with force, and says Ready; when the object goes it uncordons, whoever had cordoned the node before.
A node that anybody cordoned counts as unavailable.
(Mellanox/maintenance-operator nodemaintenancescheduler_controller.go.)
"""

from __future__ import annotations

from knowngood.twin.behaviours.context import MAY_NOT_GO, Controller
from knowngood.twin.behaviours.kube import (
    ENDED,
    NODE,
    POD,
    Kind,
    condition,
    controller_of,
    is_true,
    merge_conditions,
    name_of,
    namespace_of,
    phase_of,
)
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

API = "maintenance.nvidia.com/v1alpha1"
MAINTENANCE: Kind = (API, "NodeMaintenance")
CONFIG: Kind = (API, "MaintenanceOperatorConfig")
READY = "Ready"
TRY_S = 5.0


def is_ready(maintenance: Object) -> bool:
    """Whether whoever asked may work on the node."""
    return is_true(maintenance, READY)


class Maintenances(Controller):
    """Looks at all of them together: how many nodes may be out is one number."""

    name = "maintenance-operator"
    watches = (NODE, POD, MAINTENANCE, CONFIG)

    def listen(self) -> None:
        """One asks, one ends, or the limits change."""
        self.cache.listen(MAINTENANCE, self._changed)
        for kind in (NODE, CONFIG):
            self.every(kind, lambda _obj: "all")

    def _changed(self, event: str, maintenance: Object) -> None:
        if event == "DELETED":
            self.twin.spawn(self._end(maintenance["spec"]["nodeName"]), f"{self.name} ends")
        self.enqueue("all")

    async def _end(self, name: str) -> None:
        node = self.cache.get(NODE, name)
        if node is not None and node["spec"].get("unschedulable"):
            await self.api.patch(node, {"spec": {"unschedulable": None}})
            self.twin.events.write("uncordoned", name, by=self.name)

    async def reconcile(self, key: str) -> None:
        """Take out as many as may be."""
        every = sorted(self.cache.all(MAINTENANCE), key=name_of)
        config = next(iter(self.cache.all(CONFIG)), None)
        spec = config["spec"] if config else {}
        room = int(spec.get("maxParallelOperations", 1)) - sum(map(is_ready, every))
        nodes = self.cache.all(NODE)
        if (most := spec.get("maxUnavailable")) is not None:
            share = int(str(most)[:-1]) * len(nodes) // 100 if str(most).endswith("%") else int(most)
            room = min(room, share - sum(1 for n in nodes if n["spec"].get("unschedulable")))
        for maintenance in [m for m in every if not is_ready(m)][: max(room, 0)]:
            if not await self._take(maintenance):
                self.enqueue_later(key, max(self.twin.clock.real(TRY_S), 0.05))

    async def _take(self, maintenance: Object) -> bool:
        """Cordon and drain; whether the node is empty and given."""
        name = maintenance["spec"]["nodeName"]
        node = self.cache.get(NODE, name)
        if node is None:
            return True
        if maintenance["spec"].get("cordon", True) and not node["spec"].get("unschedulable"):
            await self.api.patch(node, {"spec": {"unschedulable": True}})
        pods = [p for p in self.cache.pods_on(name) if maintenance["spec"].get("drainSpec") and _leaves(p)]
        for pod in pods:
            try:
                await self.api.evict(pod)
            except ClientError as error:
                if error.code not in {404, 409, *MAY_NOT_GO}:
                    raise
        if pods:
            return False
        old = (maintenance.get("status") or {}).get("conditions") or ()
        said = merge_conditions(old, [condition(READY, status=True, reason=READY)])
        await self.api.status(maintenance, {"conditions": said})
        return True


def _leaves(pod: Object) -> bool:
    owner = controller_of(pod)
    system = namespace_of(pod).startswith(("kube-", "openshift-"))
    return phase_of(pod) not in ENDED and not system and (owner is None or owner["kind"] != "DaemonSet")
