"""What a gate can ask of the operators: their pods on each node, what declares them, and how long each state lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from knowngood.adapters.judging import operand_view
from knowngood.adapters.judging.operand_view import Declared, OnNode
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate.settling import Seconds, settled
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Cluster


@dataclass(frozen=True, slots=True)
class Operands:
    """All nodes as they were read, and how they are read again."""

    nodes: Mapping[str, OnNode]
    again: Callable[[Sequence[str]], Mapping[str, OnNode]]

    def settled(self, waits: Callable[[OnNode], bool], seconds: Seconds) -> Mapping[str, OnNode]:
        """The same once no node `waits` any more, or its seconds are over: all nodes together."""
        return settled(self.nodes, self.again, lambda _, node: waits(node), seconds)


@pytest.fixture(scope="session")
def operands(kube: Kube, cluster: Cluster, judgement: JudgeRequest) -> Operands:
    """The operators' pods on the nodes of the judgement."""
    spaces = operand_view.namespaces(cluster, judgement.movers)

    def look(nodes: Sequence[str]) -> Mapping[str, OnNode]:
        return operand_view.on_nodes(kube, spaces, nodes)

    return Operands(look(judgement.nodes), look)


@pytest.fixture(scope="session")
def operators(kube: Kube, cluster: Cluster, judgement: JudgeRequest) -> Sequence[Declared]:
    """The operators of OLM that the cluster file declares."""
    return operand_view.declared(kube, cluster, judgement.movers)


@pytest.fixture(scope="session")
def refusals(kube: Kube, cluster: Cluster) -> Sequence[str]:
    """What the controllers of declared objects say they can't do."""
    return list(operand_view.refused(kube, cluster))
