"""The part of a seed that says who burns NIC firmware."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NicConfigurationSeed:
    """The NIC configuration and maintenance operators; maxUnavailable is the latter's, None for no limit."""

    namespace: str
    maxUnavailable: int | str | None = None  # noqa: N815
