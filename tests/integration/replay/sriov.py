"""The SR-IOV operator's recording: three nodes in one pool, with the machine-config operator; edits play daemons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.integration.replay import mco
from tests.integration.replay.cluster import Replay
from tests.integration.replay.normal import Fields, Names
from tests.integration.replay.playing import Stage

from knowngood.twin import seed
from knowngood.twin.behaviours.kube import NODE, annotations_of, name_of
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.sriov_drains import SriovDrains
from knowngood.twin.behaviours.sriov_objects import API, CURRENT, DESIRED, DRAIN, IDLE, MARK, REBOOT, STATE
from knowngood.twin.crds_sriov import sriov_crds
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object

NODES = mco.NODES
USED = {"resources": {"requests": {"openshift.io/vf": "1"}, "limits": {"openshift.io/vf": "1"}}}


def plan() -> Seed:
    """Three workers."""
    nodes = [{"name": name, "role": "cpu"} for name in NODES]
    operator = {"version": "26.7.0", "namespace": mco.SPACE}
    document = {"schema": 1, "cluster": "replay", "openshift": "4.18.52", "nodes": nodes}
    parts = {"gpuOperator": operator, "machineConfig": {}, "sriov": {"namespace": mco.SPACE}}
    return seed.parse({**document, **parts})


def _there() -> Iterator[Object]:
    """The nodes have the config that their pool had told of just before."""
    for obj in mco.stage().there:
        text = json.dumps(obj).replace(mco.FIRST, mco.SECOND)
        found: Object = json.loads(text)
        if found["kind"] == NODE[1]:
            found["metadata"]["annotations"][MARK] = IDLE
        yield found
    for name in NODES:
        said = {DESIRED: IDLE, CURRENT: IDLE}
        metadata = {"name": name, "namespace": mco.SPACE, "annotations": said}
        yield {"apiVersion": API, "kind": STATE[1], "metadata": metadata, "spec": {}}


def stage() -> Stage:
    """The recording's cluster."""
    return Stage(
        plan=plan(),
        controllers=[NodeLifecycle, MachineConfigOperator, SriovDrains],
        kinds=KINDS,
        perform=perform,
        saw=saw,
        there=tuple(_there()),
        definitions=tuple(sriov_crds()),
        renamed=mco.renamed,
        scale=40.0,
    )


# --- what the test did


async def perform(replay: Replay, what: str) -> None:
    """Do what an EDIT line says."""
    if what.startswith("at rest; tenant pods"):
        await _pod(replay, "plain", "m-1")
        await _pod(replay, "vf", "m-1", **USED)
    elif what.startswith("we pause the pool"):
        await replay.client.patch(POOL, "worker", {"spec": {"paused": True}})
    elif what.startswith("we cordon m-1"):
        spec = {"unschedulable": True, "taints": [mco._taint("knowngood.dev/maintenance")]}
        await replay.client.patch(NODE, "m-1", {"spec": spec})
    elif what.startswith("two nodes want a drain"):
        await _ask(replay, DRAIN, "m-2", "m-3")
    elif what.startswith("Reboot_Required on m-2"):
        replay.kubelets.late = lambda pod: name_of(pod) == "plain2"  # the drain comes before its kubelet
        await _pod(replay, "plain2", "m-2")
        await _ask(replay, REBOOT, "m-2")
    else:
        found = re.search(r"(m-\d)\W.*?(Drain_Required|Idle)$", what)
        assert found, what
        await _ask(replay, found[2], found[1])


async def _ask(replay: Replay, how: str, *nodes: str) -> None:
    for name in nodes:
        await replay.client.patch(NODE, name, {"metadata": {"annotations": {MARK: how}}})
        said = {"metadata": {"annotations": {DESIRED: how}}}
        await replay.client.patch(STATE, name, said, mco.SPACE)


async def _pod(replay: Replay, name: str, node: str, **container: Any) -> None:
    spec = {"nodeName": node, "containers": [{"name": "x", "image": "w", **container}]}
    metadata = {"name": name, "namespace": mco.SPACE}
    await replay.client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


# --- what it saw


async def saw(replay: Replay, _note: str) -> str:
    """The same look at the twin."""
    pool = replay.twin.cache.get(POOL, "worker") or {}
    told: dict[str, Any] = {
        "pool paused": bool(pool["spec"].get("paused")),
        "pool annotation": annotations_of(pool).get(MARK),
    }
    for node in sorted((replay.twin.cache.get(NODE, name) or {} for name in NODES), key=name_of):
        told[name_of(node)] = [annotations_of(node).get(MARK), bool(node["spec"].get("unschedulable"))]
    return f"now {json.dumps(told)}"


# --- how it is read


def _machine(names: Names, obj: Object) -> dict[str, Any]:
    of_pools = mco.KINDS["Node"](names, obj)
    kept = {key: value for key, value in of_pools.items() if not key.startswith("annotations.")}
    return {**kept, f"annotations.{MARK}": annotations_of(obj).get(MARK)}


def _pool(names: Names, obj: Object) -> dict[str, Any]:
    return {**mco.KINDS[POOL[1]](names, obj), f"annotations.{MARK}": annotations_of(obj).get(MARK)}


def _state(_names: Names, obj: Object) -> dict[str, Any]:
    return {f"annotations.{key}": annotations_of(obj).get(key) for key in (DESIRED, CURRENT)}


KINDS: Mapping[str, Fields] = {
    "Node": _machine,
    POOL[1]: _pool,
    "Pod": mco.KINDS["Pod"],
    STATE[1]: _state,
}
