"""What can declare a component on a cluster, and whom a move then reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """Whether nodes may differ in a component on a given cluster."""

    NODE = "node"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class DeclaredBy:
    """A kind of object that can declare a component, and what that makes of its scope.

    `leaky`: any restart on any node takes the new version. `when` are ranges of other components that it needs.
    `to_rings`: how an installation comes from here to one object a ring, and why that is no hop.
    """

    kind: str
    scope: Scope
    leaky: bool = False
    when: Mapping[str, str] = field(default_factory=dict)
    to_rings: str = ""
