"""The ports a run needs, together."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.ports.bmcs import BmcReader
from knowngood.ports.checkpoint import Checkpoint
from knowngood.ports.clock import Clock
from knowngood.ports.cluster import ClusterReader
from knowngood.ports.delivery import Delivery
from knowngood.ports.fleet import FleetWork
from knowngood.ports.gates import Gates
from knowngood.ports.gitops import GitOps
from knowngood.ports.holds import Holds
from knowngood.ports.journal import Journal
from knowngood.ports.load import SyntheticLoad
from knowngood.ports.lock import Lock
from knowngood.ports.machine import Machine
from knowngood.ports.nodes import NodeWork
from knowngood.ports.observer import Observer
from knowngood.ports.promotion import Promotion
from knowngood.ports.readiness import Readiness
from knowngood.ports.registry import Registry


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside; real adapters or fakes."""

    clock: Clock
    cluster: ClusterReader
    lock: Lock
    checkpoint: Checkpoint
    gitops: GitOps
    delivery: Delivery
    nodes: NodeWork
    fleet: FleetWork
    gates: Gates
    journal: Journal
    promotion: Promotion
    readiness: Readiness
    registry: Registry
    load: SyntheticLoad
    holds: Holds
    machine: Machine
    bmcs: BmcReader
    observers: tuple[Observer, ...] = ()
