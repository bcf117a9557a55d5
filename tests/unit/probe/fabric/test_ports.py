"""Which ports are tested, in the order of rails, and by which GPU's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.fabric.ports import _paths, chosen, nearest, usable
from knowngood.probe.host import Host
from knowngood.twin import host_files
from knowngood.twin.seed import NodeSeed

CLASS = "sys/class/infiniband"
SEED = NodeSeed("n1", "gpu", gpus=2, nics=2, nicModel="ConnectX-7", nicFirmware="28.43.2026")


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def storage(root: Path, name: str = "mlx5_8") -> None:
    """Another make, as DGX machines have it for storage."""
    for path, text in host_files.nic(SEED, 0).items():
        write(root, {path.replace("mlx5_0", name): text})
    more = {"board_id": "MT_X\n", "device/uevent": "PCI_SLOT_NAME=0000:f8:00.0\n"}
    write(root, {f"{CLASS}/{name}/{file}": text for file, text in more.items()})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(2):
        write(tmp_path, host_files.nic(SEED, index))
    return tmp_path


def parts(root: Path, **wanted: Any) -> list[str]:
    found, why = chosen(Host(root), wanted, 0)
    assert bool(found) is not bool(why)
    return [port.device for port in found] or [why]


def test_the_compute_nics_are_those_of_the_only_make_of_which_there_are_as_many(root: Path) -> None:
    assert parts(root) == parts(root, count=2) == ["mlx5_0", "mlx5_1"]
    storage(root)
    assert parts(root, count=2) == ["mlx5_0", "mlx5_1"]
    assert parts(root, count=1) == ["mlx5_8"]
    assert len(parts(root)) == 3, "nobody says how many"
    storage(root, "mlx5_9")
    assert parts(root, count=2) == ["which 2 of 4 RDMA ports are the compute NICs', the profile does not say"]


def test_the_profile_says_which_they_are(root: Path) -> None:
    storage(root)
    assert parts(root, pciAddresses=["0000:f8:00.0"]) == ["mlx5_8"]
    assert parts(root, boardIds=["MT_X"]) == ["mlx5_8"]
    write(root, {f"{CLASS}/mlx5_8/ports/1/link_layer": "Ethernet\n"})
    assert parts(root, linkLayer="Ethernet") == ["mlx5_8"]
    assert parts(root, boardIds=["none"]) != ["mlx5_8"]


def test_rails_are_in_the_order_of_addresses_not_of_names(root: Path) -> None:
    for name, slot in (("mlx5_0", "0000:9a:00.0"), ("mlx5_1", "0000:1a:00.0")):
        write(root, {f"{CLASS}/{name}/device/uevent": f"PCI_SLOT_NAME={slot}\n"})
    found, _ = chosen(Host(root), {}, 0)
    assert [(port.part, port.number) for port in found] == [("0000:1a:00.0/1", 1), ("0000:9a:00.0/1", 1)]


def test_each_port_has_the_gpu_with_which_it_shares_most_bridges_and_each_gpu_is_used() -> None:
    paths = {"n0": "abx", "n1": "aby", "n2": "cdx", "g0": "cd1", "g1": "ab1", "g2": "ab2"}
    assert nearest(["n0", "n1", "n2"], ["g0", "g1", "g2"], paths) == [1, 2, 0]
    assert nearest(["n0", "n1"], ["g0", "g1"], {}) == [0, 1], "they go round"
    assert nearest(["n0"], [], paths) == [0]


def test_where_a_device_hangs_is_the_text_of_the_kernels_own_link(tmp_path: Path) -> None:
    devices = tmp_path / "sys/bus/pci/devices"
    devices.mkdir(parents=True)
    (devices / "0000:18:00.0").symlink_to("../../../devices/pci0000:15/0000:15:01.0/0000:18:00.0")
    (devices / "no link").touch()
    hangs = ("devices", "pci0000:15", "0000:15:01.0", "0000:18:00.0")
    assert _paths(Host(tmp_path)) == {"0000:18:00.0": hangs}


def test_a_pod_that_was_given_a_virtual_function_uses_it(root: Path, tmp_path: Path) -> None:
    verbs = tmp_path / "dev"
    host = Host(root)
    assert usable(host, "mlx5_0", str(verbs)) == "mlx5_0", "nothing is told of what was given"
    verbs.mkdir()
    assert usable(host, "mlx5_0", str(verbs)) == "mlx5_0"
    for number, device in ((0, "mlx5_1"), (1, "mlx5_4"), (2, "mlx5_3")):
        (verbs / f"uverbs{number}").touch()
        write(root, {f"sys/class/infiniband_verbs/uverbs{number}/ibdev": f"{device}\n"})
    slot = f"PCI_SLOT_NAME={host_files.nic_address(0)}\n"
    for name in ("mlx5_3", "mlx5_4"):
        write(root, {f"{CLASS}/{name}/device/physfn/uevent": slot})
    assert usable(Host(root), "mlx5_1", str(verbs)) == "mlx5_1"
    assert usable(Host(root), "mlx5_0", str(verbs)) == "mlx5_3"
    assert usable(Host(root), "mlx5_9", str(verbs)) == "mlx5_9"
