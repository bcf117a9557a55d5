"""A load of our own on nodes that are back in service, where tenants bring less work than a soak must see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from knowngood.ports.cancel import Cancel


class SyntheticLoad(Protocol):
    """The smoke job at low priority: tenants take its GPUs whenever they want them. Named by its run, so a repeated
    step finds what a killed one left.
    """

    def start(self, run: str, gpus: Mapping[str, int], seconds: float) -> None:
        """On each node so many GPUs, as it offers them; ends by itself after `seconds`. What is there already stays."""
        ...

    def working(self, run: str) -> Mapping[str, float]:
        """Node -> GPUs that it computes on now; a MIG device is its share of one."""
        ...

    def trouble(self, run: str) -> Mapping[str, str]:
        """Node -> why it does not compute there, for those that neither compute nor have ended well."""
        ...

    def clear(self, run: str, cancel: Cancel) -> str:
        """Delete it and wait until it is gone; what is left, "" if nothing. Safe to repeat."""
        ...
