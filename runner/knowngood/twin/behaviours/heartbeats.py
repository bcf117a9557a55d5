"""The nodes' Leases: what a real node-lifecycle controller goes by. Where it is ours, nobody needs them."""

from __future__ import annotations

import asyncio
import logging

from knowngood.twin.api.meta import now_micro
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import NODE, uid_of
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

log = logging.getLogger("twin")

NAMESPACE = "kube-node-lease"
LEASE = ("coordination.k8s.io/v1", "Lease")
DURATION_S = 40  # the kubelet's own figures; real seconds, because who looks at them is real
RENEW_S = 10.0


class Heartbeats:
    """Renews the Lease of every machine that is up."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def start(self) -> None:
        """Begin, in a task."""
        self._twin.spawn(self._beat(), "heartbeats")

    async def _beat(self) -> None:
        while True:
            for name, machine in self._twin.world.machines.items():
                if machine.up:
                    try:
                        await self._renew(name)
                    except ClientError as error:  # the next beat tries again
                        log.warning("no heartbeat of %s: %s", name, error)
            await asyncio.sleep(RENEW_S)

    async def _renew(self, name: str) -> None:
        node = self._twin.cache.get(NODE, name)
        if node is None:
            return
        moment = {"spec": {"renewTime": now_micro()}}
        try:
            await self._twin.api.patch(_lease(node), moment)
        except ClientError as error:
            if error.code != 404:
                raise
            await self._twin.api.ensure(_lease(node))


def _lease(node: Object) -> Object:
    name = node["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
    return {
        "apiVersion": LEASE[0],
        "kind": LEASE[1],
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": DURATION_S, "renewTime": now_micro()},
    }
