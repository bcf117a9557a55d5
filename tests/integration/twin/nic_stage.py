"""A twin with the Network Operator, and what its tests ask of nodes and pods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.integration.twin import behaviour
from tests.integration.twin.behaviour import Play

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    NIC_CLUSTER_POLICY,
    NIC_NODE_POLICY,
    NODE,
    POD,
    Kind,
    deleting,
    is_true,
    labels_of,
    name_of,
    uid_of,
)
from knowngood.twin.behaviours.network_operator import NetworkOperator
from knowngood.twin.behaviours.nic_manifests import OFED_LABEL, WAIT_LABEL
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.values import Object

SPACE = "nvidia-network-operator"
OLD, NEW = "25.10-1.2.2.0-0", "26.04-0.8.6.0-0"
OLD_SAYS, NEW_SAYS = "25.10-1.2.2", "26.04-0.8.6"
RINGS = {"ring-0": "gpu-1", "ring-1": "gpu-2"}
HARDWARE = {
    "gpus": 2,
    "nics": 2,
    "nicFirmware": "28.47.1026",
    "docaOfed": OLD_SAYS,
    "product": "PowerEdge XE7740",
}


class Nics:
    """What a story asks."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.twin = play.twin

    def pod(self, node: str) -> Object | None:
        """The node's DOCA pod, unless it is on its way out."""
        pods = self.twin.cache.pods_on(node)
        return next((p for p in pods if OFED_LABEL in labels_of(p) and not deleting(p)), None)

    def daemon_sets(self) -> dict[str, Object]:
        """All of the operator's DaemonSets by name."""
        return {name_of(ds): ds for ds in self.twin.cache.all(DAEMON_SET, SPACE)}

    def running(self, node: str) -> str:
        """The NIC driver in the node's kernel."""
        return self.twin.world.machines[node].read("sys/module/mlx5_core/version")

    def loads(self, node: str) -> list[str]:
        """The NIC drivers loaded since the start, in order; "" is the kernel's own."""
        rows = self.play.events("module-loaded")
        return [r["version"] for r in rows if r["node"] == node and r["module"] == "mlx5_core"]

    def waits(self, node: str) -> str:
        """The node's wait label."""
        return labels_of(self.play.get(NODE, node, ""))[WAIT_LABEL]

    def state(self, kind: Kind, name: str) -> str:
        """The state that a policy shows."""
        found = self.twin.cache.get(kind, name) or {}
        return str((found.get("status") or {}).get("state", ""))

    async def declare(self, policy: Object) -> None:
        """Create a policy and wait until its pods are ready."""
        await self.play.client.create(policy)
        kind = (policy["apiVersion"], policy["kind"])
        await self.play.until(
            f"{name_of(policy)} is ready", lambda: self.state(kind, name_of(policy)) == "ready"
        )

    async def move(self, kind: Kind, name: str, version: str) -> None:
        """Declare another version and wait until the DaemonSets say so."""
        await self.play.client.patch(kind, name, {"spec": {"ofedDriver": {"version": version}}})
        policy = uid_of(self.play.get(kind, name, ""))

        def told() -> bool:
            mine = [
                ds
                for ds in self.daemon_sets().values()
                if ds["metadata"]["ownerReferences"][0]["uid"] == policy
            ]
            ofed = [ds for ds in mine if OFED_LABEL in labels_of(ds)]
            images = [ds["spec"]["template"]["spec"]["containers"][0]["image"] for ds in ofed]
            return bool(images) and all(version in image for image in images)

        await self.play.until(f"a template with {version}", told)

    async def relabel(self, node: str) -> None:
        """Any label of the node changes."""
        await self.play.client.patch(NODE, node, {"metadata": {"labels": {"example.com/seen": "yes"}}})

    async def restart(self, node: str) -> None:
        """Delete the node's DOCA pod and wait until another one is there."""
        pod = self.pod(node)
        assert pod is not None
        await self.play.client.delete(POD, name_of(pod), SPACE)
        await self.play.until(
            "another DOCA pod", lambda: (self.pod(node) or pod) is not pod and self.pod(node)
        )

    def ready(self, node: str) -> bool:
        """Whether its DOCA pod is ready."""
        pod = self.pod(node)
        return pod is not None and is_true(pod, "Ready")


def cluster_policy(version: str = OLD, **spec: Any) -> Object:
    """The one NicClusterPolicy."""
    return _policy("NicClusterPolicy", "nic-cluster-policy", version, spec)


def ring(name: str, version: str = OLD, **spec: Any) -> Object:
    """The NicNodePolicy of a ring."""
    return _policy("NicNodePolicy", name, version, {"nodeSelector": {"example.com/ring": name}, **spec})


def _policy(kind: str, name: str, version: str, spec: Object) -> Object:
    driver = {"repository": "mirror.example.com/nvidia", "image": "doca-driver", "version": version}
    return {
        "apiVersion": "mellanox.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**spec, "ofedDriver": {**driver, **spec.get("ofedDriver", {})}},
    }


def play(
    folder: Path,
    story: Callable[[Nics], Awaitable[None]],
    nodes: Sequence[Object] = (),
    cast: Callable[[Twin], Sequence[Controller]] | None = None,
    **document: Any,
) -> None:
    """Two nodes in two rings unless others are given; the operator, DaemonSets, scheduler and kubelets run."""
    default = [
        {"name": n, "role": "gpu", "labels": {"example.com/ring": r}, **HARDWARE} for r, n in RINGS.items()
    ]

    async def tell(made: Play) -> None:
        await story(Nics(made))

    behaviour.play(
        folder,
        tell,
        cast or (lambda twin: [Scheduler(twin), DaemonSets(twin), NetworkOperator(twin)]),
        runs=True,
        kinds=(NIC_CLUSTER_POLICY, NIC_NODE_POLICY, DAEMON_SET),
        nodes=list(nodes) or default,
        networkOperator={"version": "26.4.1", "namespace": SPACE},
        **document,
    )
