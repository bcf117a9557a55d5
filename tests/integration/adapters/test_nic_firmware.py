"""The class nic-firmware on the twin: a claimed node's NICs are flashed by Git, and what runs is read on the node."""

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
from tests.integration.twin.test_nic_firmware import SPACE, source, template
from tests.movers import EVERY
from tests.unit.planner.matrices import cluster

from knowngood.adapters.movers import node_work
from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.adapters.nodes.batch import Report
from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding
from knowngood.model.matrix import Declaration, Ring
from knowngood.model.mover import Mark, Moving
from knowngood.twin.behaviours.kube import NODE as NODE_KIND
from knowngood.twin.behaviours.maintenance import CONFIG, MAINTENANCE
from knowngood.twin.behaviours.nic_firmware import SOURCE, TEMPLATE

pytestmark = pytest.mark.slow

FW, NEW_FW = "28.47.1026", "28.48.1000"
NAME = "nic-firmware"
AT = ObjectRef("configuration.net.nvidia.com/v1alpha1", "NicFirmwareTemplate", RING, SPACE)
SEED: dict[str, Any] = {"nicConfiguration": {"namespace": SPACE}}


class Flashing(Mover):
    """A node whose template Git holds."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        self.specs = {NAME: replace(EVERY[NAME], guards=())}
        self.limits = replace(LIMITS, apply=30.0)
        self.fleet = KubeFleet(self._kube, self.of_rings())

    def of_rings(self) -> Any:
        declared = Declaration(NAME, "nic-firmware-{ring}.yaml", "spec", replace(AT, name="{ring}"))
        return replace(cluster(declared), rings=(Ring(RING, (NODE,), 1),))

    def moving(self, version: str = NEW_FW) -> Moving:
        return Moving(NAME, FW, version, self.specs[NAME], AT)

    async def templated(self, version: str) -> None:
        """As Argo CD brings the ring's commit."""
        to = {"spec": {"template": {"nicFirmwareSourceRef": f"nic-firmware-{version}"}}}
        await self.stage.client.patch(TEMPLATE, RING, to, SPACE)

    async def flashed(self, version: str = NEW_FW) -> Report:
        return await self._each(replace(self.task(), moves=(self.moving(version),)), node_work._apply)

    async def asked(self, version: str = NEW_FW, *, undo: bool = False) -> list[Finding]:
        return list(await asyncio.to_thread(self.fleet.ready, [self.moving(version)], undo=undo))

    def running(self) -> str:
        return self.stage.twin.world.machines[NODE].read("sys/class/infiniband/mlx5_0/fw_ver")


def tell(folder: Path, story: Callable[[Flashing], Awaitable[None]], **limits: int) -> None:
    async def run() -> None:
        seed = {"nicConfiguration": {**SEED["nicConfiguration"], **limits}}
        async with raised(folder, change=seed) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            for version in (FW, NEW_FW):
                await stage.client.create(source(version))
            await stage.client.create(template(RING, FW))
            await stage.until("its images are there", lambda: fetched(stage))
            await stage.at_rest(NODE, OLD)
            await story(Flashing(stage, folder))

    asyncio.run(run())


def fetched(stage: Stage) -> bool:
    found = stage.twin.cache.all(SOURCE)
    return len(found) == 2 and all((s.get("status") or {}).get("state") == "Success" for s in found)


def marks(report: Report) -> Mapping[str, Mark]:
    assert report.done == [NODE], report.failed
    return {name: Mark(**mark) for name, mark in report.seen[NODE]["marks"].items()}


def test_a_drained_nodes_nics_are_flashed_and_proven_and_the_way_back_is_the_same(tmp_path: Path) -> None:
    async def story(desk: Flashing) -> None:
        assert await desk.asked() == await desk.asked(FW, undo=True) == []
        await desk.claim()
        first = await desk.flashed(FW)
        assert first.detail[NODE]["restarted"] is False, "it ran that already"
        await desk.templated(NEW_FW)
        report = await desk.flashed()
        assert marks(report)[NAME].version == desk.running() == NEW_FW
        assert report.detail[NODE]["restarted"] is True
        assert desk.stage.twin.cache.all(MAINTENANCE) == [], "its operator is done with the node"
        node = desk.stage.node(NODE)
        assert node["spec"]["unschedulable"], "the operator's uncordon is not the end of our hold"
        await desk.stage.fault("nic-reset-fails-reboots", NODE)
        await desk.templated(FW)
        boot = desk.stage.twin.world.machines[NODE].boot_id
        back = marks(await desk.flashed(FW))[NAME]
        assert (back.version, desk.running()) == (FW, FW)
        assert back.boot_id != boot, "by a boot, where a reset fails"

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("nic-status-says-requested", f"its operator says that it runs {NEW_FW}, and mlx5_0 runs {FW}"),
        ("nic-burned-not-running", f"its operator says that it runs {NEW_FW}, and mlx5_0 runs {FW}"),
        ("nic-reboot-loop", "booted a second time while its NICs were flashed"),
    ],
)
def test_what_its_status_claims_is_not_believed(tmp_path: Path, fault: str, why: str) -> None:
    async def story(desk: Flashing) -> None:
        await desk.stage.fault(fault, NODE)
        await desk.claim()
        await desk.templated(NEW_FW)
        desk.limits = replace(desk.limits, operand_age=3.0)
        report = await desk.flashed()
        assert why in report.failed[NODE]
        assert report.could_not == [], "it was seen that it did not come"

    tell(tmp_path, story)


def test_what_would_keep_it_from_starting_or_coming_back_is_said_before(tmp_path: Path) -> None:
    async def story(desk: Flashing) -> None:
        stage = desk.stage
        said = "; ".join(map(str, await desk.asked()))
        assert "maxUnavailable 1 counts nodes that are cordoned" in said
        await stage.client.patch(CONFIG, "default", {"spec": {"maxUnavailable": None}}, SPACE)
        assert await desk.asked() == []
        assert "nic-firmware-28.99.1: there is none" in str((await desk.asked("28.99.1"))[0])
        assert "there would be no way back" in str((await desk.asked("28.99.1", undo=True))[0])
        await stage.client.create(template(RING, FW, "the-other"))
        await stage.client.patch(NODE_KIND, "gpu-2", {"metadata": {"labels": {"example.com/ring": RING}}})
        texts = "; ".join(map(str, await desk.asked()))
        assert "it selects gpu-2, too, which is not of ring-0 and would be flashed undrained" in texts
        assert "the-other selects the same NICs of gpu-1, too: neither is applied" in texts

    tell(tmp_path, story, maxUnavailable=1)
