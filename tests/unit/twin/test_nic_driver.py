"""A host's NIC driver: what a reload prints, takes along and keeps, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.twin import host_files
from knowngood.twin.events import EventLog, read
from knowngood.twin.nic_driver import NFS, NIC, PEERMEM, ModuleError
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

OLD, NEW = "25.10-1.2.2", "26.04-0.8.6"
SEED = NodeSeed("gpu-1", "gpu", gpus=2, nics=2, nicFirmware="28.47.1026", docaOfed=OLD, modules=("rpcrdma",))
PORT = "sys/class/infiniband/mlx5_1/ports/1"


def machine(folder: Path, seed: NodeSeed = SEED) -> Machine:
    """A machine that has booted."""
    root = folder / "root"
    root.mkdir()
    found = Machine(seed, root, EventLog(folder / "events.jsonl"), {"ID": "rhcos"})
    found.boot("power-on")
    return found


def lines(host: Machine) -> list[str]:
    return [entry["MESSAGE"] for entry in host.journal.entries()]


def test_a_load_of_doca_ofed_prints_its_backport_lines_once_and_a_firmware_line_an_adapter(
    tmp_path: Path,
) -> None:
    host = machine(tmp_path)
    host.nic.unload()
    assert not (host.root / "sys/class/infiniband/mlx5_0").exists()
    assert not (host.root / "sys/module/mlx5_core").exists()
    before = len(lines(host))
    host.nic.load(NEW)
    said = lines(host)[before:]
    assert sum("Compat-mlnx-ofed backport release" in line for line in said) == 1
    assert [line for line in said if "firmware version" in line] == [
        f"mlx5_core {host_files.nic_address(i)}: firmware version: 28.47.1026" for i in (0, 1)
    ]
    assert host.read("sys/module/mlx5_core/version") == NEW
    assert host.read(f"{PORT}/state") == "4: ACTIVE"


def test_a_reload_keeps_counters_and_gives_back_the_virtual_functions(tmp_path: Path) -> None:
    host = machine(tmp_path)
    host.count(1, "link_downed", 3)
    host.write("sys/class/infiniband/mlx5_0/device/sriov_numvfs", "8\n")
    host.nic.unload()
    host.nic.load(NEW)
    assert host.read(f"{PORT}/counters/link_downed") == "4", (
        "and one more: the port went down with its driver"
    )
    assert host.read("sys/class/infiniband/mlx5_0/device/sriov_numvfs") == "0", "gone with the driver"
    host.nic.restore_vfs()
    assert host.read("sys/class/infiniband/mlx5_0/device/sriov_numvfs") == "8"


def test_nfs_over_rdma_goes_with_the_nic_driver_and_does_not_come_back_by_itself(tmp_path: Path) -> None:
    host = machine(tmp_path)
    assert host.nic.nfs
    assert host.read("sys/module/rpcrdma/srcversion")
    host.nic.unload()
    host.nic.load(NEW)
    assert NFS not in host.modules
    assert not (host.root / "sys/module/rpcrdma").exists()
    host.nic.load_nfs()
    assert host.modules[NFS].abi == NEW


def test_peermem_of_another_nic_driver_is_refused_with_the_kernels_words(tmp_path: Path) -> None:
    """gpu-operator 2868: it was built with the GPU driver, against the NIC driver of that time."""
    host = machine(tmp_path)
    host.load_driver("595.91.07", host_files.OPEN)
    host.nic.insert_peermem()
    assert host.modules[PEERMEM].abi == OLD
    host.nic.remove_peermem()
    host.nic.unload()
    host.nic.load(NEW)
    with pytest.raises(ModuleError, match="Invalid argument"):
        host.nic.insert_peermem()
    assert "nvidia_peermem: disagrees about version of symbol ib_register_peer_memory_client" in lines(host)
    host.unload_driver()
    host.load_driver("595.91.07", host_files.OPEN)
    host.nic.insert_peermem()
    assert host.modules[PEERMEM].abi == NEW


def test_a_peermem_in_use_holds_the_nic_driver(tmp_path: Path) -> None:
    host = machine(tmp_path)
    host.load_driver("595.91.07", host_files.OPEN)
    host.load_peermem(users=2)
    with pytest.raises(ModuleError, match="in use"):
        host.nic.remove_peermem()
    with pytest.raises(ModuleError, match="ib_uverbs is in use"):
        host.nic.unload()
    assert host.nic.version == OLD
    host.release_peermem()
    host.nic.remove_peermem()
    assert PEERMEM not in host.modules


def test_a_peermem_that_no_pod_holds_stays_until_the_next_boot(tmp_path: Path) -> None:
    host = machine(tmp_path)
    host.load_driver("595.91.07", host_files.OPEN)
    host.load_peermem(users=0)
    host.hold_peermem()
    host.release_peermem()
    with pytest.raises(ModuleError, match="in use"):
        host.nic.remove_peermem()
    host.boot("power-cycle")
    assert PEERMEM not in host.modules
    assert not (host.root / "sys/module/nvidia_peermem").exists()


def test_a_boot_loads_what_the_host_has_and_its_own_driver_where_a_pod_brings_doca_ofed(
    tmp_path: Path,
) -> None:
    host = machine(tmp_path)
    host.boot("power-cycle")
    assert host.nic.version == OLD
    host.nic.left_to_a_pod()
    host.boot("power-cycle")
    assert host.nic.version == ""
    assert not (host.root / "sys/module/mlx5_core/version").exists()
    assert host.read("sys/module/mlx5_core/srcversion")


def test_a_host_without_adapters_has_no_nic_driver(tmp_path: Path) -> None:
    host = machine(tmp_path, replace(SEED, nics=0))
    assert NIC not in host.modules


def test_the_event_log_names_each_module(tmp_path: Path) -> None:
    host = machine(tmp_path, replace(SEED, modules=()))
    host.load_driver("595.91.07", host_files.OPEN)
    host.nic.insert_peermem()
    host.unload_driver()
    rows = [(e["event"], e["module"], e["version"]) for e in read(tmp_path / "events.jsonl") if "module" in e]
    assert rows == [
        ("module-loaded", "mlx5_core", OLD),
        ("module-loaded", "nvidia", "595.91.07"),
        ("module-loaded", "nvidia_peermem", "595.91.07"),
        ("module-unloaded", "nvidia_peermem", "595.91.07"),
        ("module-unloaded", "nvidia", "595.91.07"),
    ]
