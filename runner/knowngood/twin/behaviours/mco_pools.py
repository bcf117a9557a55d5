"""The machine-config operator's node controller: which node of a pool is told to move, and the pool's status."""

from __future__ import annotations

from knowngood.twin.behaviours import mco_nodes as mco
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, annotations_of, name_of
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.values import Object

DELAY_S = 5.0


class Pools(Controller):
    """One pool after the other, some seconds after what changed, as it was at that moment."""

    name = "machine-config-pools"
    watches = (NODE, POOL)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._waits: set[str] = set()  # pools to be looked at in a moment
        self._members: dict[str, str] = {}  # the pool of each node
        self._faces: dict[str, tuple[object, ...]] = {}  # what of a node counts here, when we last looked

    def listen(self) -> None:
        """A pool or a node changed; a node may have left one pool for another."""
        self.every(POOL, self._later)
        self.cache.listen(NODE, self._node)
        for node in self.cache.all(NODE):
            self._members[name_of(node)] = self._pool(node)

    def _later(self, pool: Object) -> None:
        self._soon_after(name_of(pool))

    def _soon_after(self, name: str) -> None:
        if name and name not in self._waits:
            self._waits.add(name)
            self.twin.spawn(self._wait(name), f"pool {name}")

    async def _wait(self, name: str) -> None:
        await self.twin.clock.pause(DELAY_S)
        self._waits.discard(name)
        self.enqueue_soon(name)  # a pass looks at all nodes of the pool

    def _node(self, event: str, node: Object) -> None:
        name = name_of(node)
        before = self._members.pop(name, "")
        if event != "DELETED":
            self._members[name] = self._pool(node)
        now, face = self._members.get(name, ""), _face(node)
        if before != now or self._faces.get(name) != face:
            self._faces[name] = face
            self._soon_after(now)
            self._soon_after(before)

    def _pool(self, node: Object) -> str:
        return mco.pool_of(node, self.cache.all(POOL))

    async def reconcile(self, key: str) -> None:
        """Taint who is to move, tell as many as may be out, write the status of before."""
        pool = self.cache.get(POOL, key)
        if pool is None:
            return
        nodes = [n for n in map(self._known, self._names(key)) if n is not None]
        if not pool["spec"].get("paused"):
            for node in nodes:
                if mco.tainted(node) == mco.is_target(node, pool):
                    await self._retaint(node)
            for node in mco.candidates(pool, nodes):
                await self.api.patch(node, {"metadata": {"annotations": {mco.DESIRED: mco.target(pool)}}})
                self.twin.events.write("config-desired", name_of(node), config=mco.target(pool))
        status, old = mco.status_of(pool, nodes), pool.get("status") or {}
        if any(old.get(name) != value for name, value in status.items()):
            await self.api.status(pool, status)

    def _names(self, pool: str) -> list[str]:
        return [name for name, member in self._members.items() if member == pool]

    def _known(self, name: str) -> Object | None:
        return self.cache.get(NODE, name)

    async def _retaint(self, node: Object) -> None:
        """Take the mark off or put it on; a node that somebody changed meanwhile is looked at again."""
        kept = [t for t in node["spec"].get("taints") or () if t["key"] != mco.TAINT["key"]]
        taints = kept if mco.tainted(node) else [*kept, mco.TAINT]
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        await self.api.patch(node, {"metadata": version, "spec": {"taints": taints or None}})


def _face(node: Object) -> tuple[object, ...]:
    said = annotations_of(node)
    words = tuple(said.get(name) for name in (mco.CURRENT, mco.DESIRED, mco.STATE))
    return mco.is_ready(node), mco.tainted(node), *words
