"""What a probe asks for that is to have every device of a node, each once: by the node's own configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.gates.conftest import healthy

from knowngood.model.node import NodeState
from knowngood.planner import sharing

SEVEN = " ".join(f"gi{n} gi{n}/ci0" for n in range(7, 14))


def node(
    mig: dict[str, str] | None = None,
    allocatable: Any = None,
    strategy: str = "",
    count: str = "",
    **labels: str,
) -> NodeState:
    """`strategy`, `count`: what the labels say of MIG, where they do."""
    state = healthy()
    named = {f"nvidia.com/{k.replace('__', '-').replace('_', '.')}": v for k, v in labels.items()}
    named |= {"nvidia.com/mig.strategy": strategy} if strategy else {}
    named |= {"nvidia.com/mig-1g.18gb.count": count} if count else {}
    inventory = {k: v for k, v in state.inventory.items() if k != "mig"}
    return replace(
        state,
        labels=named,
        allocatable=allocatable or {"nvidia.com/gpu": "2"},
        inventory={**inventory, **({} if mig is None else {"mig": mig})},
    )


PARTED = {"gpu0": SEVEN, "gpu1": SEVEN}


@pytest.mark.parametrize(
    ("state", "resources", "parts"),
    [
        (node(), {"nvidia.com/gpu": 2}, (2, 0)),
        (node(mig={"gpu0": "", "gpu1": ""}), {"nvidia.com/gpu": 2}, (2, 0)),
        (node(gpu_replicas="4", allocatable={"nvidia.com/gpu": "8"}), {"nvidia.com/gpu": 2}, (2, 0)),
        (
            node(
                allocatable={"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "8"},
                gpu_replicas="4",
                gpu_sharing__strategy="time-slicing",
            ),
            {"nvidia.com/gpu.shared": 2},
            (2, 0),
        ),
        (node(mig=PARTED, strategy="single"), {"nvidia.com/gpu": 14}, (0, 14)),
        (
            node(mig=PARTED, strategy="mixed", count="14"),
            {"nvidia.com/mig-1g.18gb": 14},
            (0, 14),
        ),
        (
            node(mig={"gpu1": SEVEN}, strategy="mixed", count="7"),
            {"nvidia.com/mig-1g.18gb": 7, "nvidia.com/gpu": 1},
            (1, 7),
        ),
    ],
)
def test_every_device_is_asked_for_once_under_the_name_it_is_offered_by(
    state: NodeState, resources: dict[str, int], parts: tuple[int, int]
) -> None:
    offer = sharing.each_once(state, 2)
    assert (offer.resources, offer.trouble) == (resources, "")
    assert sharing.parts(state, 2) == parts


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (node(strategy="single", count="7"), "can't be read"),
        (node(mig=PARTED, strategy="mixed", count="13"), "the driver lists 14 MIG"),
        (node(mig=PARTED), "the label nvidia.com/mig.strategy is none"),
        (node(gpu_workload_config="vm-vgpu"), "virtual machines"),
    ],
)
def test_what_can_not_be_told_is_not_asked_for(state: NodeState, words: str) -> None:
    offer = sharing.each_once(state, 2)
    assert (offer.resources, words in offer.trouble) == ({}, True)
