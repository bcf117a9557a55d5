"""One severe message without a number: a name, what it asks for, how it reads, where that is known from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from knowngood.probe.kernel_log.codes import Action

BDF = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"
ADDRESS = rf"(?P<address>{BDF})(?:\.(?P<function>[0-7]))?"
GPU, NIC, HOST = "gpu", "nic", "host"
FUNCTION = rf"(?P<address>{BDF})\.(?P<function>[0-7])"
AMD_EVENT = rf"{FUNCTION}: AMD-Vi: Event logged \["
"""What AMD's IOMMU logs of a device whose driver it knows, after the driver's name."""
LINUX = "torvalds/linux"
IOMMU_FAULT = "iommu-fault"
"""Of the host, until somebody knows whose address it names."""


@dataclass(frozen=True)
class Signature:
    """One message. `part`: gpu, nic or host; `reads`: a regular expression; `source`: where the wording was read."""

    name: str
    part: str
    action: Action
    reads: str
    source: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """How it reads, compiled: of most of them no process ever needs it."""
        return re.compile(self.reads)
