"""How full this container is: its memory, /dev/shm and the temporary folder. Facts beside a crash, never a verdict."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""This container's own cgroup (version 2), as a container sees it."""
NEAR = 0.97
"""Share of the memory limit at which a payload is ended by us: the kernel would end every process of the container
(the kubelet sets memory.oom.group from Kubernetes 1.28), and with it the other payloads."""
KEPT = ("anon", "shmem", "kernel_stack", "pagetables", "slab_unreclaimable", "sock")
"""What the kernel can't take back, of memory.stat; files' pages it can, /dev/shm's (shmem) not. cgroup-v2.rst"""
FULL = 0.01  # share of a folder that is still free when we call it full
SHM = "/dev/shm"  # noqa: S108 (looked at, not written)


def kills() -> int:
    """How often the kernel killed a process of this cgroup for memory; 0 where it can't be told."""
    for line in _text("memory.events").splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill" and value.isdigit():
            return int(value)
    return 0


def pressing() -> str:
    """That the container has next to no memory left, in words, or ""."""
    limit = _number("memory.max")
    rows = dict(line.split(" ", 1) for line in _text("memory.stat").splitlines() if " " in line)
    if limit is None or "anon" not in rows:
        return ""
    kept = sum(int(rows[name]) for name in KEPT if rows.get(name, "").isdigit())
    return f"{_mib(kept)} of the container's {_mib(limit)} MiB are used" if kept > NEAR * limit else ""


def full() -> str:
    """Which of the folders that payloads write to is full, in words, or ""."""
    told = []
    for folder in dict.fromkeys((SHM, tempfile.gettempdir() if _has_tmp() else "")):
        try:
            found = os.statvfs(folder) if folder else None
        except OSError:
            continue
        if found and found.f_blocks and found.f_bavail < FULL * found.f_blocks:
            told.append(f"{folder} is full ({_mib(found.f_blocks * found.f_frsize)} MiB)")
    return ", ".join(told)


def _has_tmp() -> bool:
    try:
        return bool(tempfile.gettempdir())
    except OSError:  # nowhere to write: FileNotFoundError
        return False


def _text(name: str) -> str:
    try:
        return (CGROUP / name).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _number(name: str) -> int | None:
    text = _text(name).strip()
    return int(text) if text.isdigit() else None  # "max" is no limit


def _mib(size: int) -> int:
    return size // (1024 * 1024)
