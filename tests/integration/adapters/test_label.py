"""The class label on the twin: a node of ours is labelled, and the driver shows what the MIG manager made of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.adapters.node_moves import LIMITS, NODE, TAINTS, Mover, operands, tolerates
from tests.integration.twin.setting import NEW, OLD, SPACE, tolerations
from tests.integration.twin.stage import Stage, raised
from tests.movers import EVERY

from knowngood.adapters.movers import label, node_work
from knowngood.adapters.nodes.batch import Report
from knowngood.model.mover import Mark, Moving
from knowngood.twin.behaviours.kube import NODE as NODE_KIND
from knowngood.twin.behaviours.kube import POD, labels_of, name_of
from knowngood.twin.behaviours.mig_manager import CONFIG, STATE

pytestmark = pytest.mark.slow

NONE, SEVEN, TWO = "all-disabled", "all-1g.18gb", "all-3g.71gb"
SPEC, SHARING = EVERY["mig-config"], EVERY["gpu-sharing"]
LAYOUTS = {
    NONE: [{"devices": "all", "mig-enabled": False}],
    SEVEN: [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.18gb": 7}}],
    TWO: [{"devices": "all", "mig-enabled": True, "mig-devices": {"3g.71gb": 2}}],
    "all-9g.99gb": [{"devices": "all", "mig-enabled": True, "mig-devices": {"9g.99gb": 1}}],
}
ONCE, FOUR = "once", "four-times"
KEYS = {
    ONCE: {"version": "v1"},
    FOUR: {"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}}},
}
SHARES = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "shares", "namespace": SPACE},
    "data": {key: json.dumps(value) for key, value in KEYS.items()},
}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "default-mig-parted-config", "namespace": SPACE},
    "data": {"config.yaml": json.dumps({"version": "v1", "mig-configs": LAYOUTS})},
}


class Parting(Mover):
    """What a story does with a node whose GPUs are parted."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        names = ("mig-config", "gpu-sharing", "nvidia-driver")
        self.specs = {name: EVERY[name] for name in names}

    async def part(self, layout: str, *more: Moving, age: float = LIMITS.operand_age) -> Report:
        moves = (Moving("mig-config", "", layout, SPEC), *more)
        self.limits = replace(LIMITS, operand_age=age)
        return await self._each(self.task(moves), node_work._apply)

    async def share(self, key: str, age: float = LIMITS.operand_age) -> Report:
        self.limits = replace(LIMITS, operand_age=age)
        return await self._each(self.task((Moving("gpu-sharing", "", key, SHARING),)), node_work._apply)

    def labels(self) -> dict[str, str]:
        return dict(labels_of(self.stage.node(NODE)))

    @property
    def layout(self) -> str:
        return self.stage.twin.world.machines[NODE].seed.migConfig


def tell(folder: Path, story: Callable[[Parting], Awaitable[None]]) -> None:

    async def run() -> None:
        async with raised(folder, change={"migManager": True, "pluginConfig": True}) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                if obj["kind"] == "ClusterPolicy":
                    obj["spec"]["devicePlugin"] = {
                        "enabled": True,
                        "config": {"name": "shares", "default": ""},
                    }
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.client.create(CONFIG_MAP)
            await stage.client.create(SHARES)
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.at_rest(NODE, OLD)
            await story(Parting(stage, folder))

    asyncio.run(run())


def test_a_layout_comes_with_its_label_and_goes_back_with_the_label_before(tmp_path: Path) -> None:
    async def story(desk: Parting) -> None:
        seen: dict[str, Any] = await desk.claim()
        assert seen["versions"]["mig-config"] == NONE, "a node without a label and without instances"
        report = await desk.part(SEVEN)
        assert report.done == [NODE], report.failed
        mark = Mark(**report.seen[NODE]["marks"]["mig-config"])
        boot = desk.stage.twin.world.machines[NODE].boot_id
        assert (mark.version, mark.boot_id) == (SEVEN, boot)
        assert (desk.layout, desk.stage.gpus(NODE)) == (SEVEN, "56")
        assert not [v for k, v in desk.labels().items() if "paused" in v], "operands go on"
        again = await desk.part(SEVEN)
        assert (again.done, again.detail[NODE]["restarted"]) == ([NODE], False), "found, not made again"
        assert (await desk.part(TWO)).done == [NODE], "from one layout to another"
        assert desk.stage.gpus(NODE) == "16"
        assert (await desk.part(NONE)).done == [NODE]
        assert (desk.layout, desk.stage.gpus(NODE)) == ("", "8")

    tell(tmp_path, story)


def test_a_drivers_reload_takes_the_layout_along_and_it_is_waited_for(tmp_path: Path) -> None:
    """`success` stays written meanwhile: only what the driver lists counts."""

    async def story(desk: Parting) -> None:
        stage = desk.stage
        await desk.claim()
        assert (await desk.part(SEVEN)).done == [NODE]
        await stage.fault("mig-success-is-old", NODE)
        await desk.declare(version=NEW)
        report = await desk.part(SEVEN, Moving("nvidia-driver", OLD, NEW, EVERY["nvidia-driver"]))
        assert report.done == [NODE], report.failed
        assert (stage.module(NODE), desk.layout, stage.gpus(NODE)) == (NEW, SEVEN, "56")
        marks = {name: Mark(**mark) for name, mark in report.seen[NODE]["marks"].items()}
        assert marks["mig-config"].at == marks["nvidia-driver"].at, "made on this load"
        await stage.clear()
        await stage.fault("mig-layout-lost", NODE)
        await desk.declare(version=OLD)
        driver = Moving("nvidia-driver", NEW, OLD, EVERY["nvidia-driver"])
        report = await desk.part(SEVEN, driver, age=4.0)
        assert desk.labels()[STATE] == "success"
        assert "is not in MIG mode" in report.failed[NODE]
        assert report.could_not == [], "measured"

    tell(tmp_path, story)


def test_a_manager_that_wedges_is_told_with_what_to_type_and_nothing_is_written_without_need(
    tmp_path: Path,
) -> None:
    async def story(desk: Parting) -> None:
        stage = desk.stage
        await desk.claim()
        unknown = await desk.part("all-2g.35gb")
        assert (unknown.could_not, CONFIG in desk.labels()) == ([NODE], False)
        assert "has no all-2g.35gb; it has all-1g.18gb" in unknown.failed[NODE]
        await stage.client.patch(NODE_KIND, NODE, {"metadata": {"annotations": {label.NFD_OWNS[0]: CONFIG}}})
        owned = await desk.part(SEVEN)
        assert (owned.could_not, CONFIG in desk.labels()) == ([NODE], False)
        assert "written by NFD" in owned.failed[NODE]
        await stage.client.patch(NODE_KIND, NODE, {"metadata": {"annotations": {label.NFD_OWNS[0]: None}}})
        await stage.fault("mig-manager-wedges", NODE)
        wedged = await desk.part(SEVEN, age=2.0)
        assert f"{STATE} is pending" in wedged.failed[NODE]
        assert "delete pod -l app=nvidia-mig-manager" in wedged.failed[NODE]
        assert wedged.could_not == [], "measured"
        manager = stage.operand("nvidia-mig-manager", NODE)
        assert manager is not None
        await stage.client.delete(POD, name_of(manager), SPACE)
        assert (await desk.part(SEVEN)).done == [NODE], "what it says to type mends it"
        bad = await desk.part("all-9g.99gb")
        assert f"{STATE} is failed" in bad.failed[NODE]

    tell(tmp_path, story)


def test_gpus_are_shared_by_the_key_that_the_label_names_and_offered_so(tmp_path: Path) -> None:
    async def story(desk: Parting) -> None:
        stage = desk.stage
        await desk.claim()
        await stage.fault("plugin-config-late", NODE)
        report = await desk.share(FOUR)
        assert report.done == [NODE], report.failed
        assert (stage.gpus(NODE), desk.labels()["nvidia.com/gpu.replicas"]) == ("32", "4")
        assert report.seen[NODE]["versions"] == {"gpu-sharing": FOUR}
        await stage.clear()
        assert (await desk.share(ONCE)).done == [NODE], "and back"
        assert stage.gpus(NODE) == "8"
        await stage.fault("plugin-config-unseen", NODE)
        unseen = await desk.share(FOUR, age=2.0)
        assert "8 of 32 nvidia.com/gpu are allocatable" in unseen.failed[NODE]
        assert "delete pod -l app=nvidia-device-plugin-daemonset" in unseen.failed[NODE]
        assert unseen.could_not == [], "measured"
        plugin = stage.operand("nvidia-device-plugin-daemonset", NODE)
        assert plugin is not None
        await stage.client.delete(POD, name_of(plugin), SPACE)
        assert (await desk.share(FOUR)).done == [NODE], "what it says to type mends it"
        await stage.clear()
        await stage.fault("plugin-config-crashes", NODE)
        assert "0 of 8 nvidia.com/gpu are allocatable" in (await desk.share(ONCE, age=2.0)).failed[NODE]

    tell(tmp_path, story)
