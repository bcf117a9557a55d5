"""The MachineConfigPools that a twin starts with, and what they say on their nodes. Pure: from the seed."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.behaviours.kube import condition
from knowngood.twin.host_files import stable_id
from knowngood.twin.seed import NodeSeed, PoolSeed, Seed
from knowngood.twin.values import Object

MCO = "machineconfiguration.openshift.io"


def said_of(seed: Seed, node: NodeSeed) -> dict[str, str]:
    """What its machine-config daemon says of a node at rest."""
    if not seed.openshift or not node.machine:
        return {}
    config = rendered(_pool_of(seed, node), seed.openshift)
    return {
        f"{MCO}/currentConfig": config,
        f"{MCO}/desiredConfig": config,
        f"{MCO}/state": "Done",
        f"{MCO}/reason": "",
        f"{MCO}/desiredDrain": f"uncordon-{config}",
        f"{MCO}/lastAppliedDrain": f"uncordon-{config}",
    }


def rendered(pool_name: str, openshift: str) -> str:
    """The name of what a pool's config is by a release alone."""
    return f"rendered-{pool_name}-{stable_id(pool_name, openshift).replace('-', '')}"


def pools(seed: Seed) -> Iterator[Object]:
    """The MachineConfigPools at rest: master, worker, and those that the seed names."""
    members: dict[str, int] = {}
    for node in seed.nodes:
        if node.machine:
            members[_pool_of(seed, node)] = members.get(_pool_of(seed, node), 0) + 1
    for name in ("master", "worker"):
        yield pool(seed, PoolSeed(name, {f"node-role.kubernetes.io/{name}": ""}), members.get(name, 0))
    for custom in seed.machine_config.pools if seed.machine_config else ():
        yield pool(seed, custom, members.get(custom.name, 0))


def _labels(name: str) -> dict[str, str]:
    """The control plane's pool is the one that an update waits for."""
    required = {f"operator.{MCO}/required-for-upgrade": ""} if name == "master" else {}
    return {f"pools.operator.{MCO}/{name}": "", **required}


def _pool_of(seed: Seed, node: NodeSeed) -> str:
    """Its pool: the control plane's, else a custom one whose labels it has, else worker."""
    if node.role == "control-plane":
        return "master"
    for custom in sorted(seed.machine_config.pools if seed.machine_config else (), key=lambda one: one.name):
        if all(node.labels.get(key) == value for key, value in custom.nodeSelector.items()):
            return custom.name
    return "worker"


def pool(seed: Seed, wanted: PoolSeed, count: int) -> Object:
    """A MachineConfigPool of so many nodes at rest."""
    name = wanted.name
    config = {"name": rendered(name, seed.openshift)}
    custom = name not in {"master", "worker"}
    selector: Object = {"matchLabels": {f"{MCO}/role": name}}
    if custom:
        roles = ["worker", name]
        selector = {"matchExpressions": [{"key": f"{MCO}/role", "operator": "In", "values": roles}]}
    states = {
        "Updated": True,
        "Updating": False,
        "Degraded": False,
        "NodeDegraded": False,
        "RenderDegraded": False,
    }
    return {
        "apiVersion": f"{MCO}/v1",
        "kind": "MachineConfigPool",
        "metadata": {"name": name, "labels": _labels(name)},
        "spec": {
            "paused": wanted.paused,
            "configuration": config,
            **({"maxUnavailable": wanted.maxUnavailable} if custom else {}),
            "machineConfigSelector": selector,
            "nodeSelector": {"matchLabels": dict(wanted.nodeSelector)},
        },
        "status": {
            "configuration": config,
            "observedGeneration": 1,
            "machineCount": count,
            "readyMachineCount": count,
            "updatedMachineCount": count,
            "unavailableMachineCount": 0,
            "degradedMachineCount": 0,
            "conditions": [condition(kind, state) for kind, state in states.items()],
        },
    }
