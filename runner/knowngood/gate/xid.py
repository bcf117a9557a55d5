"""Reads GPU, switch, NIC and host errors out of kernel lines: the probe's own parser, for gate authors."""

from __future__ import annotations

from knowngood.probe.kernel_log.events import Event, is_continuation, parse
from knowngood.probe.kernel_log.lines import parse_line
from knowngood.probe.kernel_log.signature import GPU, HOST, IOMMU_FAULT, NIC

__all__ = ["GPU", "HOST", "IOMMU_FAULT", "NIC", "Event", "is_continuation", "parse", "parse_line"]
