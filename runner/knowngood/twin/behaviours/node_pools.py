"""Which nodes share a driver DaemonSet: those of one operating system build, or kernel. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL, PRESENT_LABEL
from knowngood.twin.behaviours.kube import KERNEL_LABEL, OS_ID_LABEL, OS_VERSION_LABEL, OSTREE_LABEL


@dataclass(frozen=True, slots=True)
class Pool:
    """What NFD says of its nodes. build: OSTREE_VERSION, on OpenShift; kernel: for precompiled drivers only."""

    os_id: str
    os_version: str
    build: str = ""
    kernel: str = ""

    @property
    def tag(self) -> str:
        """The driver image's OS tag: ubuntu22.04, rhcos4.18, but rhel10."""
        major = self.os_version.partition(".")[0]
        short = self.os_id == "rocky" or (self.os_id == "rhel" and int(major or 0) >= 10)
        return f"{self.os_id}{major if short else self.os_version}"

    @property
    def selector(self) -> dict[str, str]:
        """The labels that its nodes have in common."""
        found = {OS_ID_LABEL: self.os_id, OS_VERSION_LABEL: self.os_version}
        if self.build:
            found[OSTREE_LABEL] = self.build
        if self.kernel:
            found[KERNEL_LABEL] = self.kernel
        return found

    @property
    def plain_kernel(self) -> str:
        """The kernel without its architecture, as a label may carry it."""
        return re.sub(r"x86_64|aarch64", "", self.kernel).replace("_", ".").rstrip(".").lower()


def pool_of(labels: Mapping[str, str], *, openshift: bool, precompiled: bool) -> Pool | None:
    """The pool of a node; None while NFD, or the operator itself, has not said enough of it."""
    needed = [OS_ID_LABEL, OS_VERSION_LABEL]
    if precompiled:
        needed.append(KERNEL_LABEL)
    elif openshift:
        needed.append(OSTREE_LABEL)
    if labels.get(PRESENT_LABEL) != "true" or any(label not in labels for label in needed):
        return None
    return Pool(
        labels[OS_ID_LABEL],
        labels[OS_VERSION_LABEL],
        labels[OSTREE_LABEL] if openshift and not precompiled else "",
        labels[KERNEL_LABEL] if precompiled else "",
    )


RELEVANT = (PRESENT_LABEL, OWNER_LABEL, OS_ID_LABEL, OS_VERSION_LABEL, OSTREE_LABEL, KERNEL_LABEL)
"""The labels that decide on a node's pool, beside those that a driver's own nodeSelector names."""
