"""What this image brings: versions of what the payloads run on, without starting any of it."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from knowngood.probe.values import Object

PARTS = {
    "torch": ("torch",),
    "cuda": ("nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime"),
    "nccl": ("nvidia-nccl-cu12", "nvidia-nccl-cu13"),
    "triton": ("triton",),
    "mpich": ("mpich",),
}
"""A part, and the distributions that bring it; torch's wheels bring CUDA and NCCL as distributions of their own."""
TOOLS = {"perftest": "ib_write_bw", "nccl-tests": "all_reduce_perf"}
"""A part that is built from source, and a program of it; its version lies beside it in share/knowngood."""


def inventory() -> Object:
    """{python, libc, torch, cuda, nccl, triton, mpich, perftest, nccl-tests}: versions, "" of what is not there."""
    found: Object = {
        "python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip(),
        **{part: _version(names) for part, names in PARTS.items()},
        **{part: _built(part, program) for part, program in TOOLS.items()},
    }
    # 12.8.90 is a build of CUDA 12.8; which driver it needs is told by the first two numbers.
    found["cuda"] = ".".join(re.findall(r"\d+", found["cuda"])[:2])
    return found


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _built(part: str, program: str) -> str:
    """The version of a tool whose program is on the path; "?" where nobody wrote it down."""
    if shutil.which(program) is None:
        return ""
    try:
        return (Path(sys.prefix) / "share" / "knowngood" / part).read_text(encoding="utf-8").strip()
    except OSError:
        return "?"
