"""What goes wrong with a node's drivers is told by the driver that it is, and the next one is then left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.adapters.node_moves import NODE, Mover, play
from tests.integration.twin.nic_stage import NEW as NEW_NIC
from tests.integration.twin.nic_stage import NEW_SAYS
from tests.integration.twin.setting import NEW, OLD

from knowngood.twin import host_files


async def with_peermem(on: Mover) -> None:
    """The node has legacy RDMA: the module that is built for the NIC driver of its time."""
    await on.with_nic_driver()
    await on.claim()
    await on.declare(rdma={"enabled": True})
    marks, _ = await on.apply(rdma_mode="nvidia-peermem")
    assert marks["rdma-mode"].version == "nvidia-peermem"


def test_a_new_nic_driver_alone_has_the_gpu_driver_loaded_for_real(tmp_path: Path) -> None:
    """An equal configuration would keep modules for the old NIC driver (gpu-operator #2868); the wait label may lie."""

    async def story(on: Mover) -> None:
        await with_peermem(on)
        await on.stage.fault("mofed-wait-label-lies", NODE)
        await on.declare_nic(NEW_NIC)
        marks, _ = await on.apply(doca_ofed=NEW_NIC, nvidia_driver=OLD)
        assert marks["doca-ofed"].at < marks["nvidia-driver"].at
        assert on.loads("nvidia") == [OLD, OLD], "for peermem, and now"
        peermem = on.stage.twin.world.machines[NODE].modules["nvidia_peermem"]
        assert peermem.abi == NEW_SAYS

    play(tmp_path, story)


def test_a_peermem_of_the_old_nic_driver_is_no_arrival(tmp_path: Path) -> None:
    async def story(on: Mover) -> None:
        await with_peermem(on)
        await on.stage.fault("peermem-old-abi", NODE)
        await on.declare_nic(NEW_NIC)
        assert "nvidia-peermem-ctr" in await on.fails(doca_ofed=NEW_NIC, nvidia_driver=OLD)

    play(tmp_path, story)


@pytest.mark.parametrize("fault", ["doca-dtk-mismatch", "peermem-will-not-unload"])
def test_a_nic_driver_that_does_not_come_leaves_the_gpu_driver_alone(tmp_path: Path, fault: str) -> None:
    """Its toolkit is of another kernel (network-operator #2471); peermem is held by something else than a pod."""

    async def story(on: Mover) -> None:
        await with_peermem(on)
        await on.declare_nic(NEW_NIC)
        await on.declare(version=NEW)
        await on.stage.fault(fault, NODE)
        why = await on.fails(doca_ofed=NEW_NIC, nvidia_driver=NEW)
        assert "the NIC driver: NIC driver pod mofed-container" in why
        assert on.loads("nvidia") == [OLD]

    play(tmp_path, story)


def test_another_flavour_than_the_wanted_one_is_no_arrival(tmp_path: Path) -> None:
    """auto leaves the choice to the driver container."""

    async def story(on: Mover) -> None:
        await on.claim()
        await on.declare(version=NEW, kernelModuleType="auto")
        await on.stage.fault("auto-picks-other-flavour", NODE)
        why = await on.fails(nvidia_driver=NEW, kernel_module_type="open")
        assert "kernel-module-type is proprietary, not open" in why

    play(tmp_path, story)


def test_a_nic_driver_that_carries_the_nodes_own_route_or_storage_is_not_taken_out(tmp_path: Path) -> None:
    """Refused before the node is claimed, so before anything is drained."""

    async def story(on: Mover) -> None:
        await on.with_nic_driver()
        on.limits = replace(on.limits, claim=0.5)
        machine = on.stage.twin.world.machines[NODE]
        machine.write_files(host_files.uplink("ens1f0np0", "mlx5_core"))
        report = await on.claimed()
        assert "default route is by ens1f0np0, which mlx5_core would take down" in report.failed[NODE]
        assert not report.could_not
        machine.write_files(host_files.uplink("eno1", "tg3") | {"sys/module/rpcrdma/refcnt": "2\n"})
        busy = await on.claimed()
        assert "storage over doca-ofed is in use: rpcrdma by 2" in busy.failed[NODE]
        machine.remove(["proc/net/route"])
        unknown = await on.claimed()
        assert "can't be told by its routes" in unknown.failed[NODE]
        assert busy.could_not == unknown.could_not == [NODE]
        assert not on.stage.node(NODE)["spec"].get("unschedulable")

    play(tmp_path, story)


def test_a_node_whose_gpu_is_open_on_the_host_is_given_back_and_drained_once_it_is_not(
    tmp_path: Path,
) -> None:
    """A service in no pod: nobody evicts it, and unloading under it would fail."""

    async def story(on: Mover) -> None:
        await on.claim()
        await on.stage.fault("host-process-has-gpu-open", NODE)
        await on.stage.until("it is there", lambda: on.stage.events("fault-hit", NODE))
        report = await on.drained(0.5)
        assert "the GPU is open in gpu-burn (pid 31337) on the host" in report.given_back[NODE]
        assert (report.done, report.failed) == ([], {})
        assert not on.stage.node(NODE)["spec"].get("unschedulable"), "untouched"
        assert on.loads("nvidia") == []
        await on.stage.clear()
        assert (await on.claimed()).done == [NODE]
        assert (await on.drained(20.0)).done == [NODE]
        assert "can't be told" not in "".join(on.told)

    play(tmp_path, story)
