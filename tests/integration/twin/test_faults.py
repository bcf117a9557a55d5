"""Each fault does what its incident did, on its node only, and is an event."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from tests.integration.twin.setting import BAD, NEW, OLD
from tests.integration.twin.stage import Stage, play

from knowngood.twin.behaviours.kube import (
    BUDGET,
    NODE,
    POD,
    deleting,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    node_of,
)
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object

XID = r"NVRM: Xid \(PCI:0000:[0-9a-f]{2}:00\): (\d+), pid="


def xids(stage: Stage, node: str) -> list[str]:
    """The codes in a node's kernel log."""
    return re.findall(XID, "\n".join(stage.kernel(node)))


def init_state(stage: Stage, name: str, node: str = "gpu-1") -> str:
    """Why an operand's init container waits."""
    pod = stage.operand(name, node) if name else stage.driver_pod(node)
    status = ((pod or {}).get("status") or {}).get("initContainerStatuses") or [{"state": {}}]
    return str((status[0]["state"].get("waiting") or {}).get("reason", ""))


def test_xid_79_takes_the_gpu_from_the_driver_and_from_allocatable_until_the_node_boots(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("xid-79", "gpu-1", gpu="2")
        await stage.until("seven GPUs", lambda: stage.gpus("gpu-1") == "7")
        machine = stage.twin.world.machines["gpu-1"]
        assert len(list((machine.root / "proc/driver/nvidia/gpus").iterdir())) == 7
        assert xids(stage, "gpu-1") == ["79"]
        assert not xids(stage, "gpu-2")
        assert stage.events("fault-hit", "gpu-1")[0]["fault"] == "xid-79"
        await stage.clear()
        assert stage.gpus("gpu-1") == "7", "a cleared fault does not mend hardware"
        await stage.fault("node-reboots", "gpu-1")
        await stage.until("it has booted", lambda: stage.events("node-up", "gpu-1"))
        await stage.at_rest("gpu-1", OLD)

    play(tmp_path, story)


@pytest.mark.parametrize(("fault", "code"), [("xid-31-after-driver", "31"), ("xid-119-after-driver", "119")])
def test_a_driver_incident_needs_the_driver_and_work_on_a_gpu(tmp_path: Path, fault: str, code: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault(fault, "gpu-1")
        await stage.upgrade("ring-0", NEW)
        assert not xids(stage, "gpu-1"), "another driver"
        await stage.upgrade("ring-0", BAD)
        assert not xids(stage, "gpu-1"), "no work yet"
        assert not stage.tenants_on("gpu-1")
        await stage.cordon("gpu-2")
        for pod in stage.tenants_on("gpu-2"):
            await stage.evicted(pod)
        await stage.until("work comes, and so does the Xid", lambda: set(xids(stage, "gpu-1")) == {code})
        assert not xids(stage, "gpu-2")

    play(tmp_path, story)


def test_a_driver_in_use_fails_and_is_tried_again_until_it_can_be_unloaded(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("driver-in-use", "gpu-1", version=NEW)
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.until("two tries", lambda: len(stage.events("fault-hit", "gpu-1")) >= 2)
        assert stage.module("gpu-1") == OLD
        image = (stage.driver_pod("gpu-1") or {})["spec"]["containers"][0]["image"]
        assert NEW in image, "new image, old module"

        def parked() -> list[str]:
            return [v for v in labels_of(stage.node("gpu-1")).values() if "paused" in v]

        await stage.until("between two tries the operands are given back", lambda: not parked())
        await stage.clear()
        await stage.at_rest("gpu-1", NEW)

    play(tmp_path, story)


def test_going_back_to_the_loaded_driver_cures_a_driver_in_use_without_a_reload(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("driver-in-use", "gpu-1", version=NEW)
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.until("it fails", lambda: init_state(stage, "") == "CrashLoopBackOff")
        await stage.sync(stage.repository.revert())
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", OLD)
        assert not stage.events("module-loaded", "gpu-1")

    play(tmp_path, story)


def test_a_missing_validator_leaves_everything_else_ready(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("validator-missing", "gpu-1", version=NEW)
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.until(
            "GPUs are back", lambda: stage.module("gpu-1") == NEW and stage.gpus("gpu-1") == "8"
        )
        await stage.until(
            "the validator fails",
            lambda: init_state(stage, "nvidia-operator-validator") == "CrashLoopBackOff",
        )
        assert stage.events("fault-hit", "gpu-1")

    play(tmp_path, story)


def test_dma_buf_falls_back_at_the_next_load_of_that_driver(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("dma-buf-falls-back", "gpu-1", version=NEW)
        machine = stage.twin.world.machines["gpu-1"]
        assert not machine.read("sys/module/nvidia_peermem/version")
        await stage.upgrade("ring-0", NEW)
        assert machine.read("sys/module/nvidia_peermem/version") == NEW
        assert int(machine.read("sys/module/nvidia_peermem/refcnt")) > 0
        await stage.upgrade("ring-0", OLD)
        assert not (machine.root / "sys/module/nvidia_peermem").exists(), "a load of another driver ends it"

    play(tmp_path, story)


def test_a_link_flaps_down_and_up_and_leaves_its_count(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        machine = stage.twin.world.machines["gpu-1"]
        port = "sys/class/infiniband/mlx5_3/ports/1"
        await stage.fault("ib-link-flap", "gpu-1", when="now", nic="3", seconds="300")
        await stage.until("down", lambda: machine.read(f"{port}/state") == "1: DOWN")
        await stage.until("up", lambda: machine.read(f"{port}/state") == "4: ACTIVE")
        assert machine.read(f"{port}/counters/link_downed") == "1"
        assert any("mlx5_core" in line and "Link down" in line for line in stage.kernel("gpu-1"))

    play(tmp_path, story)


def test_a_node_that_stays_down_answers_nothing_and_its_tenants_go_elsewhere(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("node-stays-down", "gpu-1")
        pod = stage.driver_pod("gpu-1")
        assert pod is not None
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.until("NotReady", lambda: not is_true(stage.node("gpu-1"), "Ready"))
        with pytest.raises(ClientError, match="503"):
            await stage.client.request("GET", "/api/v1/nodes/gpu-1/proxy/logs/journal", query={"boot": "0"})
        await stage.until("all tenants run", lambda: all(is_true(p, "Ready") for p in stage.pods("vision")))
        boot = stage.twin.world.machines["gpu-1"].boot_id
        await stage.clear()
        await stage.at_rest("gpu-1", NEW)
        assert stage.twin.world.machines["gpu-1"].boot_id != boot
        assert (
            stage.node("gpu-1")["status"]["nodeInfo"]["bootID"] == stage.twin.world.machines["gpu-1"].boot_id
        )

    play(tmp_path, story)


def test_a_budget_blocks_a_drain_until_the_fault_is_cleared(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = {name_of(b): b["spec"] for b in stage.twin.cache.all(BUDGET)}
        pods = stage.tenants_on("gpu-1")
        await stage.fault("pdb-blocks-drain", "gpu-1")
        await stage.until("it hits", lambda: stage.events("fault-hit", "gpu-1"))
        assert not any([await stage.evicted(p) for p in pods])
        await stage.clear()

        def budgets() -> dict[str, Object]:
            return {name_of(b): b["spec"] for b in stage.twin.cache.all(BUDGET)}

        await stage.until("budgets are as before", lambda: budgets() == before)
        await stage.empty("gpu-1")

    play(tmp_path, story)


def test_a_budget_blocks_also_while_one_of_its_pods_waits_for_a_node(tmp_path: Path) -> None:
    """How many pods were ready when the fault struck must not matter when they all are."""

    async def story(stage: Stage) -> None:
        def served() -> list[Object]:
            return [p for p in stage.pods("vision") if is_true(p, "Ready") and not deleting(p)]

        first, second, *_ = served()
        for node in ("gpu-1", "gpu-2"):
            await stage.cordon(node)
        await stage.client.delete(POD, name_of(first), "vision")
        await stage.until("one of four waits", lambda: len(served()) == 3)
        await stage.fault("pdb-blocks-drain", node_of(second))
        await stage.until("it hits", lambda: stage.events("fault-hit"))
        for node in ("gpu-1", "gpu-2"):
            await stage.cordon(node, on=False)
        await stage.until("all four are ready", lambda: len(served()) == 4)
        assert not any([await stage.evicted(p) for p in served()])

    play(tmp_path, story)


def test_evictions_stop_halfway(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        pods = stage.tenants_on("gpu-1")
        await stage.fault("evict-429-halfway", "gpu-1", after="1")
        spaces = {namespace_of(p) for p in pods}
        await stage.until(
            "all its budgets are in place", lambda: all(map(partial(_tightened, stage), spaces))
        )
        for pod in pods:
            await stage.evicted(pod)
        assert len(stage.events("pod-evicted", "gpu-1")) == 1
        await stage.until("it hits", lambda: stage.events("fault-hit", "gpu-1"))
        # A replacement that has not started is nobody's loss: budgets do not hold it, here as anywhere.
        left = [p for p in stage.tenants_on("gpu-1") if is_true(p, "Ready") and not deleting(p)]
        assert not any([await stage.evicted(p) for p in left])

    play(tmp_path, story)


def _tightened(stage: Stage, space: str) -> bool:
    budgets = stage.twin.cache.all(BUDGET, space)
    return any("twin.knowngood.dev/blocks" in str(b["metadata"]) for b in budgets)


def test_an_api_outage_answers_nobody_for_its_seconds_and_the_cluster_goes_on_afterwards(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("api-outage", seconds="1", delay="0.3")
        await stage.until("out", lambda: stage.events("fault-hit"))
        with pytest.raises(aiohttp.ClientError):
            await stage.client.get(NODE, "gpu-1")
        await stage.until("the outage ends", lambda: not stage.out())
        await stage.clear()
        await stage.upgrade("ring-0", NEW)

    play(tmp_path, story)


def test_operands_left_paused_keep_allocatable_at_nothing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("operands-left-paused", "gpu-1")
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.until("the module is new", lambda: stage.module("gpu-1") == NEW)
        labels = labels_of(stage.node("gpu-1"))
        parked = [k for k, v in labels.items() if v == "paused-for-driver-upgrade"]
        assert "nvidia.com/gpu.deploy.device-plugin" in parked
        assert stage.gpus("gpu-1") == "0"
        await stage.clear()
        for label in parked:
            await stage.client.patch(NODE, "gpu-1", {"metadata": {"labels": {label: "true"}}})
        await stage.at_rest("gpu-1", NEW)

    play(tmp_path, story)


def test_a_module_that_is_not_reloaded_stays_under_a_new_user_space(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("module-not-reloaded", "gpu-1", version=NEW)
        await stage.sync(stage.repository.move("ring-0", NEW))
        await stage.empty("gpu-1")
        await stage.restart_driver("gpu-1")
        await stage.at_rest("gpu-1", OLD)
        machine = stage.twin.world.machines["gpu-1"]
        assert [p.name for p in (machine.root / "usr/lib64").iterdir()] == [f"libcuda.so.{NEW}"]
        assert not stage.events("module-loaded", "gpu-1")

    play(tmp_path, story)


def test_a_stale_label_says_the_old_driver(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("stale-gfd-label", "gpu-1")
        await stage.upgrade("ring-0", NEW)
        assert labels_of(stage.node("gpu-1"))["nvidia.com/cuda.driver-version.full"] == OLD
        assert stage.events("fault-hit", "gpu-1")

    play(tmp_path, story)


def test_an_outage_at_the_first_eviction_happens_once(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("api-outage", when="on-drain", seconds="0.5")
        for pod in stage.tenants_on("gpu-1"):
            try:
                await stage.evicted(pod)
            except aiohttp.ClientError:
                break
        await stage.until("it hits", lambda: stage.events("fault-hit"))
        await stage.until("the outage ends", lambda: not stage.out())
        await stage.empty("gpu-1")
        assert len(stage.events("fault-hit")) == 1

    play(tmp_path, story)
