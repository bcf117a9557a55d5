"""What a probe's pod needs on a machine, and how a site lets it in: of the hardware profile and of the cluster file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.values import Values

DRIVER_ROOT = "/run/nvidia/driver"
"""Where the GPU Operator's driver container shows its root on the host; "/" where the driver is the host's own."""


@dataclass(frozen=True, slots=True)
class PodNeeds:
    """What smoke payloads take of a machine of this kind. Sizes in MiB; 0: as much as its number of GPUs asks for.

    `resources` are device plugins' names and counts: whole GPUs, MIG profiles, time-sliced replicas. Empty: all GPUs
    as nvidia.com/gpu. `rdma` are those of RDMA and SR-IOV device plugins, `networks` the Multus networks with them.
    `claims` are ResourceClaimTemplates of our namespace, where devices are given by DRA: no GPUs are added to them.
    """

    resources: Mapping[str, int] = field(default_factory=dict)
    rdma: Mapping[str, int] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    cpus: int = 0
    memory_mib: int = 0
    shm_mib: int = 0
    tmp_mib: int = 0


@dataclass(frozen=True, slots=True)
class PodStorage:
    """A volume of the tenants' storage class, made with the pod and gone with it."""

    storage_class: str
    gib: int


@dataclass(frozen=True, slots=True)
class PodSite:
    """How this cluster lets a probe's pod in. `labels` are the Job's and the pod's: queues are chosen by them.

    `cuda` is the image's, major.minor as its inventory prints it; "" where nobody said. `storage` is where the smoke
    training writes its checkpoint; None: to the pod's temporary folder.
    """

    tolerations: tuple[Values, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    scheduler: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    driver_root: str = DRIVER_ROOT
    cuda: str = ""
    storage: PodStorage | None = None
