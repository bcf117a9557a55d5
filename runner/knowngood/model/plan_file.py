"""A plan that is kept in a file until somebody has read it, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.matrix import Identity
from knowngood.model.plan import Plan

Running = Mapping[str, Mapping[str, str]]
"""Node -> component -> the version that runs there; no component where the node could not be read."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan rests on. `matrix` maps its files to the sha256 (hex) of what they say.

    `asked`: the cluster was asked, so `identity` and `nodes` are what it said; else nobody looked.
    """

    matrix: Mapping[str, str]
    asked: bool = False
    identity: Identity | None = None
    nodes: Running = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """The file. `version` is of the knowngood that made it, `made` when (RFC 3339, UTC)."""

    schema: int
    version: str
    made: str
    plan: Plan
    rests_on: Basis
