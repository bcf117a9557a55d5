"""How a cluster's nodes pull images, as far as its cluster file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PULL_SECRET = "openshift-config/pull-secret"  # noqa: S105 (its name)


@dataclass(frozen=True, slots=True)
class Pulling:
    """The registry may be asked from here: with this Secret (namespace/name), without TLS where a host has none."""

    secret: str = PULL_SECRET
    insecure: tuple[str, ...] = ()

    @classmethod
    def of(cls, said: Mapping[str, Any] | None) -> Pulling | None:
        """From the cluster file's `registry`; None where it says nothing: then no registry is asked."""
        if said is None:
            return None
        return cls(said.get("pullSecret", PULL_SECRET), tuple(said.get("insecure", ())))
