"""The upgrade controller of DOCA-OFED, where autoUpgrade is on: the states of nvidia.com/ofed-driver-upgrade-state.

A node moves one step a pass, and passes come at the vendor's pace. Switched off, the labels go and a cordon stays.
What it leaves out: waiting for jobs, validation, safe load, the maintenance operator.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from knowngood.twin.behaviours import nic_manifests as manifests
from knowngood.twin.behaviours.census import HASH_LABEL
from knowngood.twin.behaviours.context import MAY_NOT_GO, Controller, Twin
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    NIC_CLUSTER_POLICY,
    NIC_NODE_POLICY,
    NODE,
    POD,
    Kind,
    annotations_of,
    controller_of,
    deleting,
    is_true,
    kind_of,
    labels_of,
    name_of,
    node_of,
)
from knowngood.twin.behaviours.revisions import revision
from knowngood.twin.behaviours.upgrade_seats import complete
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

STATE = "nvidia.com/ofed-driver-upgrade-state"
SKIP = "nvidia.com/ofed-driver-upgrade.skip"
WAS_CORDONED = "nvidia.com/ofed-driver-upgrade.node-initial-state.unschedulable"
PACE_S = 120.0
DONE, REQUIRED, CORDON = "upgrade-done", "upgrade-required", "cordon-required"
WAIT, DRAIN, RESTART = "wait-for-jobs-required", "drain-required", "pod-restart-required"
UNCORDON, FAILED = "uncordon-required", "upgrade-failed"
AT_WORK = (CORDON, WAIT, DRAIN, RESTART, UNCORDON, FAILED)
Key = tuple[Kind, str]


class DocaUpgrades(Controller):
    """Works on one policy at a time."""

    name = "doca-upgrade"
    watches = (NIC_CLUSTER_POLICY, NIC_NODE_POLICY, DAEMON_SET, POD, NODE)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._specs: dict[Key, object] = {}
        self._next: dict[Key, float] = {}  # when the next pass of a policy is due
        self._drains: dict[str, float] = {}  # node -> when its drain ends in vain

    def listen(self) -> None:
        """A policy's spec changed; between passes nothing wakes us."""
        for kind in (NIC_CLUSTER_POLICY, NIC_NODE_POLICY):
            self.cache.listen(kind, self._changed)
            for policy in self.cache.all(kind):
                self._changed("ADDED", policy)

    def _changed(self, event: str, policy: Object) -> None:
        key, spec = (kind_of(policy), name_of(policy)), None if event == "DELETED" else policy["spec"]
        if self._specs.get(key) != spec:
            self._specs[key] = spec
            self._next[key] = 0.0
            self.enqueue(key)

    async def reconcile(self, key: Key) -> None:
        """One pass over a policy's nodes, or the end of it all."""
        policy = self.cache.get(*key)
        upgrade = ((policy or {}).get("spec", {}).get("ofedDriver") or {}).get("upgradePolicy") or {}
        if policy is None or not upgrade.get("autoUpgrade"):
            await self._strip(key)
            return
        if time.monotonic() < self._next.get(key, 0.0):
            return
        pause = max(self.twin.clock.real(PACE_S), 0.05)
        self._next[key] = time.monotonic() + pause * 0.9  # a pass that an event asks for must not come sooner
        self.enqueue_later(key, pause)
        await self._pass(policy, upgrade)

    async def _pass(self, policy: Object, upgrade: Object) -> None:
        states: dict[str, list[tuple[Object, Object]]] = {}
        for daemon_set in self.cache.owned(DAEMON_SET, policy):
            if manifests.OFED_LABEL not in labels_of(daemon_set):
                continue
            pods = self.cache.owned(POD, daemon_set)
            if not complete(daemon_set, pods):
                return
            for pod in pods:
                node = self.cache.get(NODE, node_of(pod))
                if node is not None:
                    states.setdefault(labels_of(node).get(STATE, ""), []).append((node, pod))
        free = int(upgrade.get("maxParallelUpgrades", 1)) or len(self.cache.all(NODE))
        free -= sum(len(states.get(state, ())) for state in AT_WORK)
        for state in ("", DONE):
            for node, pod in states.get(state, ()):
                await self._rest(node, pod)
        for node, _pod in states.get(REQUIRED, ()):
            cordoned = bool(node["spec"].get("unschedulable"))
            if labels_of(node).get(SKIP) != "true" and (free > 0 or cordoned):
                await self._go(node, CORDON)
                free -= 1
        steps: Mapping[str, Callable[[Object, Object, Object], Awaitable[None]]] = {
            CORDON: self._cordon,
            WAIT: self._waited,
            DRAIN: self._drain,
            RESTART: self._restart,
            FAILED: self._failed,
            UNCORDON: self._uncordon,
        }
        for state, step in steps.items():
            for node, pod in states.get(state, ()):
                await step(node, pod, upgrade)

    async def _rest(self, node: Object, pod: Object) -> None:
        """Nothing is going on: a pod of an older template asks for more."""
        if deleting(pod):
            return
        if self._outdated(pod):
            if node["spec"].get("unschedulable"):
                await self.api.patch(node, {"metadata": {"annotations": {WAS_CORDONED: "true"}}})
            await self._go(node, REQUIRED)
        elif labels_of(node).get(STATE) != DONE:
            await self._go(node, DONE)

    async def _cordon(self, node: Object, _pod: Object, _upgrade: Object) -> None:
        if not node["spec"].get("unschedulable"):
            await self.api.patch(node, {"spec": {"unschedulable": True}})
        await self._go(node, WAIT)

    async def _waited(self, node: Object, _pod: Object, _upgrade: Object) -> None:
        await self._go(node, DRAIN)

    async def _drain(self, node: Object, _pod: Object, upgrade: Object) -> None:
        """Evict what is not a DaemonSet's; who does not go in time makes the node fail."""
        drain = upgrade.get("drain") or {}
        name = name_of(node)
        left = [p for p in self.cache.pods_on(name) if not _daemon(p)] if drain.get("enable") else []
        if not left:
            self._drains.pop(name, None)
            await self._go(node, RESTART)
            return
        limit = self.twin.clock.real(float(drain.get("timeoutSeconds", 300)))
        if time.monotonic() > self._drains.setdefault(name, time.monotonic() + limit):
            del self._drains[name]
            await self._go(node, FAILED)
            return
        for pod in left:
            try:
                await self.api.evict(pod)
            except ClientError as error:
                if error.code not in {404, *MAY_NOT_GO}:
                    raise

    async def _restart(self, node: Object, pod: Object, _upgrade: Object) -> None:
        if deleting(pod):
            return
        if self._outdated(pod):
            await self.api.delete(pod)
        elif is_true(pod, "Ready"):
            await self._back(node)

    async def _failed(self, node: Object, pod: Object, _upgrade: Object) -> None:
        if not self._outdated(pod) and is_true(pod, "Ready"):
            await self._back(node)

    async def _back(self, node: Object) -> None:
        """To the uncordon, unless the node was cordoned when it began."""
        if WAS_CORDONED in annotations_of(node):
            await self.api.patch(node, {"metadata": {"annotations": {WAS_CORDONED: None}}})
            await self._go(node, DONE)
        else:
            await self._go(node, UNCORDON)

    async def _uncordon(self, node: Object, _pod: Object, _upgrade: Object) -> None:
        await self.api.patch(node, {"spec": {"unschedulable": None}})
        await self._go(node, DONE)

    async def _go(self, node: Object, state: str) -> None:
        await self.api.patch(node, {"metadata": {"labels": {STATE: state}}})

    async def _strip(self, key: Key) -> None:
        """Take the labels off the policy's nodes; who is gone had those that no other policy has."""
        policy = self.cache.get(*key)
        others = [p for p in self.cache.all(NIC_NODE_POLICY) if (kind_of(p), name_of(p)) != key]
        for node in self.cache.all(NODE):
            mine = manifests.selects(policy, node) if policy else True
            if STATE in labels_of(node) and mine and not any(manifests.selects(p, node) for p in others):
                await self.api.patch(node, {"metadata": {"labels": {STATE: None}}})

    def _outdated(self, pod: Object) -> bool:
        owner = controller_of(pod) or {"name": ""}
        found = self.cache.get(DAEMON_SET, owner["name"], pod["metadata"]["namespace"])
        return found is not None and labels_of(pod).get(HASH_LABEL) != revision(found)


def _daemon(pod: Object) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner["kind"] == "DaemonSet"
