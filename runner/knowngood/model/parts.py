"""Parts of machines that files of the matrix name: a profile's NICs, a cluster's known bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ComputeNics:
    """Which of a machine's RDMA ports its GPUs are to use, and what they do. Empty or 0: the profile does not say.

    `boards` are board ids (PSID), `firmware` maps one to the version that it must run, whatever a release names.
    """

    pci_addresses: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    link_layer: str = ""  # InfiniBand or Ethernet
    ports: int = 0  # of all of them together
    rate_gbps: float = 0.0  # of a port
    pcie_gts: float = 0.0  # GT/s of a lane
    pcie_width: int = 0  # lanes
    firmware: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiver:
    """A part that is known to be bad, which a gate finds and does not count until the end of that day (UTC).

    `part` is a PCI address, a GUID, a UUID or another name that the gate gives; `until` is a date, YYYY-MM-DD.
    """

    node: str
    gate: str
    part: str
    reason: str
    until: str
