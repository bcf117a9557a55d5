"""A machine's files: what a boot, a load and a lost GPU leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.twin import host_files
from knowngood.twin.events import EventLog
from knowngood.twin.pool import Pool
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

SEED = NodeSeed(
    "gpu-1", "gpu", product="PowerEdge XE7740", gpus=4, gpuModel="NVIDIA H200 NVL", nics=2, docaOfed="25.10"
)


def machine(folder: Path) -> Machine:
    """A machine that has booted."""
    root = folder / "root"
    root.mkdir()
    found = Machine(SEED, root, EventLog(folder / "events.jsonl"), {"ID": "rhcos"})
    found.boot("power-on")
    return found


def test_hosts_share_what_is_alike_until_one_changes_it(tmp_path: Path) -> None:
    """Equal files are links to one original; a change on one host is on no other."""
    pool = Pool(tmp_path / "same")
    hosts = []
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        root = tmp_path / name
        root.mkdir()
        hosts.append(Machine(replace(SEED, name=name), root, EventLog(tmp_path / "e"), {"ID": "rhcos"}, pool))
        hosts[-1].boot("power-on")
    counter = "sys/class/infiniband/mlx5_0/ports/1/counters/link_downed"
    assert len({(host.root / counter).stat().st_ino for host in hosts[1:]}) == 1
    hosts[1].count(0, "link_downed")
    assert [host.read(counter) for host in hosts] == ["0", "1", "0"]


def test_a_host_without_a_driver_shows_its_hardware_and_its_nics(tmp_path: Path) -> None:
    host = machine(tmp_path)
    assert host.read("sys/class/dmi/id/product_name") == "PowerEdge XE7740"
    assert host.read("sys/class/infiniband/mlx5_1/ports/1/state") == "4: ACTIVE"
    assert host.read("sys/module/mlx5_core/version") == "25.10"
    assert not (host.root / "proc/driver/nvidia").exists()
    assert float(host.read("proc/uptime").split()[0]) < 60


def test_a_load_and_an_unload_are_whole(tmp_path: Path) -> None:
    host = machine(tmp_path)
    host.load_driver("595.91.07", host_files.OPEN)
    assert host.read("sys/module/nvidia/version") == "595.91.07"
    assert "GPU Firmware: \t 595.91.07" in host.read(f"proc/driver/nvidia/gpus/{host.gpus()[0]}/information")
    assert host_files.DROPPED_IN_595 not in host.read("proc/driver/nvidia/params")
    host.unload_driver()
    assert not (host.root / "proc/driver/nvidia").exists()
    assert not (host.root / "sys/module/nvidia").exists()
    host.load_driver("580.173.02", host_files.PROPRIETARY)
    assert host_files.DROPPED_IN_595 in host.read("proc/driver/nvidia/params")
    assert "Open Kernel Module" not in host.read("proc/driver/nvidia/version")


def test_a_lost_gpu_stays_lost_over_a_reload_and_comes_back_with_a_boot(tmp_path: Path) -> None:
    host = machine(tmp_path)
    host.load_driver("595.91.07", host_files.OPEN)
    lost = host.gpus()[1]
    host.lose_gpu(lost)
    host.unload_driver()
    host.load_driver("595.91.07", host_files.OPEN)
    gpus = host.root / "proc/driver/nvidia/gpus"
    assert lost not in {p.name for p in gpus.iterdir()}
    before = host.boot_id
    host.boot("power-on")
    host.load_driver("595.91.07", host_files.OPEN)
    assert lost in {p.name for p in gpus.iterdir()}
    assert host.read("proc/sys/kernel/random/boot_id") == host.boot_id != before


def test_user_space_is_of_one_version_only(tmp_path: Path) -> None:
    host = machine(tmp_path)
    for version in ("580.173.02", "595.91.07"):
        host.install_user_space(version)
    assert [p.name for p in (host.root / "usr/lib64").iterdir()] == ["libcuda.so.595.91.07"]


@pytest.mark.parametrize(
    ("layout", "replicas", "instances", "offered"),
    [
        ("", 1, 0, 2),
        ("", 4, 0, 8),
        ("all-1g.18gb", 1, 7, 14),
        ("all-3g.71gb", 2, 2, 8),
        ("all-7g.141gb", 1, 1, 2),
    ],
)
def test_gpus_are_offered_whole_in_instances_or_several_times(
    tmp_path: Path, layout: str, replicas: int, instances: int, offered: int
) -> None:
    """The driver lists MIG instances while it is loaded; the device plugin counts them."""
    tmp_path.joinpath("root").mkdir()
    seed = replace(SEED, gpus=2, migConfig=layout, replicas=replicas)
    host = Machine(seed, tmp_path / "root", EventLog(tmp_path / "e"), {"ID": "rhcos"})
    host.boot("power-on")
    listed = host.root / "proc/driver/nvidia/capabilities/gpu1/mig"
    assert not listed.exists()
    host.load_driver("595.91.07", host_files.OPEN)
    assert len(list(listed.glob("gi*/ci0/access"))) == instances
    assert host.devices(2) == offered
    host.unload_driver()
    assert not listed.exists(), "a layout goes with the module"
