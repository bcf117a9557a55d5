"""The class sriov on the twin: a claimed node's ports are parted anew by Git, and what is there is read on the node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.adapters.node_moves import LIMITS, NODE, RING, TAINTS, Mover, operands, tolerates
from tests.integration.twin.setting import OLD, tolerations
from tests.integration.twin.stage import Stage, raised
from tests.integration.twin.test_sriov import RESOURCE, SPACE, policy, pool
from tests.movers import EVERY
from tests.published import needs_definitions, problems
from tests.unit.planner.matrices import cluster

from knowngood.adapters.movers import node_work
from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.adapters.nodes.batch import Report
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration, Ring
from knowngood.model.mover import Mark, Moving
from knowngood.twin.behaviours.kube import NODE as NODE_KIND
from knowngood.twin.behaviours.sriov_objects import API, POLICY, POOL_CONFIG, STATE

pytestmark = pytest.mark.slow

NAME = "sriov-vfs"
FEW, MORE = "4", "8"
AT = ObjectRef(API, POLICY[1], RING, SPACE)


class Parting(Mover):
    """A node whose policy Git holds."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        self.specs = {NAME: EVERY[NAME]}
        self.limits = replace(LIMITS, apply=30.0)
        self.fleet = KubeFleet(self._kube, self.of_rings())

    def of_rings(self) -> Any:
        declared = Declaration(NAME, "sriov-{ring}.yaml", "spec", replace(AT, name="{ring}"))
        return replace(cluster(declared), rings=(Ring(RING, (NODE,), 1),))

    def moving(self, version: str = MORE) -> Moving:
        return Moving(NAME, FEW, version, self.specs[NAME], AT)

    async def declared(self, version: str) -> None:
        """As Argo CD brings the ring's commit."""
        await self.stage.client.patch(POLICY, RING, {"spec": {"numVfs": int(version)}}, SPACE)

    async def parted(self, version: str = MORE) -> Report:
        return await self._each(replace(self.task(), moves=(self.moving(version),)), node_work._apply)

    async def asked(self, version: str = MORE, *, undo: bool = False) -> str:
        found = await asyncio.to_thread(self.fleet.ready, [self.moving(version)], undo=undo)
        return "; ".join(map(str, found))

    def there(self) -> int:
        return self.stage.twin.world.machines[NODE].nic.functions(0)


def tell(folder: Path, story: Callable[[Parting], Awaitable[None]]) -> None:
    async def run() -> None:
        async with raised(folder, change={"sriov": {"namespace": SPACE}}) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.client.create(policy(RING, int(FEW)))
            await stage.until("it offers functions", lambda: RESOURCE in offers(stage))
            await stage.at_rest(NODE, OLD)
            await story(Parting(stage, folder))

    asyncio.run(run())


def offers(stage: Stage) -> Mapping[str, str]:
    return dict(stage.node(NODE)["status"]["allocatable"])


def marks(report: Report) -> Mapping[str, Mark]:
    assert report.done == [NODE], report.failed
    return {name: Mark(**mark) for name, mark in report.seen[NODE]["marks"].items()}


def test_a_drained_nodes_ports_have_other_functions_and_the_way_back_is_the_same(tmp_path: Path) -> None:
    async def story(desk: Parting) -> None:
        assert await desk.asked() == await desk.asked(FEW, undo=True) == ""
        seen = await desk.claim()
        assert seen["versions"][NAME] == FEW
        first = await desk.parted(FEW)
        assert first.detail[NODE]["restarted"] is False, "it had them already"
        await desk.declared(MORE)
        report = await desk.parted()
        assert (marks(report)[NAME].version, desk.there()) == (MORE, int(MORE))
        assert report.detail[NODE]["restarted"] is True
        assert desk.stage.node(NODE)["spec"]["unschedulable"], (
            "its operator's uncordon is not the end of our hold"
        )
        await desk.declared(FEW)
        back = marks(await desk.parted(FEW))[NAME]
        assert (back.version, desk.there()) == (FEW, int(FEW))
        assert offers(desk.stage)[RESOURCE] == str(int(FEW) * 8)

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("vfs-come-back-fewer", "its operator says that it is done, and 0000:df:00.0 has 7 of 8 functions"),
        ("sriov-offers-fewer", "its operator says that it is done, and the node offers 62 of 64 rail"),
        ("sriov-drain-never-starts", "its SR-IOV state is InProgress, wants Drain_Required, is Idle"),
        ("sriov-boot-loop", "booted a second time for its ports' functions"),
    ],
)
def test_what_its_operator_claims_is_not_believed(tmp_path: Path, fault: str, why: str) -> None:
    async def story(desk: Parting) -> None:
        await desk.stage.fault(fault, NODE)
        await desk.claim()
        await desk.declared(MORE)
        desk.limits = replace(desk.limits, operand_age=1.5, apply=3.0 if "never" in fault else 30.0)
        report = await desk.parted()
        assert why in report.failed[NODE]
        assert report.could_not == [], "it was seen that it did not come"

    tell(tmp_path, story)


def test_what_would_keep_it_from_starting_or_coming_back_is_said_before(tmp_path: Path) -> None:
    async def story(desk: Parting) -> None:
        client = desk.stage.client
        assert "allows 16 functions, not 20: its operator would change the firmware" in await desk.asked("20")
        assert "there would be no way back" in await desk.asked("20", undo=True)
        assert "is no number of functions" in await desk.asked("0")
        await client.create(pool(RING, 0))
        assert "maxUnavailable 0: nothing would ever start" in await desk.asked()
        await client.delete(POOL_CONFIG, RING, SPACE)
        await client.patch(NODE_KIND, "gpu-2", {"metadata": {"labels": {"example.com/ring": RING}}})
        assert "it selects gpu-2, too, which is not of ring-0 and would be drained" in await desk.asked()
        await client.create(policy(RING, 2, "the-other"))
        await desk.stage.until("it is seen", lambda: "the-other" in str(desk.stage.twin.cache.all(STATE)))
        assert "the-other has functions on the same ports as ring-0" in await desk.asked()
        await client.delete(STATE, NODE, SPACE)
        assert f"node {NODE}: it has no SriovNetworkNodeState" in await desk.asked(undo=True)

    tell(tmp_path, story)


@needs_definitions
def test_what_is_written_and_read_is_what_its_operator_publishes(tmp_path: Path) -> None:
    async def story(desk: Parting) -> None:
        for kind in (POLICY, STATE):
            for obj in desk.stage.twin.cache.all(kind):
                assert problems(obj) == []
        assert problems(pool(RING, 1)) == []

    tell(tmp_path, story)
