"""Which readings of a GPU node a proof of `restored` needs, by its hardware profile. Pure.

A reading is `boot`, `load`, `operands`, a component's running version or a kind of `NodeState.inventory`. A required
one that can't be read is inconclusive. One that is not required is compared where it was read before, and must then be
read after. What the profile calls optional is compared where it was read both times.
"""

from __future__ import annotations

from knowngood.model.matrix import Profile

ALWAYS = (
    "boot",
    "load",
    "operands",
    "nvidia-driver",
    "nvidia-user-space",
    "gsp-firmware",
    "kernel-module-type",
    "rhcos-kernel",
    "gpus",
    "modules",
)
WITH_NICS = ("nic-firmware", "rdma-devices")  # a kernel's own NIC driver has no version; `modules` tells it
RESOURCES = "nvidia.com/"
"""Extended resources that the GPU Operator's own operand offers; others' are reported, not judged."""


def optional(profile: Profile) -> frozenset[str]:
    """The readings that a node of this profile may fail to give."""
    return frozenset(profile.optional_readings)


def required(profile: Profile) -> frozenset[str]:
    """The readings without which nothing is proven on a node of this profile."""
    names = {*ALWAYS}
    names |= {*WITH_NICS} if profile.nics else set()
    names |= {"rdma-mode"} if profile.rdma_mode != "none" else set()
    names |= {"fabric-manager"} if profile.nvswitch else set()
    names |= {"mig"} if profile.mig else set()
    names |= {"vfs"} if profile.vfs else set()
    return frozenset(names - set(profile.optional_readings))
