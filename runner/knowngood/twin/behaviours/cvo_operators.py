"""The cluster operators on their way to a release: one after the other, the machine-config operator as the last."""

from __future__ import annotations

from knowngood.twin.behaviours import mco_nodes as mco
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.cvo import NAME
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_OPERATOR, CLUSTER_VERSION
from knowngood.twin.behaviours.cvo_status import reports
from knowngood.twin.behaviours.kube import NODE, condition, is_true, name_of
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

UPDATE_S = 120.0
LOOK_S = 10.0
MACHINE_CONFIG = "machine-config"
FAULT = "operator-degrades-halfway"


class ClusterOperators(Controller):
    """One update at a time; an operator that is degraded keeps its old version until it is not."""

    name = "cluster-operators"
    watches = (CLUSTER_VERSION, CLUSTER_OPERATOR, POOL, NODE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._busy = ""

    def listen(self) -> None:
        """A new release is applied."""
        self.every(CLUSTER_VERSION, lambda _version: NAME)
        self.cache.listen(CLUSTER_OPERATOR, lambda _event, _operator: self.enqueue(NAME))

    async def reconcile(self, key: str) -> None:
        """Begin the next operator's update."""
        version = self.cache.get(CLUSTER_VERSION, key)
        if version is None or self._busy or self.twin.seed.cluster_version is None:
            return
        target = str(version["status"]["desired"]["version"])
        for name in self.twin.seed.cluster_version.operators:
            operator = self.cache.get(CLUSTER_OPERATOR, name)
            if operator is not None and not reports(operator, target):
                self._busy = name
                self.twin.spawn(self._update(name, target), f"update of {name}")
                return

    async def _update(self, name: str, target: str) -> None:
        try:
            await self._say(name, progressing=f"Working towards {target}")
            await self.twin.clock.sleep(UPDATE_S)
            while fault := self._degrading(name):
                self.twin.faults.hit(fault, operator=name)
                await self._say(name, degraded=fault.param("message", "a deployment is not available"))
                while self._degrading(name) and self._wanted() == target:
                    await self.twin.clock.pause(LOOK_S)
                if self._wanted() != target:
                    return
            if name == MACHINE_CONFIG:
                await self._pools(target)
            if self._wanted() == target:
                await self._say(name, version=target)
                self.twin.events.write("operator-updated", "", operator=name, version=target)
        finally:
            self._busy = ""
            self.enqueue(NAME)

    def _degrading(self, name: str) -> Fault | None:
        fault = self.twin.faults.active(FAULT)
        return fault if fault and fault.param("operator") == name else None

    async def _pools(self, target: str) -> None:
        """New configs are rendered for every pool; those that an update requires must have theirs.

        A required pool that is paused is waited for without end, and one degraded pool of any kind stops it all.
        """
        if self.twin.seed.machine_config is None:
            return
        self.twin.release(target)
        while self._wanted() == target:
            pools = list(self.cache.all(POOL))
            broken = [name_of(pool) for pool in pools if is_true(pool, "Degraded")]
            late = [name_of(pool) for pool in pools if mco.is_required(pool) and not self._has(pool, target)]
            if broken:
                await self._say(MACHINE_CONFIG, degraded=f"pool {', '.join(broken)} is degraded")
            elif not late:
                return
            else:
                await self._say(MACHINE_CONFIG, progressing=f"waiting for pool {', '.join(late)}")
            await self.twin.clock.pause(LOOK_S)

    def _has(self, pool: Object, target: str) -> bool:
        """Whether each of its nodes has the release's config."""
        config = self.cache.get(mco.CONFIG, mco.target(pool))
        of = config and (config["metadata"].get("annotations") or {}).get(mco.RELEASE)
        given = (pool.get("status") or {}).get("configuration") or {}
        return of == target and is_true(pool, "Updated") and given.get("name") == mco.target(pool)

    def _wanted(self) -> str:
        version = self.cache.get(CLUSTER_VERSION, NAME)
        return str(version["status"]["desired"]["version"]) if version else ""

    async def _say(self, name: str, *, version: str = "", progressing: str = "", degraded: str = "") -> None:
        operator = self.cache.get(CLUSTER_OPERATOR, name)
        if operator is None:
            return
        old = (operator.get("status") or {}).get("conditions") or ()
        said = [
            condition("Available", "True", "AsExpected"),
            condition("Degraded", bool(degraded), "Failed" if degraded else "AsExpected", degraded),
            condition(
                "Progressing", bool(progressing), "Updating" if progressing else "AsExpected", progressing
            ),
        ]
        kept = [c for c in old if c["type"] not in {one["type"] for one in said}]
        status: Object = {"conditions": [*said, *kept]}
        if version:
            status["versions"] = [{"name": "operator", "version": version}]
        now = [(c["type"], c["status"], c["message"]) for c in said]
        if version or now != [(c["type"], c["status"], c["message"]) for c in old if c not in kept]:
            await self.api.status(operator, status)
