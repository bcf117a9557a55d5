"""The device plugin's config-manager: a node's label names the key of a ConfigMap, and the plugin takes what is there.

As NVIDIA/k8s-device-plugin: the sidecar watches the node's label, not the ConfigMap, and has the plugin start anew.
"""

from __future__ import annotations

from typing import Any

import yaml

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    CONFIG_MAP,
    NODE,
    POD,
    controller_of,
    is_true,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.behaviours.operands import PLUGIN, advertise, set_allocatable, shared
from knowngood.twin.values import Object

LABEL = "nvidia.com/device-plugin.config"
TAKE_S, LATE_S = 8.0, 60.0


class PluginConfigs(Controller):
    """All nodes' plugins. A key is a node."""

    name = "device-plugin-config"
    watches = (NODE, POD, CONFIG_MAP, CLUSTER_POLICY)

    def listen(self) -> None:
        """A node's label, and the plugin's pod there: a new one reads its configuration, too."""
        self._taken: dict[str, str] = {}  # node -> the key
        self._deaf: dict[str, str] = {}  # node -> the pod that did not see its label change
        self.every(NODE, name_of)
        self.every(POD, lambda pod: node_of(pod) or None if _is_plugin(pod) else None)

    async def reconcile(self, key: str) -> None:
        """Take a configuration up, once a label; what takes time goes on beside."""
        node = self.cache.get(NODE, key)
        wanted = labels_of(node).get(LABEL, "") if node else ""
        pod = next((p for p in self.cache.pods_on(key) if _is_plugin(p) and is_true(p, "Ready")), None)
        if pod is None or not wanted or self._taken.get(key) == wanted:
            return
        if (fault := self.twin.faults.active("plugin-config-unseen", key)) and self._deaf.get(
            key, name_of(pod)
        ) == name_of(pod):
            if key not in self._deaf:
                self._deaf[key] = name_of(pod)
                self.twin.faults.hit(fault, config=wanted)
            return
        self._taken[key] = wanted
        self.twin.spawn(self._take(key, wanted), f"{self.name} {key}")

    async def _take(self, name: str, wanted: str) -> None:
        faults, machine = self.twin.faults, self.twin.world.machines[name]
        if late := faults.active("plugin-config-late", name):
            faults.hit(late, config=wanted)
            await self.twin.clock.sleep(late.number("seconds", LATE_S))
        await self.twin.clock.sleep(TAKE_S)
        if crash := faults.active("plugin-config-crashes", name):
            faults.hit(crash, config=wanted)
            await set_allocatable(self.twin, name, 0)
            return
        machine.share(self._replicas(wanted))
        await advertise(self.twin, machine)
        if node := self.cache.get(NODE, name):
            await self.api.patch(node, {"metadata": {"labels": shared(machine)}})

    def _replicas(self, key: str) -> int:
        """How often that key offers each GPU; once where there is no such key."""
        policies = self.cache.all(CLUSTER_POLICY)
        config = ((policies[0]["spec"].get("devicePlugin") or {}).get("config") or {}) if policies else {}
        for kept in self.cache.all(CONFIG_MAP):
            if name_of(kept) == config.get("name") and key in (kept.get("data") or {}):
                return _shares(yaml.safe_load(kept["data"][key]))
        return 1


def _shares(config: Any) -> int:
    resources = ((config.get("sharing") or {}).get("timeSlicing") or {}).get("resources") or ()
    return next((int(r["replicas"]) for r in resources), 1)


def _is_plugin(pod: Object) -> bool:
    owner = controller_of(pod)
    return bool(owner and owner["kind"] == "DaemonSet" and owner["name"] == PLUGIN)
