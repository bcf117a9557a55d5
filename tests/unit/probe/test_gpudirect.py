"""How GPU memory reaches the NIC is told by what shows it; a version number shows nothing."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from tests.cases import CASES, needs_cases

from knowngood.probe import rdma
from knowngood.probe.gpudirect import ALWAYS_THERE, NEEDED, way
from knowngood.probe.host import Host

from .conftest import write

UBUNTU = "6.8.0-45-generic"
SHARED = "CONFIG_DMA_SHARED_BUFFER=y\n"
WITH, WITHOUT = f"CONFIG_PCI_P2PDMA=y\n{SHARED}", f"# CONFIG_PCI_P2PDMA is not set\n{SHARED}"


@pytest.fixture
def ubuntu(root: Path) -> Path:
    """A host whose kernel is nobody's known build."""
    write(root, "proc/version", f"Linux version {UBUNTU} (x)\n")
    return root


def symbols(*lacking: str) -> str:
    names = [name for name in (ALWAYS_THERE, *NEEDED) if name not in lacking]
    return "".join(f"0000000000000000 t other_{n}\n0000000000000000 T {n}\t[m]\n" for n in names)


def told(root: Path) -> tuple[str, str]:
    found = way(Host(root))
    return found.mode, found.by or found.trouble


def test_open_modules_on_a_new_kernel_are_no_proof(ubuntu: Path) -> None:
    mode, why = told(ubuntu)
    assert (mode, "nothing shows DMA-BUF" in why) == ("", True)


@pytest.mark.parametrize(
    "place", [f"boot/config-{UBUNTU}", f"lib/modules/{UBUNTU}/config", f"usr/lib/modules/{UBUNTU}/config"]
)
def test_the_kernels_config_shows_it_or_denies_it(ubuntu: Path, place: str) -> None:
    write(ubuntu, place, WITH)
    assert told(ubuntu)[0] == "dma-buf"
    for denied in (WITHOUT, "CONFIG_PCI_P2PDMA=y\n# CONFIG_DMA_SHARED_BUFFER is not set\n"):
        write(ubuntu, place, denied)
        assert told(ubuntu)[0] == ""
    write(ubuntu, "proc/kallsyms", symbols())
    assert told(ubuntu)[0] == "", "whatever else is shown"


@pytest.mark.parametrize(
    ("kernel", "mode"), [("4.18.0-1", ""), ("5.11.0-1", ""), ("5.12.0-1", "dma-buf"), ("6.2.0-1", "dma-buf")]
)
def test_a_config_says_it_of_a_kernel_that_can(root: Path, kernel: str, mode: str) -> None:
    write(root, "proc/version", f"Linux version {kernel} (x)\n")
    write(root, f"boot/config-{kernel}", WITH)
    assert told(root)[0] == mode


def test_the_running_kernels_own_config_comes_first(ubuntu: Path) -> None:
    write(ubuntu, f"boot/config-{UBUNTU}", WITH)
    (ubuntu / "proc/config.gz").write_bytes(gzip.compress(WITHOUT.encode()))
    assert told(ubuntu)[0] == ""
    (ubuntu / "proc/config.gz").write_bytes(b"no gzip at all")
    assert told(ubuntu)[0] == "dma-buf"


@pytest.mark.parametrize("lacking", ["", *NEEDED])
def test_symbols_show_each_half_of_it(ubuntu: Path, lacking: str) -> None:
    write(ubuntu, "proc/kallsyms", symbols(lacking))
    mode, why = told(ubuntu)
    assert mode == ("" if lacking else "dma-buf")
    assert not lacking or why == NEEDED[lacking]


def test_a_list_of_symbols_that_is_no_list_says_nothing(ubuntu: Path) -> None:
    write(ubuntu, "proc/kallsyms", symbols(ALWAYS_THERE))
    assert told(ubuntu)[0] == ""


def test_a_gpus_buffer_that_a_nic_is_attached_to_shows_it(ubuntu: Path) -> None:
    write(
        ubuntu, "sys/class/infiniband/mlx5_0/device/uevent", "DRIVER=mlx5_core\nPCI_SLOT_NAME=0000:9c:00.0\n"
    )
    row = "02097152\t00080002\t00080007\t00000002\t{}\t00012345\t<none>\n\tAttached Devices:\n\t{}\n"
    buffers = "sys/kernel/debug/dma_buf/bufinfo"
    for exporter, device, mode in (
        ("nvidia", "0000:9c:00.0", "dma-buf"),
        ("nvidia", "0000:18:00.0", ""),
        ("i915", "0000:9c:00.0", ""),
    ):
        write(ubuntu, buffers, row.format(exporter, device))
        assert told(ubuntu)[0] == mode, (exporter, device)
    old = row.replace("\t00012345\t<none>", "")  # kernels before 5.3 tell neither inode nor name
    write(ubuntu, buffers, old.format("nvidia", "0000:9c:00.0"))
    assert told(ubuntu)[0] == "dma-buf"


@pytest.mark.parametrize(
    ("path", "text", "mode", "shown"),
    [
        ("sys/kernel/mm/memory_peers/nv_mem/version", "580.1\n", "nvidia-peermem", True),
        ("sys/kernel/mm/memory_peers/nv_mem_nc/version", "580.1\n", "nvidia-peermem", True),
        ("sys/module/nvidia_peermem/refcnt", "8\n", "nvidia-peermem", False),
        ("sys/module/nv_peer_mem/refcnt", "0\n", "nvidia-peermem", False),
        (
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.1\n",
            "none",
            True,
        ),
        ("proc/version", "Linux version 4.18.0-372.el8_6.x86_64\n", "", False),
        ("proc/version", "Linux version 5.14.0-570.62.1.el9_6.x86_64 (x)\n", "dma-buf", True),
        ("proc/version", "something else\n", "", False),
        ("sys/module/nvidia/version", "", "", False),
    ],
)
def test_what_each_reading_shows(root: Path, path: str, text: str, mode: str, shown: bool) -> None:
    write(root, path, text)
    found = way(Host(root))
    assert (found.mode, bool(found.by)) == (mode, shown), found
    assert rdma.mode(Host(root)) == mode


@needs_cases
def test_talos_without_p2pdma_shows_no_dma_buf() -> None:
    """siderolabs/pkgs#1356."""
    assert told(CASES / "r5-no-p2pdma")[0] == ""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("proc/version", b"Linux version \x00../../etc/passwd (x)\n"),
        ("proc/version", b"Linux version " + b"6" * 100_000),
        ("proc/kallsyms", b"linux_banner " * 300_000),
        ("proc/kallsyms", b"\xff\x00" * 500_000 + b"linux_banner"),
        ("proc/config.gz", gzip.compress(b"CONFIG_" * 2_000_000)),
        ("sys/kernel/debug/dma_buf/bufinfo", b"1 2 3 4 nvidia\n" * 50_000),
        ("sys/kernel/mm/memory_peers", b"no folder"),
    ],
)
def test_hostile_files_show_nothing_and_break_nothing(ubuntu: Path, file: str, text: bytes) -> None:
    (ubuntu / file).parent.mkdir(parents=True, exist_ok=True)
    (ubuntu / file).write_bytes(text)
    started = time.process_time()
    assert told(ubuntu)[0] == ""
    assert time.process_time() - started < 2.0


def test_a_symbol_at_the_very_beginning_and_end_of_its_list_is_found(ubuntu: Path) -> None:
    names = [ALWAYS_THERE, *NEEDED]
    write(ubuntu, "proc/kallsyms", "\n".join(names))
    assert Host(ubuntu).matching("proc/kallsyms", names) == names
    assert told(ubuntu)[0] == "dma-buf"
