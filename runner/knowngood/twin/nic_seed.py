"""The part of a seed that says who burns NIC firmware and who makes virtual functions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NicConfigurationSeed:
    """The NIC configuration and maintenance operators; maxUnavailable is the latter's, None for no limit."""

    namespace: str
    maxUnavailable: int | str | None = None  # noqa: N815


@dataclass(frozen=True, slots=True)
class SriovSeed:
    """The SR-IOV network operator. prefix: of what it has nodes offer; totalVfs: what a NIC's firmware allows."""

    namespace: str
    prefix: str = "openshift.io"
    totalVfs: int = 16  # noqa: N815
