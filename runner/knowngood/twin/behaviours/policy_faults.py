"""What goes wrong with a driver that one ClusterPolicy declares for all nodes, when somebody says so.

`leaked-node`: a driver pod outside its turn is deleted, and its successor takes what is declared by then.
`operator-default-driver`: the operator composes the image from its own defaults, whatever the policy says.
`os-tag-of-one-node`: the image's tag names the operating system of one node, for all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.gpu_manifests import DRIVER_CONTAINER
from knowngood.twin.behaviours.kube import (
    COMPONENT_LABEL,
    DAEMON_SET,
    DRIVER_COMPONENT,
    POD,
    controller_of,
    deleting,
    labels_of,
    name_of,
    namespace_of,
)
from knowngood.twin.behaviours.node_pools import Pool
from knowngood.twin.faults import Fault
from knowngood.twin.values import Object

LEAK, DEFAULT, TAG = "leaked-node", "operator-default-driver", "os-tag-of-one-node"


class PolicyFaults:
    """Offers the first, and tells the operator what it takes a policy and its nodes for under the others."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._told: set[tuple[str, str]] = set()  # fault and version that were an event already

    def start(self) -> None:
        """From now on `leaked-node` can be set off."""
        self._twin.handlers[LEAK] = self._leak

    def taken(self, policy: Object, pool: Pool) -> tuple[Object, Pool]:
        """The policy and the nodes as the operator sees them."""
        driver = policy["spec"].get("driver") or {}
        version = str(driver.get("version", ""))
        if fault := self._twin.faults.active(DEFAULT, "", version):
            own = {**driver, "version": fault.param("default")}
            policy = {**policy, "spec": {**policy["spec"], "driver": own}}
            self._hit(fault, version)
        if fault := self._twin.faults.active(TAG, "", version):
            pool = replace(pool, os_version=fault.param("os"))
            self._hit(fault, version)
        return policy, pool

    def _hit(self, fault: Fault, version: str) -> None:
        """Once a version: the operator looks at its policy again and again."""
        if (fault.uid, version) not in self._told:
            self._told.add((fault.uid, version))
            self._twin.faults.hit(fault, version=version)

    async def _leak(self, fault: Fault, node: str) -> None:
        """As soon as the node's driver pod is of an older template, somebody deletes it."""
        changed = asyncio.Event()
        self._twin.cache.listen(DAEMON_SET, lambda _event, _obj: changed.set())
        while fault.uid in self._twin.faults.uids():
            if pod := self._outdated(node):
                await self._twin.client.delete(POD, name_of(pod), namespace_of(pod))
                self._twin.faults.hit(fault, pod=name_of(pod))
                return
            changed.clear()
            await changed.wait()

    def _outdated(self, node: str) -> Object | None:
        for pod in self._twin.cache.pods_on(node):
            owner = controller_of(pod)
            if owner and labels_of(pod).get(COMPONENT_LABEL) == DRIVER_COMPONENT and not deleting(pod):
                of = self._twin.cache.get(DAEMON_SET, str(owner["name"]), namespace_of(pod))
                if of and _image(of["spec"]["template"]["spec"]) != _image(pod["spec"]):
                    return pod
        return None


def _image(spec: Object) -> str:
    return next((str(c["image"]) for c in spec["containers"] if c["name"] == DRIVER_CONTAINER), "")
