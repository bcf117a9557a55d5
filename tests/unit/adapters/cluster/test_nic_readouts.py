"""What a node's lines and files say of its NIC driver: which runs, when it was loaded, and what is no load of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.adapters.cluster import nic_readouts as nic
from knowngood.adapters.cluster.nic_readouts import NicDriver
from knowngood.adapters.cluster.readouts import parse_grep
from knowngood.model.mover import Mark
from knowngood.twin import host_files
from knowngood.twin.events import EventLog
from knowngood.twin.seed import NodeSeed
from knowngood.twin.world import Machine

BOOT = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
A, B, VF = "0000:1c:00.0", "0000:2e:00.0", "0000:1c:00.2"


def line(at: float, message: str) -> dict[str, Any]:
    """A kernel line as journald answers it; it was read a while after it was printed."""
    return {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": BOOT.replace("-", ""),
        "_SOURCE_MONOTONIC_TIMESTAMP": str(int(at * 1e6)),
        "__MONOTONIC_TIMESTAMP": str(int((at + 30) * 1e6)),
        "MESSAGE": message,
    }


def firmware(at: float, *devices: str) -> list[dict[str, Any]]:
    return [line(at + i, f"mlx5_core {d}: firmware version: 28.47.1026") for i, d in enumerate(devices)]


def backport(at: float) -> list[dict[str, Any]]:
    return [
        line(at, "Compat-mlnx-ofed backport release: 77239cf"),
        line(
            at, "Backport based on https://:@git-nbu.nvidia.com/r/a/mlnx_ofed/mlnx-ofa_kernel-4.0.git 77239cf"
        ),
        line(at, "compat.git: https://:@git-nbu.nvidia.com/r/a/mlnx_ofed/mlnx-ofa_kernel-4.0.git"),
    ]


def times(lines: list[dict[str, Any]], *devices: str) -> list[float]:
    return [load.at for load in nic.loads(lines, devices)]


def test_a_load_of_doca_ofed_is_its_backport_line_and_one_of_the_kernels_own_is_all_adapters() -> None:
    boot, doca = firmware(8, A, B), backport(400) + firmware(402, A, B)
    assert times(boot) == [8]
    assert times(boot + doca) == [8, 400]
    assert times(boot + doca + firmware(900, B, A)) == [8, 400, 900], "the kernel's own was restored"
    assert nic.loads(boot)[0].boot_id == BOOT


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("an adapter that was reset", firmware(700, A)),
        ("two adapters that were reset one after the other", [*firmware(700, A), *firmware(800, B)]),
        ("virtual functions", firmware(700, VF)),
        ("words of others", [line(700, f"mlx5_core {A}: Port module event: module 0, Cable plugged")]),
    ],
)
def test_what_is_no_load(what: str, more: list[dict[str, Any]]) -> None:
    assert times(firmware(8, A, B) + more) == [8], what
    assert times(backport(8) + firmware(9, A, B) + more, A, B) == [8], what


def test_a_journal_that_lost_its_beginning_does_not_make_up_a_load() -> None:
    """Where the node's adapters are known, half of them is no load; nothing is, too."""
    assert times(firmware(700, A), A, B) == []
    assert nic.last_load([], NicDriver("26.04-0.8.6", in_tree=False)) is None


def test_the_version_comes_from_the_kernel_and_the_time_from_the_journal() -> None:
    lines = firmware(8, A, B) + backport(400) + firmware(402, A, B)
    running = nic.nic_driver({"/sys/module/mlx5_core/version": ["26.04-0.8.6"]})
    assert nic.last_load(lines, running) == Mark("26.04-0.8.6", BOOT, 400)
    assert nic.last_load(lines, None) is None, "what nobody could read is no load"


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ({"/sys/module/mlx5_core/version": ["25.10-1.2.2"]}, NicDriver("25.10-1.2.2", in_tree=False)),
        ({"/sys/module/mlx5_core/srcversion": ["0A1B"]}, NicDriver("", in_tree=True)),
        ({"/sys/module/mlx5_core/refcnt": ["1"]}, NicDriver("", in_tree=True)),
        ({"/sys/module/nvidia/version": ["595.91.07"]}, None),
    ],
)
def test_a_module_without_a_version_is_the_kernels_own(
    read: dict[str, list[str]], found: NicDriver | None
) -> None:
    assert nic.nic_driver(read) == found


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("MLNX_OFED_LINUX-24.10-3.2.5.0:\n", "24.10-3.2.5.0"),
        ("OFED-internal-23.07-0.5.0:\n", "23.07-0.5.0"),
        ("OFED-internal-26.04-0.8.6:\n", "26.04-0.8.6"),
        ("OFED-internal-25.10-1.7.1.413:", "25.10-1.7.1.413"),
        ("sh: ofed_info: not found\n", ""),
        ("", ""),
    ],
)
def test_ofed_info_tells_the_packages(printed: str, version: str) -> None:
    assert nic.ofed_info(printed) == version


REFUSED = [
    "nvidia_peermem: disagrees about version of symbol ib_register_peer_memory_client",
    "nvidia_peermem: Unknown symbol ib_register_peer_memory_client (err -22)",
    "nvidia_peermem: disagrees about version of symbol ib_unregister_peer_memory_client",
]


def test_peermem_of_an_older_nic_driver_is_told_before_and_after_it_fails() -> None:
    """gpu-operator 2868: it may be loaded still, or fail at its next load."""
    doca = backport(400) + firmware(402, A, B)
    loaded = nic.last_load(doca, NicDriver("26.04-0.8.6", in_tree=False))
    before, after = Mark("595.91.07", BOOT, 100), Mark("595.91.07", BOOT, 600)
    failing = [*doca, *(line(500, words) for words in REFUSED)]
    assert [r.module for r in nic.refused(failing)] == ["nvidia_peermem"]
    assert nic.stale_modules(doca, loaded, before) == ("nvidia_peermem",)
    assert nic.stale_modules(failing, loaded, before) == ("nvidia_peermem",)
    assert nic.stale_modules(failing, loaded, after) == (), "the GPU driver was built anew since"
    late = [*failing, *(line(700, words) for words in REFUSED)]
    assert nic.stale_modules(late, loaded, after) == ("nvidia_peermem",), "and it fails all the same"


def test_the_doca_pod_can_be_asked_only_while_it_is_ready() -> None:
    def pod(ready: str, labels: dict[str, str]) -> dict[str, Any]:
        return {
            "metadata": {"name": ready, "labels": labels},
            "spec": {"containers": [{"name": "mofed-container"}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    label = {"nvidia.com/ofed-driver": ""}
    assert nic.doca_pod([pod("True", {}), pod("False", label)]) is None
    found = nic.doca_pod([pod("False", label), pod("True", label)])
    assert found is not None
    assert found["metadata"]["name"] == "True"


def test_a_host_of_the_twin_is_read_through_boots_and_reloads(tmp_path: Path) -> None:
    """The twin's kernel prints what these parsers read, whoever wrote which first."""
    seed = NodeSeed("gpu-1", "gpu", gpus=2, nics=2, nicFirmware="28.47.1026", docaOfed="25.10-1.2.2")
    host = Machine(seed, tmp_path / "root", EventLog(tmp_path / "events"), {"ID": "rhcos"})
    host.boot("power-on")
    host.load_driver("595.91.07", host_files.OPEN)

    def now() -> tuple[int, NicDriver | None]:
        found = [p for p in (host.root / "sys/module/mlx5_core").iterdir() if p.is_file()]
        read = parse_grep("".join(f"/sys/module/mlx5_core/{p.name}:{p.read_text()}" for p in found))
        return len(nic.loads(host.journal.entries())), nic.nic_driver(read)

    assert now() == (1, NicDriver("25.10-1.2.2", in_tree=False))
    host.nic.unload()
    host.nic.load("26.04-0.8.6")
    assert now() == (2, NicDriver("26.04-0.8.6", in_tree=False))
    host.nic.unload()
    host.nic.load("")
    assert now() == (3, NicDriver("", in_tree=True))
