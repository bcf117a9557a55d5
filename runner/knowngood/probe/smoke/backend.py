"""What a smoke payload computes on: `cuda` (torch on the node's GPUs), `cpu` (torch, gloo) or `reference` (no torch).

The profile names it. Without a name it is `cuda` where GPUs can be used and `reference` elsewhere. Only `cuda` says
anything about GPUs; what ran on another one than the named is no answer to the question that was asked.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from knowngood.probe.answer import Answer, bad, unmeasured
from knowngood.probe.host import Host

CUDA, CPU, REFERENCE = "cuda", "cpu", "reference"
CONTROL = "/dev/nvidiactl"
TOO_NEW = (
    "driver on your system is too old",  # torch/cuda/__init__.py _check_driver
    "driver version is insufficient",  # cudaErrorInsufficientDriver (35)
    "forward compatibility was attempted",  # cudaErrorCompatNotSupportedOnDevice (804): the image's own libcuda
    "no kernel image is available",  # cudaErrorNoKernelImageForDevice (209)
    "found no nvidia driver",  # no libcuda in this container: no compute in NVIDIA_DRIVER_CAPABILITIES
    "torch not compiled with cuda enabled",
)
"""What torch and CUDA say where the image and the driver do not go together: that is no word about the node.
Names and numbers of the errors: CUDA Runtime API, cudaError_t."""


def ready(host: Host, gpus: int, wanted: str = "") -> tuple[Any | None, Answer | None]:
    """torch, where the payload shall compute with it; or the payload's answer, where it can't compute at all."""
    if wanted != CPU and (refusal := host.refusal(gpus)):
        return None, {**refusal, "backend": wanted or (CUDA if given() else REFERENCE)}
    return usable(wanted)


def usable(wanted: str = "") -> tuple[Any | None, Answer | None]:
    """torch, where it can compute on what is wanted; an answer, where what is wanted or given can't be used."""
    if wanted == REFERENCE or not (wanted or given()):
        return None, None
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        words = f"the profile wants {wanted or CUDA}: this image can't load torch ({error})"
        return None, unmeasured("", words)
    if wanted == CPU or torch.cuda.is_available():
        return torch, None
    return None, _unusable(torch)


def given() -> bool:
    """Whether this container has GPUs, whatever its image can do with them. An empty list of visible ones is none."""
    return Path(CONTROL).exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def counted(torch: Any, gpus: int, *, shared: bool = False) -> Answer | None:
    """The answer where torch sees another number of GPUs than there must be; None where it sees as many.

    `shared`: a device plugin gave replicas, which may be several of one GPU.
    """
    seen = torch.cuda.device_count()
    if seen == gpus:
        return None
    if "MIG-" in os.environ.get("NVIDIA_VISIBLE_DEVICES", "") or "MIG-" in os.environ.get(
        "CUDA_VISIBLE_DEVICES", ""
    ):
        return unmeasured(
            CUDA, f"CUDA shows a process one MIG device, {gpus} were expected: ask for one a pod"
        )
    if shared and seen < gpus:
        return unmeasured(CUDA, f"the device plugin gave {gpus} replicas of {seen} GPUs")
    return bad(CUDA, f"torch sees {seen} GPUs, expected {gpus}")


def _unusable(torch: Any) -> Answer:
    """Why torch can't use GPUs: the image's fault, or else the node's."""
    words = ""
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 (torch raises RuntimeError, AssertionError and its own)
        words = str(error).strip().partition("\n")[0]
    built = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
    if torch.version.cuda is None or any(phrase in words.lower() for phrase in TOO_NEW):
        return unmeasured("", f"image and driver don't go together: {built}: {words or 'built without CUDA'}")
    if not given():
        return unmeasured("", f"this container was given no GPUs: {words or built}")
    return bad(CUDA, f"GPUs are here, but {built} can't use them: {words or 'no reason given'}")
