"""GPU-seconds: what a pod uses, and what a node carried between samples. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.node import GpuUse
from knowngood.model.values import Values

WHOLE = ("nvidia.com/gpu", "nvidia.com/pgpu", "amd.com/gpu")
_SLICES = re.compile(r"nvidia\.com/mig-(\d)g\.")
_PARTED = re.compile(r"-MIG-(\d)g\.")
GPU, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"
SHARING = "nvidia.com/gpu.sharing-strategy"
MOST_PODS = 16
"""Of a load in slices: more than two GPUs' worth of the smallest, enough for a soak; each takes 4 GiB of the host."""
SLICES = 7
"""Compute slices of a GPU that MIG divides (NVIDIA's MIG user guide): `mig-3g.40gb` is three of them."""


def gpus_of(pod: Values) -> float:
    """How many GPUs a pod asks for; a MIG instance is its share of one. RDMA alone is none."""
    found = 0.0
    for container in (pod.get("spec") or {}).get("containers") or ():
        resources = container.get("resources") or {}
        for name, amount in {**(resources.get("requests") or {}), **(resources.get("limits") or {})}.items():
            if not str(amount).isdecimal():
                continue
            if name.startswith(WHOLE):
                found += int(amount)
            elif match := _SLICES.match(name):
                found += int(amount) * int(match.group(1)) / SLICES
    return found


@dataclass(frozen=True, slots=True)
class Load:
    """How so many GPUs of a node are loaded: `pods`, each with `each` of a resource, worth `share` GPUs of work."""

    resource: str
    each: int = 1
    pods: int = 1
    share: float = 0.0


def load_on(labels: Mapping[str, str], allocatable: Mapping[str, str], gpus: int) -> Load:
    """What loads so many of a node's GPUs, by how it offers them. A node that offers nothing is asked for whole ones.

    A process sees one MIG device, and a plugin may refuse more than one replica a pod (failRequestsGreaterThanOne,
    always with MPS; NVIDIA/k8s-device-plugin README): such are taken by one pod each.
    """
    offered = {name: int(count) for name, count in allocatable.items() if count.isdecimal() and int(count)}
    slices = {n: int(m.group(1)) for n in sorted(offered) if (m := _SLICES.match(n))}
    if not slices and (single := _PARTED.search(labels.get(PRODUCT, ""))):
        slices = {n: int(single.group(1)) for n in (GPU, f"{GPU}.shared") if n in offered}
    if slices and (GPU in slices or GPU not in offered):
        name = max(slices, key=lambda n: slices[n] * offered[n])
        share = slices[name] / SLICES
        return Load(name, pods=max(1, min(offered[name], int(gpus / share), MOST_PODS)), share=share)
    shared = f"{GPU}.shared"
    if labels.get(SHARING, "none") != "none":
        name = shared if shared in offered else GPU
        return Load(name, pods=max(1, min(gpus, offered.get(name, gpus))), share=1.0)
    each = min(gpus, offered.get(GPU, gpus))
    return Load(GPU, each=each, share=float(each))


@dataclass(slots=True)
class Meter:
    """GPU-seconds by node: between two samples counts what both of them saw.

    `longest`: seconds between two samples beyond which nobody looked, so nothing counts. `gpus`: how many each has;
    pods that share GPUs by time-slicing ask for more, and do no more work.
    """

    longest: float
    gpus: Mapping[str, float]
    tenants: dict[str, float] = field(default_factory=dict)
    synthetic: dict[str, float] = field(default_factory=dict)
    unseen: float = 0.0
    _at: float | None = None
    _use: Mapping[str, GpuUse] = field(default_factory=dict)
    _ours: Mapping[str, float] = field(default_factory=dict)

    def sample(self, at: float, use: Mapping[str, GpuUse], ours: Mapping[str, float]) -> None:
        """One look, `at` seconds on a monotonic clock."""
        passed = 0.0 if self._at is None else at - self._at
        if passed > self.longest:
            self.unseen += passed
        else:
            for node in use:
                both = min(use[node].ready, self._use.get(node, GpuUse()).ready, self.gpus[node])
                self.tenants[node] = self.tenants.get(node, 0.0) + both * passed
                both = min(ours.get(node, 0), self._ours.get(node, 0))
                self.synthetic[node] = self.synthetic.get(node, 0.0) + both * passed
        self._at, self._use, self._ours = at, use, ours

    def blind(self) -> None:
        """A look that failed: the next one has nothing to be compared with, and what lies between is no work."""
        self._use, self._ours = {}, {}

    def carried(self, node: str) -> float:
        """GPU-seconds of both kinds."""
        return self.tenants.get(node, 0.0) + self.synthetic.get(node, 0.0)
