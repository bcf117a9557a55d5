"""What playbooks do to nodes. Each call takes the nodes of a batch and is idempotent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from knowngood.model.context import Window
from knowngood.model.mover import Again, Hold, Moving, Specs
from knowngood.model.node import NodeState
from knowngood.model.values import Values
from knowngood.ports.cancel import Cancel


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each node: `done` in order, `failed` and `given_back` with the reason.

    `given_back`: a tenant's budget did not let us drain; cordon, taint and claim are off again, nothing was
    restarted. `could_not` are those of `failed` that say nothing of the node or the version: nobody answered, a right
    is missing, an image was not pulled, somebody else works on it. `stripped`: whose claim somebody removed. `detail`
    is small JSON per node (evicted workloads, seconds, module load). `seen`: nodes of `done` as they were measured when
    they were done, as far as what was done needs it: boot, uptime and versions of a claim, the load of an apply.
    """

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    given_back: Mapping[str, str] = field(default_factory=dict)
    detail: Values = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    could_not: tuple[str, ...] = ()
    stripped: tuple[str, ...] = ()
    seen: Mapping[str, NodeState] = field(default_factory=dict)


class NodeWork(Protocol):
    """The playbooks. A node whose claim is no longer ours is in `failed`.

    LockHeld only where all carry a newer Lease's claim: a claim that is gone says nothing about who holds the cluster.
    """

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        """Claim quiet nodes, snapshot and taint them, and cordon them where `hold` says so.

        Our own older fence is replaced.
        """
        ...

    def drain(
        self, nodes: Sequence[str], fence: str, cancel: Cancel, *, users: Collection[str], keep: bool = False
    ) -> Outcome:
        """Evict these users (`gpu`, `rdma`) by the rules of planner.eviction.

        A node with nothing of ours on it was given back before, and is again in `given_back`.

        `keep`: a node that can't be drained stays claimed and is in `failed` instead of `given_back`; for an
        undo, where the node runs what has not passed.
        """
        ...

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        """Bring what moves to its `after`, each as its class does, and wait for the proof and for what depends on it.

        A node that already runs it from an arrival of this claim is done at once.
        """
        ...

    def load_again(
        self,
        nodes: Sequence[str],
        fence: str,
        moves: Sequence[Moving],
        cancel: Cancel,
        *,
        how: Again,
        since: Mapping[str, Window],
    ) -> Outcome:
        """Load once more what nodes run already, by a reload or a reboot, and wait as `apply` does.

        A node is done once what it runs arrived later than `since` says of it, also where that came before this call.
        UsageError for a reboot that no class of what moves can make.
        """
        ...

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        """Put back what the snapshot says, take taint and claim off. Only after a pass."""
        ...

    def quarantine(self, nodes: Mapping[str, str], fence: str, cancel: Cancel) -> Outcome:
        """Taint and cordon for a human (node -> why); the claim goes, the maintenance taint too."""
        ...
