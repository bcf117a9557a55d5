"""What a node's files say, by the driver and the kernel: an empty list is an answer only where the list was read."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.unit.adapters.machines import node

from knowngood.adapters.cluster import actors, readouts
from knowngood.adapters.cluster.readouts import (
    CAPABILITIES,
    command,
    inventory,
    machine,
    parse_grep,
    versions,
)
from knowngood.model import names
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.planner.readings import required
from knowngood.probe import gpudirect, rdma
from knowngood.probe.host import Host
from knowngood.twin import host_files
from knowngood.twin.events import EventLog
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

SEED = NodeSeed("n1", "gpu", gpus=2, nics=2, nicFirmware="28.43.1014", docaOfed="24.10-0.7.0", nvswitch=True)
MIG_FILES = {f"{CAPABILITIES}/mig/config": ["DeviceFileMinor: 1"]}


def instance(name: str, gpu: int = 0) -> dict[str, list[str]]:
    return {f"{CAPABILITIES}/gpu{gpu}/mig/{name}/access": ["DeviceFileMinor: 30"]}


def test_mig_instances_are_the_drivers_list() -> None:
    read = MIG_FILES | instance("gi1") | instance("gi1/ci0") | instance("gi2") | instance("gi9", gpu=10)
    assert inventory(read)["mig"] == {"gpu0": "gi1 gi1/ci0 gi2", "gpu10": "gi9"}


def test_no_mig_instance_is_an_answer_only_from_a_driver_that_knows_of_mig() -> None:
    assert inventory(MIG_FILES)["mig"] == {}
    assert "mig" not in inventory({})


def test_a_module_without_a_version_is_known_by_its_source_and_one_without_either_is_loaded() -> None:
    read = {
        "/sys/module/nvidia/version": ["595.91.07"],
        "/sys/module/rpcrdma/srcversion": ["12AB"],
        "/sys/module/mlx5_ib/refcnt": ["0"],
    }
    found = inventory(read)["modules"]
    assert (found["rpcrdma"], found["mlx5_ib"], found["nvidia_fs"]) == (
        "srcversion 12AB",
        "loaded",
        "not loaded",
    )
    assert "modules" not in inventory({"/proc/uptime": ["1 2"]}), "nothing of /sys/module was read"


SYMBOLS = {
    readouts.SYMBOLS: [f"0000000000000000 T {name}" for name in (gpudirect.ALWAYS_THERE, *gpudirect.NEEDED)]
}


@pytest.mark.parametrize(
    ("flavour", "kernel", "more", "mode"),
    [
        ("UNIX Open Kernel Module for x86_64  595", "6.8.0-45-generic", SYMBOLS, "dma-buf"),
        ("UNIX Open Kernel Module for x86_64  595", "6.8.0-45-generic", {}, ""),
        ("UNIX x86_64 Kernel Module  595", "6.8.0-45-generic", SYMBOLS, "none"),
        (
            "UNIX Open Kernel Module for x86_64  595",
            "5.14.0",
            {**SYMBOLS, "/sys/module/nvidia_peermem/refcnt": ["0"]},
            "nvidia-peermem",
        ),
        ("", "5.14.0", SYMBOLS, ""),
    ],
)
def test_the_rdma_mode_is_what_the_files_show(
    flavour: str, kernel: str, more: dict[str, list[str]], mode: str
) -> None:
    """As the probe tells it: open modules and a version number alone show no DMA-BUF."""
    read = {"/proc/version": [f"Linux version {kernel} (mockbuild@builder)"], **more}
    read["/sys/module/nvidia/version"] = ["595.91.07"]
    if flavour:
        read["/proc/driver/nvidia/version"] = [f"NVRM version: NVIDIA {flavour}"]
    assert versions(read, "").get("rdma-mode", "") == mode


def test_gpus_and_rdma_devices_have_a_place() -> None:
    where = "/proc/driver/nvidia/gpus/0000:18:00.0/information"
    read = {
        where: ["GPU UUID: \t GPU-1a2b3c4d-5e6f-0000-0000-000000000000", "Device Minor: \t 3"],
        "/sys/class/infiniband/mlx5_0/fw_ver": ["28.43.1014"],
        "/sys/class/infiniband/mlx5_0/device/uevent": ["DRIVER=mlx5_core", "PCI_SLOT_NAME=0000:1c:00.0"],
        "/sys/class/infiniband/mlx5_0/device/sriov_numvfs": ["8"],
    }
    found = inventory(read)
    assert found["gpus"] == {"0000:18:00.0": "minor 3, GPU-1a2b3c4d-5e6f"}
    assert found["rdma-devices"] == {"mlx5_0": "0000:1c:00.0, firmware 28.43.1014"}
    assert found["vfs"] == {"mlx5_0": "8"}


def test_of_two_devices_at_one_place_in_two_domains_none_is_taken_for_the_gpu() -> None:
    """The kernel's table tells bus, device and function; of the domain it says nothing."""
    read = {f"/proc/driver/nvidia/gpus/{gpu}/information": [""] for gpu in ("0000:18:00.0", "0001:2a:00.0")}
    read["/proc/bus/pci/devices"] = ["1800\t10de2335\t10", "2A00\t10de2335\t10"]
    assert machine(read) == {"gpu-pci-ids": "10de:2335"}
    read["/proc/bus/pci/devices"].append("2a00\t144da80a\t20")
    assert machine(read) == {"gpu-pci-ids": "10de:2335"}, (
        "another domain's NVMe disk is no GPU of this machine"
    )
    read["/proc/bus/pci/devices"].append("1800\t8086a0d8\t20")
    assert machine(read) == {}


def test_virtual_functions_are_counted_and_not_named() -> None:
    """They come back under other names when the NIC driver is loaded anew."""
    read = {
        f"/sys/class/infiniband/{device}/{file}": [text]
        for device, slot in (("mlx5_0", "0000:1c:00.0"), ("mlx5_1", "0000:1c:00.2"))
        for file, text in (("fw_ver", "28"), ("device/uevent", f"PCI_SLOT_NAME={slot}"))
    }
    assert set(inventory(read)["rdma-devices"]) == {"mlx5_0", "mlx5_1"}
    read["/sys/class/infiniband/mlx5_0/device/sriov_numvfs"] = ["1"]
    found = inventory(read)
    assert (set(found["rdma-devices"]), found["vfs"]) == ({"mlx5_0"}, {"mlx5_0": "1"})


def test_the_request_that_reads_a_node_passes_a_proxy() -> None:
    """exec sends its arguments in the URL; 8 KiB is what proxies take."""
    assert len(urlencode([("command", word) for word in command(with_ports=True)])) < 4000


@pytest.mark.parametrize("ports", [False, True])
def test_of_an_rdma_device_nothing_is_touched_but_what_is_asked_for(tmp_path: Path, ports: bool) -> None:
    """As sysfs has it: the device is a link, with links back, and files beside that are slow to read or act."""
    name, device = "rocep24s0f0", tmp_path / "devices/0000:18:00.0"
    port = device / f"infiniband/{name}/ports/1"
    there = ("uevent", "sriov_numvfs", "current_link_width", "physfn/uevent", "physfn/vpd")
    for file in (*there, "vpd", "config", "reset", "msi_irqs/1"):
        (device / file).parent.mkdir(parents=True, exist_ok=True)
        (device / file).write_text(f"{file}\n")
    for file in ("state", "counters/symbol_error", "hw_counters/np_cnp_sent", "gids/0", "pkeys/0"):
        (port / file).parent.mkdir(parents=True, exist_ok=True)
        (port / file).write_text("1\n")
    (device / f"infiniband/{name}/fw_ver").write_text("28.43\n")
    (device / f"infiniband/{name}/node_guid").write_text("x\n")
    (device / f"infiniband/{name}/device").symlink_to(device)
    listed = tmp_path / "root/sys/class/infiniband"
    listed.mkdir(parents=True)
    (listed / name).symlink_to(device / f"infiniband/{name}")
    (device / f"infiniband/{name}/subsystem").symlink_to(listed)
    words = [f"{tmp_path}/root{w}" if w.startswith("/") else w for w in command(with_ports=ports)]
    printed = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    read = {path.rpartition(f"/{name}/")[2] for path in parse_grep(printed)}
    counted = {"ports/1/state", "ports/1/counters/symbol_error", "ports/1/hw_counters/np_cnp_sent"}
    counted |= {"node_guid", "device/current_link_width", "device/physfn/uevent"}
    assert read == {"fw_ver", "device/uevent", "device/sriov_numvfs"} | (counted if ports else set())


def printed_by(host: Machine, *, ports: bool = False) -> str:
    words = [f"{host.root}{word}" if word.startswith("/") else word for word in command(with_ports=ports)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.replace(str(host.root), "")


@pytest.mark.parametrize("nvswitch", [True, False])
def test_a_host_of_the_twin_gives_every_reading_that_a_profile_may_require(
    tmp_path: Path, nvswitch: bool
) -> None:
    """By find and grep themselves, as in the driver pod: a rehearsal is not inconclusive for what the twin lacks."""
    host = Machine(
        replace(SEED, nvswitch=nvswitch), tmp_path / "root", EventLog(tmp_path / "events"), {"ID": "rhcos"}
    )
    host.boot("power-on")
    host.load_driver("595.91.07", host_files.OPEN)
    host.install_user_space("595.91.07")
    host.start_fabric_manager()
    printed = printed_by(host)
    read = parse_grep(printed)
    profile = Profile(
        "p", "x", 2, "H200", "10de:2335", nvswitch, 2, "CX-7", "dma-buf", {}, (), Location("p.yaml")
    )
    needed = required(replace(profile, mig=True, vfs=True)) - {"boot", "load", "operands"}
    assert needed <= {*versions(read, printed), *inventory(read)}
    assert len(inventory(read)["gpus"]) == len(inventory(read)["rdma-devices"]) == 2
    assert ("fabric-manager" in inventory(read)) is nvswitch
    assert readouts.first(read, readouts.BOOT_ID) == host.boot_id


def test_what_is_written_on_a_node_is_ours_and_the_gpu_stacks_and_nobody_elses() -> None:
    found = node(
        taints=[
            {"key": names.MAINTENANCE_TAINT, "value": "r", "effect": "NoSchedule"},
            {"key": "UpdateInProgress", "effect": "PreferNoSchedule"},
        ]
    )
    found["metadata"]["annotations"] |= {
        names.CLAIM_ANNOTATION: "r/1",
        "machineconfiguration.openshift.io/state": "Done",
        "nvidia.com/gpu-driver-upgrade-requested": "true",
    }
    found["metadata"]["labels"] |= {
        "nvidia.com/gpu.deploy.dcgm": "paused-for-driver-upgrade",
        "nvidia.com/gpu-driver-upgrade-state": "drain-required",
        "nvidia.com/ofed-driver-upgrade-state": "upgrade-done",
        "nvidia.com/mig.config": "all-1g",
    }
    assert actors.written(found) == (
        "annotation knowngood.dev/claim=r/1",
        "annotation nvidia.com/gpu-driver-upgrade-requested=true",
        "knowngood.dev/ring=ring-0",
        "nvidia.com/gpu-driver-upgrade-state=drain-required",
        "nvidia.com/gpu.deploy.dcgm=paused-for-driver-upgrade",
        "taint knowngood.dev/maintenance",
    )


def test_ports_read_through_the_driver_pod_are_what_a_probe_measures(tmp_path: Path) -> None:
    host = Machine(SEED, tmp_path / "root", EventLog(tmp_path / "events"), {"ID": "rhcos"})
    host.boot("power-on")
    host.load_driver("595.91.07", host_files.OPEN)
    measured = rdma.run(Host(host.root), {})["measured"]
    found = readouts.rdma(parse_grep(printed_by(host, ports=True)))
    assert len(measured["ports"]) == 2
    assert found == measured
    assert readouts.rdma(parse_grep(printed_by(host))) == {}, "nobody asked for ports"


@pytest.mark.parametrize(
    ("firmware", "told"),
    [
        ({"mlx5_0": "28.47.1026", "mlx5_1": "28.47.1026"}, {"nic-firmware": "28.47.1026"}),
        (
            {"mlx5_0": "28.47.1026", "mlx5_1": "22.46.1006"},
            {"nic-firmware": "28.47.1026", "nic-firmware-connectx-6-dx": "22.46.1006"},
        ),
        ({"mlx5_0": "22.46.1006"}, {"nic-firmware": "22.46.1006"}),
        (
            {"mlx5_0": "28.47.1026", "mlx5_1": "28.47.1026", "mlx5_2": "20.43.1014", "mlx5_3": ""},
            {"nic-firmware": "20.43.1014 of mlx5_2, 28.47.1026 of mlx5_0 and 1 more"},
        ),
    ],
)
def test_boards_are_told_apart_and_several_versions_with_their_nics(
    firmware: dict[str, str], told: dict[str, str]
) -> None:
    """A second board that is a component of its own is read as that one; any other mix equals no release's version."""
    read = {f"/sys/class/infiniband/{nic}/fw_ver": [version] for nic, version in firmware.items()}
    assert {name: v for name, v in versions(read, "").items() if name.startswith("nic-")} == told
