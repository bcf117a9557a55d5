"""What the engine reads of a cluster. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from knowngood.model.field import Field
from knowngood.model.marks import Marks
from knowngood.model.matrix import Identity
from knowngood.model.mover import Specs
from knowngood.model.node import GpuUse, Leftover, NodeState, Workload


class ClusterReader(Protocol):
    """Reads through the Kubernetes API; each call has its own deadline and raises Unreachable."""

    def identity(self) -> Identity:
        """Which cluster this is."""
        ...

    def node_names(self) -> Mapping[str, str]:
        """All nodes by name, with their role: control-plane, worker, gpu or virtual."""
        ...

    def marks(self) -> Mapping[str, Marks]:
        """What each node object carries of ours now, for every node: one list, no probe."""
        ...

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """Measure nodes now, with the marks of what `specs` say how it moves.

        A node that can't be read is there with reachable False and `trouble`.
        """
        ...

    def begin(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """As `observe`, at a run's start: the judgement that follows at once may judge what was read here."""
        ...

    def loads(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """The newest load of each node's driver, with its boot and version, and nothing else: by the kernel log."""
        ...

    def standing(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """Nodes as the API server knows them: no node is asked, so nothing of its driver is in it."""
        ...

    def live_value(self, field: Field) -> str:
        """The value the live object carries at the change's path; "" if the object or field is missing."""
        ...

    def workloads(self) -> Sequence[Workload]:
        """All tenants' workloads, ready or not."""
        ...

    def gpu_use(self, nodes: Sequence[str]) -> Mapping[str, GpuUse]:
        """How many GPUs tenants use on each of these nodes now."""
        ...

    def leftovers(self) -> Sequence[Leftover]:
        """Everything of ours, or of an interrupted drainer, that should not be there when no run is open.

        Holds are asked of their own port: judgements, which look for the rest too, have no use for them.
        """
        ...

    def quiet(self, nodes: Sequence[str]) -> Mapping[str, str]:
        """Nodes that somebody else works on, with the reason; empty when all are free to claim."""
        ...
