"""The node-lifecycle controller alone: a cordon's taint, and nodes that fall silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.twin.behaviour import Play, play

from knowngood.twin.api.meta import now_micro
from knowngood.twin.behaviours import heartbeats, node_lifecycle
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, POD, is_true, node_of
from knowngood.twin.behaviours.node_lifecycle import UNREACHABLE, UNSCHEDULABLE, NodeLifecycle
from knowngood.twin.client import Client
from knowngood.twin.values import Object

NODES = [{"name": "gpu-1", "role": "gpu"}, {"name": "gpu-2", "role": "gpu"}]


def cast(twin: Twin) -> list[Controller]:
    return [NodeLifecycle(twin)]


async def taints(client: Client, node: str) -> list[Object]:
    found: list[Object] = (await client.get(NODE, node))["spec"].get("taints") or []
    return found


def test_a_cordon_is_a_taint_too_until_it_is_lifted(tmp_path: Path) -> None:
    async def story(made: Play) -> None:
        mine = {"key": "example.com/work", "effect": "NoSchedule"}
        await made.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True, "taints": [mine]}})

        def keys() -> list[str]:
            node = made.twin.cache.get(NODE, "gpu-1")
            return [one["key"] for one in (node or {"spec": {}})["spec"].get("taints") or ()]

        await made.until("the taint is there", lambda: UNSCHEDULABLE in keys())
        (added,) = [one for one in await taints(made.client, "gpu-1") if one["key"] == UNSCHEDULABLE]
        assert (added["effect"], "timeAdded" in added) == ("NoSchedule", True)
        await made.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": None}})
        await made.until("the taint is gone", lambda: UNSCHEDULABLE not in keys())
        assert keys() == ["example.com/work"], "another's taint stays"

    play(tmp_path, story, cast, nodes=NODES)


def test_a_taint_written_at_the_same_time_is_not_lost(tmp_path: Path) -> None:
    """The taints are one list: who writes it from an older state takes another's taint away."""

    async def story(made: Play) -> None:
        controller = NodeLifecycle(made.twin)
        stale = made.twin.cache.get(NODE, "gpu-1")
        mine = {"key": "example.com/work", "effect": "NoSchedule"}
        await made.client.patch(NODE, "gpu-1", {"spec": {"taints": [mine]}})
        made.twin.cache._objects[NODE]["", "gpu-1"] = stale or {}
        await controller.lost("gpu-1")
        found = {one["key"] for one in await taints(made.client, "gpu-1")}
        assert found == {"example.com/work", UNREACHABLE}

    play(tmp_path, story, lambda _twin: [], nodes=NODES)


def test_a_node_of_others_is_heard_of_by_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a twin can be the cluster on which another twin's nodes are: the one without a Lease is never missed."""
    monkeypatch.setattr(node_lifecycle, "MONITOR_S", 0.02)

    async def story(made: Play) -> None:
        for name in ("theirs", "virtual"):
            await made.client.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        lease = heartbeats._lease(await made.client.get(NODE, "theirs"))
        lease["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"
        await made.client.create(lease)

        def tainted(name: str) -> bool:
            node = made.twin.cache.get(NODE, name) or {"spec": {}}
            return any(one["key"] == UNREACHABLE for one in node["spec"].get("taints") or ())

        await made.until("it is missed", lambda: tainted("theirs"))
        assert not tainted("virtual")
        await made.client.patch(
            heartbeats.LEASE, "theirs", {"spec": {"renewTime": now_micro()}}, heartbeats.NAMESPACE
        )
        await made.until("it is heard of", lambda: not tainted("theirs"))

    play(tmp_path, story, cast, nodes=NODES)


def test_a_node_that_nobody_hears_from_is_unknown_and_its_pods_are_not_ready(tmp_path: Path) -> None:
    async def story(made: Play) -> None:
        controller = NodeLifecycle(made.twin)
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"nodeName": "gpu-1", "containers": [{"name": "main", "image": "app:1"}]},
        }
        await made.client.create(body)

        def pod() -> Object:
            return made.twin.cache.get(POD, "p", "default") or {"spec": {}, "status": {}}

        await made.until("the pod is ready", lambda: node_of(pod()) == "gpu-1" and is_true(pod(), "Ready"))
        await controller.lost("gpu-1")
        node = await made.client.get(NODE, "gpu-1")
        assert {one["status"] for one in node["status"]["conditions"]} == {"Unknown"}
        assert {one["effect"] for one in await taints(made.client, "gpu-1")} == {"NoSchedule", "NoExecute"}
        assert not is_true(await made.client.get(POD, "p", "default"), "Ready")
        await controller.found("gpu-1")
        assert await taints(made.client, "gpu-1") == []

    play(tmp_path, story, cast, nodes=NODES)


def test_a_node_that_came_back_before_its_time_is_not_booted_again(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        machine = stage.twin.world.machines["gpu-1"]
        await stage.fault("node-stays-down", "gpu-1", when="now", seconds="150")
        await stage.until("it is down", lambda: not machine.up)
        await stage.clear()
        await stage.until("it is up", lambda: machine.up)
        boot = machine.boot_id
        await stage.twin.clock.sleep(300.0)
        assert machine.boot_id == boot

    play(tmp_path, story, cast=lambda _twin: [], nodes=[{"name": "gpu-1", "role": "gpu", "gpus": 8}])
