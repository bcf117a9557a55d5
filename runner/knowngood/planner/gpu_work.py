"""GPU-seconds: what a pod uses, and what a node carried between samples. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.node import GpuUse
from knowngood.model.values import Values

WHOLE = ("nvidia.com/gpu", "nvidia.com/pgpu", "amd.com/gpu")
_SLICES = re.compile(r"nvidia\.com/mig-(\d)g\.")
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
    _ours: Mapping[str, int] = field(default_factory=dict)

    def sample(self, at: float, use: Mapping[str, GpuUse], ours: Mapping[str, int]) -> None:
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
