"""Each component of a node's driver pods, by its own file: done, restored, and incidents that are no arrival."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.adapters.node_moves import NODE, Mover, play
from tests.integration.twin.nic_stage import NEW as NEW_NIC
from tests.integration.twin.nic_stage import NEW_SAYS, OLD_SAYS
from tests.integration.twin.nic_stage import OLD as OLD_NIC
from tests.integration.twin.setting import NEW, OLD
from tests.movers import EVERY

from knowngood.planner.moving import shown
from knowngood.twin.oracle import host_view

DOCA, GDS = "doca-ofed", "gds"
VERSIONS = {
    DOCA: (OLD_NIC, NEW_NIC),
    GDS: ("2.26.6", "2.28.2"),
    "gpu-operator-rdma": ("false", "true"),
    "kernel-module-type": ("open", "proprietary"),
    "nvidia-driver": (OLD, NEW),
    "rdma-mode": ("dma-buf", "nvidia-peermem"),
}
SAYS = {OLD_NIC: OLD_SAYS, NEW_NIC: NEW_SAYS}
"""What the module says of a version, where that is another text."""
WITH_NIC_POD = {DOCA, "gpu-operator-rdma", "rdma-mode"}
"""What moves only beside a DOCA pod: peermem waits for one."""
PASSING, STAYING = ("driver-in-use", "validator-missing"), "operands-left-paused"
"""Of the GPU driver's pod, in which they come; DOCA-OFED's own are in test_node_faults. What is parked stays parked."""


class One:
    """A component on the node, at its first version and claimed."""

    def __init__(self, on: Mover, component: str) -> None:
        self.on = on
        self.component = component
        self.name = component.replace("-", "_")

    async def ready(self) -> None:
        if self.component in WITH_NIC_POD:
            await self.on.with_nic_driver()
        await self.on.claim()
        if self.component == GDS:
            await self.comes(VERSIONS[GDS][0])

    async def declare(self, version: str) -> None:
        """Its field, as its mover writes it, in Git."""
        if self.component == DOCA:
            await self.on.declare_nic(version)
            return
        ((path, text),) = shown(EVERY[self.component], "NVIDIADriver", version).items()
        field: Any = {"true": True, "false": False}.get(text, text)
        _, first, *more = path.split(".")
        section = {"image": "nvidia-fs", "repository": "mirror.example.com/nvidia", "enabled": True}
        values = {**(section if self.component == GDS else {}), **dict.fromkeys(more, field)}
        await self.on.declare(**{first: values or field})

    async def comes(self, version: str) -> None:
        """Declared and applied: it has arrived."""
        await self.declare(version)
        marks, _ = await self.on.apply(**{self.name: version})
        assert marks[self.component].version == SAYS.get(version, version)

    async def fails(self, fault: str, version: str) -> None:
        """Declared and applied while something is wrong: it has not arrived."""
        await self.on.stage.fault(fault, NODE)
        await self.declare(version)
        assert await self.on.fails(**{self.name: version}), fault
        assert self.on.stage.events("fault-hit", NODE)[-1]["fault"] == fault
        await self.on.stage.clear()


def shape(on: Mover) -> dict[str, Any]:
    """What the node's files say, as the oracle reads them."""
    return host_view(on.stage.state / "nodes" / NODE / "root")


def test_each_component_of_a_driver_pod_that_ships_is_here() -> None:
    assert VERSIONS.keys() == {name for name, spec in EVERY.items() if spec.kind == "daemon-driver"}


@pytest.mark.parametrize("component", VERSIONS)
def test_a_component_comes_to_a_node_and_goes_back(component: str, tmp_path: Path) -> None:
    old, new = VERSIONS[component]

    async def story(on: Mover) -> None:
        one = One(on, component)
        await one.ready()
        before = shape(on)
        await one.comes(new)
        assert shape(on) != before
        await one.comes(old)
        assert shape(on) == before

    play(tmp_path, story)


@pytest.mark.slow
@pytest.mark.parametrize("component", sorted(VERSIONS.keys() - {DOCA}))
def test_an_incident_of_the_driver_pod_is_no_arrival_and_once_it_is_over_it_comes(
    component: str, tmp_path: Path
) -> None:
    old, new = VERSIONS[component]

    async def story(on: Mover) -> None:
        one = One(on, component)
        await one.ready()
        for fault, version in zip(PASSING, (new, old), strict=True):
            await one.fails(fault, version)
        await one.comes(new)
        await one.fails(STAYING, old)

    play(tmp_path, story)
