"""Rendered configs: what a pool's MachineConfigs come to, by one name. The same content has the same name again."""

from __future__ import annotations

from knowngood.twin.behaviours import mco_nodes as mco
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import deleting, digest, labels_of, matches, name_of
from knowngood.twin.behaviours.mco_nodes import CONFIG, POOL
from knowngood.twin.pool_objects import rendered
from knowngood.twin.values import Object

RENDERED = "rendered-"


class Rendering(Controller):
    """One pool after the other. Where no MachineConfig ever selected a pool, its config stays the seed's."""

    name = "machine-config-rendering"
    watches = (CONFIG, POOL)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._base: dict[str, str] = {}  # what each pool had before any MachineConfig came
        self._rendered: dict[str, str] = {}  # what we gave it last
        self._version = twin.seed.openshift
        self._due: set[str] = set()  # pools that a new release has not come to yet

    def listen(self) -> None:
        """A pool, or a MachineConfig that perhaps is none's: few of either."""
        for pool in self.cache.all(POOL):
            self._base[name_of(pool)] = mco.target(pool)
            self.enqueue(name_of(pool))
        self.twin.release = self._release
        self.every(POOL, name_of)
        self.cache.listen(CONFIG, lambda _event, _config: self._all())

    def _release(self, version: str) -> None:
        """The operator of another release takes over: each pool's config comes from that one."""
        if version != self._version:
            self._version = version
            for pool in self.cache.all(POOL):
                self._base[name_of(pool)] = rendered(name_of(pool), version)
                self._due.add(name_of(pool))
            self._all()

    def _all(self) -> None:
        for pool in self.cache.all(POOL):
            self.enqueue(name_of(pool))

    async def reconcile(self, key: str) -> None:
        """Point the pool at what its MachineConfigs come to now."""
        pool = self.cache.get(POOL, key)
        if pool is None or deleting(pool):
            return
        parts = [config for config in self.cache.all(CONFIG) if _selected(pool, config)]
        if not parts and self._rendered.get(key) != mco.target(pool) and key not in self._due:
            return
        base = self._base.setdefault(key, mco.target(pool))
        name = base
        if parts:
            content = {name_of(config): config["spec"] for config in parts}
            name = self._rendered[key] = f"{RENDERED}{key}-{digest([base, content], 32)}"
        self._due.discard(key)
        await self.api.ensure(self._config(name))
        if mco.target(pool) != name:
            await self.api.patch(pool, {"spec": {"configuration": {"name": name, "source": _sources(parts)}}})

    def _config(self, name: str) -> Object:
        """A rendered config says of which release it is: nobody can tell by its name."""
        metadata = {"name": name, "annotations": {mco.RELEASE: self._version}}
        return {"apiVersion": CONFIG[0], "kind": CONFIG[1], "metadata": metadata, "spec": {}}


def _selected(pool: Object, config: Object) -> bool:
    rendered = name_of(config).startswith(RENDERED)
    return (
        not rendered
        and not deleting(config)
        and matches(pool["spec"].get("machineConfigSelector"), labels_of(config))
    )


def _sources(parts: list[Object]) -> list[Object]:
    reference = {"apiVersion": CONFIG[0], "kind": CONFIG[1]}
    return [{**reference, "name": name_of(config)} for config in parts]
