"""The oracle against a real twin: what it sees, what it leaves out, what it remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.setting import NEW, OLD
from tests.integration.twin.stage import Stage, play, smoke_job

from knowngood.twin import events
from knowngood.twin.behaviours.kube import NODE
from knowngood.twin.oracle import snapshot
from knowngood.twin.oracle_judge import differences, history


async def look(stage: Stage) -> dict[str, Any]:
    """A snapshot once all tenants run."""
    return await snapshot(stage.client, stage.state)


def test_there_and_back_is_equal_and_only_the_loads_tell(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = await look(stage)
        await stage.upgrade("ring-0", NEW)
        away = differences(before, await look(stage))
        assert f"nodes.gpu-1.module: {OLD} -> {NEW}" in away
        assert f"declared.clusters/small/gpu/nvidiadriver-ring-0.yaml.spec.version: {OLD} -> {NEW}" in away
        assert not [line for line in away if "gpu-2" in line]
        await stage.sync(stage.repository.revert())
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", OLD)
        after = await look(stage)
        assert differences(before, after) == []
        assert [line.split(":")[0] for line in differences(before, after, ["loads"])] == [
            "loads.gpu-1.monotonic"
        ]

    play(tmp_path, story)


def test_what_a_run_may_leave_behind_is_a_difference(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = await look(stage)
        await stage.client.create(smoke_job("gpu-1", "cat", "/host/etc/hostname"))
        await stage.done("smoke")
        await stage.client.patch(
            NODE, "gpu-1", {"metadata": {"annotations": {"example.com/claim": "r1"}, "labels": {"x": "y"}}}
        )
        await stage.taint("gpu-2")
        await stage.cordon("gpu-2")
        stage.twin.world.machines["gpu-2"].load_peermem(users=1)
        found = {line.split(":")[0] for line in differences(before, await look(stage))}
        assert found == {
            "nodes.gpu-1.annotations.example.com/claim",
            "nodes.gpu-1.labels.x",
            "nodes.gpu-2.taints",
            "nodes.gpu-2.unschedulable",
            "nodes.gpu-2.peermem",
            "ours.jobs",
            "ours.pods",
        }

    play(tmp_path, story)


def test_a_lost_gpu_and_an_operand_that_is_not_ready_are_differences(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = await look(stage)
        await stage.fault("xid-79", "gpu-1")
        await stage.until("seven GPUs", lambda: stage.gpus("gpu-1") == "7")
        found = {line.split(":")[0] for line in differences(before, await look(stage))}
        assert {"nodes.gpu-1.gpus", "nodes.gpu-1.allocatable.nvidia.com/gpu"} <= found

    play(tmp_path, story)


def test_history_says_which_driver_ran_when_and_whom_it_cost_what(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        evicted = len(stage.tenants_on("gpu-1"))
        await stage.upgrade("ring-0", NEW)
        found = history(events.read(stage.state / "events.jsonl"))
        node, other = found["nodes"]["gpu-1"], found["nodes"]["gpu-2"]
        assert [d["version"] for d in node["drivers"]] == [OLD, NEW]
        assert node["drivers"][0]["to"] <= node["drivers"][1]["from"]
        assert node["drivers"][1]["to"] == ""
        assert (node["loads"], node["drains"], len(node["restarts"])) == (1, 1, 1)
        assert node["restarts"][0]["cause"] == "deleted"
        assert node["restarts"][0]["by"] == "test"
        assert len(node["out"]) == 1, "one time out of service"
        assert node["out"][0]["reason"] == "cordoned"
        assert node["out"][0]["to"]
        assert sum(found["evictions"].values()) >= evicted
        assert (other["loads"], other["restarts"], other["out"]) == (0, [], [])

    play(tmp_path, story)


@pytest.mark.parametrize("also", [["loads"], ["workloads"]])
def test_a_snapshot_equals_itself(tmp_path: Path, also: list[str]) -> None:
    async def story(stage: Stage) -> None:
        first, second = await asyncio.gather(look(stage), look(stage))
        assert differences(first, second, also) == []

    play(tmp_path, story)
