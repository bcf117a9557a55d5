"""Nodes settle together: what waits is looked at again, in one look, until all rest or the time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.unit.gates.conftest import healthy

from knowngood.gate.settling import settled
from knowngood.model.node import NodeState

NODES = {f"gpu-{i}": replace(healthy(), name=f"gpu-{i}") for i in range(1, 7)}


def late(state: NodeState) -> NodeState:
    return replace(state, allocatable={"nvidia.com/gpu": "0"})


class Looks:
    """Each look brings one more node to rest."""

    def __init__(self, late: Sequence[str]) -> None:
        self.late = list(late)
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        self.asked.append(tuple(nodes))
        if self.late:
            self.late.pop(0)
        return {n: late(NODES[n]) if n in self.late else NODES[n] for n in nodes}


def waits(_: str, state: NodeState) -> bool:
    return state.allocatable != {"nvidia.com/gpu": "8"}


def first(*names: str) -> dict[str, NodeState]:
    return {n: late(state) if n in names else state for n, state in NODES.items()}


def test_nodes_at_rest_are_not_looked_at_again() -> None:
    looks = Looks(())
    assert settled(NODES, looks, waits, lambda _: 60) == NODES
    assert looks.asked == []


def test_those_that_wait_are_looked_at_together_and_no_other() -> None:
    looks = Looks(("gpu-2", "gpu-5"))
    assert settled(first("gpu-2", "gpu-5"), looks, waits, lambda _: 60, every=0.0) == NODES
    assert looks.asked == [("gpu-2", "gpu-5"), ("gpu-5",)]


def test_what_does_not_settle_in_time_is_told_as_it_is() -> None:
    looks = Looks(("gpu-2",) * 1000)
    assert waits("gpu-2", settled(first("gpu-2"), looks, waits, lambda _: 0.0, every=0.0)["gpu-2"])
