"""A node's root directory, as a probe finds it below its host mount."""

from __future__ import annotations

from pathlib import Path

import pytest

DRIVER = "580.173.02"


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two GPUs, two ports, open module."""
    banner = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n"
    write(tmp_path, "proc/sys/kernel/random/boot_id", "7a8eb505-3c64-47f1-8765-21767d41e9a1\n")
    write(tmp_path, "proc/uptime", "1234.50 99.00\n")
    write(tmp_path, "proc/version", "Linux version 5.14.0-427.el9_4 (x)\n")
    write(tmp_path, "proc/driver/nvidia/version", banner)
    for address in ("0000:18:00.0", "0000:2a:00.0"):
        write(tmp_path, f"proc/driver/nvidia/gpus/{address}/information", "Model: x\n")
    write(tmp_path, "sys/module/nvidia/version", f"{DRIVER}\n")
    write(tmp_path, f"usr/lib64/libcuda.so.{DRIVER}")
    for device in ("mlx5_0", "mlx5_1"):
        port = f"sys/class/infiniband/{device}/ports/1"
        write(tmp_path, f"sys/class/infiniband/{device}/fw_ver", "28.47.1026\n")
        write(tmp_path, f"{port}/state", "4: ACTIVE\n")
        write(tmp_path, f"{port}/phys_state", "5: LinkUp\n")
        write(tmp_path, f"{port}/rate", "400 Gb/sec (4X NDR)\n")
        write(tmp_path, f"{port}/link_layer", "InfiniBand\n")
        write(tmp_path, f"{port}/counters/link_downed", "0\n")
        write(tmp_path, f"{port}/counters/port_rcv_data", "123456\n")
        write(tmp_path, f"{port}/hw_counters/out_of_sequence", "3\n")
    return tmp_path
