"""The machine-config operator's recordings: three nodes in one pool, their daemons played by the edits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.integration.replay.cluster import Replay
from tests.integration.replay.normal import Fields, Names
from tests.integration.replay.playing import Stage
from tests.integration.replay.recording import Line

from knowngood.twin import objects, seed
from knowngood.twin.behaviours.kube import NODE, deleting, is_true, node_of, phase_of
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_nodes import CURRENT, DESIRED, DONE, DRAIN, DRAINED, POOL, STATE, WORKING
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object

SPACE = "nvidia-gpu-operator"
NODES = ("m-1", "m-2", "m-3")
FIRST, SECOND = "rendered-worker-1", "rendered-worker-2"


def plan() -> Seed:
    """Three workers."""
    document = {
        "schema": 1,
        "cluster": "replay",
        "openshift": "4.18.52",
        "nodes": [{"name": name, "role": "cpu"} for name in NODES],
        "gpuOperator": {"version": "26.7.0", "namespace": SPACE},
        "machineConfig": {},
    }
    return seed.parse(document)


def _there() -> Iterator[Object]:
    yield objects.namespace(SPACE)
    for one in plan().nodes:
        node = objects.node_object(plan(), one)
        rest = f"uncordon-{FIRST}"
        said = {CURRENT: FIRST, DESIRED: FIRST, STATE: DONE, DRAIN: rest, DRAINED: rest}
        node["metadata"]["annotations"] = said
        yield node
    selector = {"matchLabels": {"node-role.kubernetes.io/worker": ""}}
    counts = dict.fromkeys(("machineCount", "readyMachineCount", "updatedMachineCount"), len(NODES))
    yield {
        "apiVersion": POOL[0],
        "kind": POOL[1],
        "metadata": {"name": "worker"},
        "spec": {"paused": False, "configuration": {"name": FIRST}, "nodeSelector": selector},
        "status": {**counts, "unavailableMachineCount": 0, "degradedMachineCount": 0},
    }


def stage() -> Stage:
    """The recordings' cluster. Slow enough that a drain has not given up before the next edit."""
    return Stage(
        plan=plan(),
        controllers=[NodeLifecycle, MachineConfigOperator],
        kinds=KINDS,
        perform=perform,
        saw=saw,
        there=tuple(_there()),
        renamed=renamed,
        scale=40.0,
    )


# --- what the test did


async def perform(replay: Replay, what: str) -> None:
    """Do what an EDIT line says."""
    if found := re.match(r"pool (?:worker )?(paused|unpaused)", what):
        await _pool(replay, {"paused": found[1] == "paused"})
    elif what.startswith("a new rendered config arrives"):
        await _pool(replay, {"configuration": {"name": SECOND}})
    elif found := re.match(r"\[as the daemon of (m-\d)\] (.*)", what):
        await _daemon(replay, found[1], found[2])
    elif what.startswith("m-2 is cordoned by somebody else"):
        await _node(replay, "m-2", unschedulable=True, taints=[_taint("example.com/foreign")])
    elif what.startswith("the foreign cordon of m-2 goes"):
        await _node(replay, "m-2", unschedulable=None)
    elif what.startswith("m-1 is uncordoned by somebody"):
        await _node(replay, "m-1", unschedulable=None)
    elif what.startswith("m-2: cordoned and tainted"):
        await _node(replay, "m-2", unschedulable=True, taints=[_taint("knowngood.dev/quarantine")])
    elif what.startswith("at rest: m-1 cordoned by us"):
        await _node(replay, "m-1", unschedulable=True)
    elif what.startswith("the daemon of m-1 writes desiredDrain"):
        await _say(replay, "m-1", {DRAIN: f"uncordon-{SECOND}", DRAINED: ""})
    elif what.startswith("m-3: tenant pod under a budget"):
        await _guarded(replay)
    else:
        assert what.startswith("taken back"), what
        await _say(replay, "m-3", {DRAIN: f"uncordon-{SECOND}", STATE: DONE})


async def _daemon(replay: Replay, node: str, what: str) -> None:
    if config := re.search(r"drain-(rendered-worker-\d)$", what) if "uncordon" not in what else None:
        if node == "m-1":
            await replay.client.create(_pod("tenant", "m-1"))
            await replay.calm()
        await _say(replay, node, {DRAIN: f"drain-{config[1]}", STATE: WORKING})
        return
    await _say(replay, node, {DRAIN: f"uncordon-{SECOND}"})
    await replay.calm()
    await _say(replay, node, {CURRENT: SECOND, STATE: DONE})


async def _pool(replay: Replay, spec: Object) -> None:
    await replay.client.patch(POOL, "worker", {"spec": spec})


async def _node(replay: Replay, name: str, **spec: Any) -> None:
    await replay.client.patch(NODE, name, {"spec": spec})


async def _say(replay: Replay, node: str, words: Mapping[str, str]) -> None:
    await replay.client.patch(NODE, node, {"metadata": {"annotations": dict(words)}})


async def _guarded(replay: Replay) -> None:
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}}
    await replay.client.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "guarded", "namespace": SPACE},
            "spec": budget,
        }
    )
    await replay.client.create(_pod("guarded", "m-3"))


def _taint(key: str) -> Object:
    return {"key": key, "value": "x", "effect": "NoSchedule"}


def _pod(name: str, node: str) -> Object:
    spec = {"nodeName": node, "containers": [{"name": "x", "image": "w"}]}
    metadata = {"name": name, "namespace": SPACE, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


# --- what it saw


async def saw(replay: Replay, note: str) -> str:
    """The same look at the twin."""
    nodes = {name: replay.twin.cache.get(NODE, name) or {} for name in NODES}
    if note.startswith("now "):
        told = {
            name: [
                *(node["metadata"]["annotations"].get(word) for word in (CURRENT, DESIRED, STATE)),
                bool(node["spec"].get("unschedulable")),
            ]
            for name, node in nodes.items()
        }
        return f"now {json.dumps(told)}"
    if found := re.match(r"(chosen.*: )m-\d", note):
        moving = [
            name
            for name, node in nodes.items()
            if node["metadata"]["annotations"][DESIRED] != node["metadata"]["annotations"][CURRENT]
        ]
        return found[1] + " ".join(moving)
    taints = [t["key"] for t in nodes["m-2"]["spec"].get("taints") or ()]
    return (
        f"is our cordon still there? {nodes['m-2']['spec'].get('unschedulable')} taints {json.dumps(taints)}"
    )


# --- how it is read


def _machine(_names: Names, obj: Object) -> dict[str, Any]:
    taints = obj["spec"].get("taints") or ()
    kept = (CURRENT, DESIRED, STATE, DRAIN, DRAINED)
    said = obj["metadata"].get("annotations") or {}
    return {
        "unschedulable": bool(obj["spec"].get("unschedulable")),
        "taints": sorted(f"{t['key']}={t.get('value', '')}:{t['effect']}" for t in taints),
        **{f"annotations.{name}": said.get(name) for name in kept},
    }


def _machine_pool(_names: Names, obj: Object) -> dict[str, Any]:
    status = obj.get("status") or {}
    counts = [f"{name}MachineCount" for name in ("ready", "updated", "unavailable")]
    told = {
        c["type"]: " ".join(filter(None, (c["status"], c["message"]))) for c in status.get("conditions", ())
    }
    return {
        "generation": obj["metadata"].get("generation"),
        "spec.paused": obj["spec"].get("paused"),
        "spec.configuration.name": obj["spec"]["configuration"]["name"],
        "status.observedGeneration": status.get("observedGeneration"),
        **{f"status.{name}": status.get(name) for name in counts},
        **{f"status.conditions.{kind}": text for kind, text in told.items()},
    }


def _a_pod(_names: Names, obj: Object) -> dict[str, Any]:
    return {
        "node": node_of(obj),
        "phase": phase_of(obj),
        "ready": str(is_true(obj, "Ready")),
        "terminating": deleting(obj),
        **{f"images.{c['name']}": c["image"] for c in obj["spec"]["containers"]},
    }


KINDS: Mapping[str, Fields] = {"Node": _machine, POOL[1]: _machine_pool, "Pod": _a_pod}


def renamed(lines: list[Line], _known: Iterable[Line]) -> list[Line]:
    """Without the Events of others."""
    return [line for line in lines if line.get("kind") in KINDS or line["type"] == "EDIT"]
