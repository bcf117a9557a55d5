"""The class talosctl on the twin: a claimed node's machine is asked by the program, boots, and tells what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.integration.adapters.node_moves import LIMITS, NODE, TAINTS, Mover, operands, tolerates
from tests.integration.twin.setting import OLD as DRIVER
from tests.integration.twin.setting import SPACE, tolerations
from tests.integration.twin.stage import Stage, raised
from tests.movers import EVERY

from knowngood.adapters.movers import node_work
from knowngood.adapters.nodes.batch import Report
from knowngood.model.field import ObjectRef
from knowngood.model.mover import Mark, Moving
from knowngood.twin.faults import make, to_config_map

pytestmark = pytest.mark.slow

OLD, NEW = "1.13.7", "1.13.8"
IMAGES = {v: f"registry.example.com/talos/installer:v{v}@sha256:{n:064x}" for n, v in enumerate((OLD, NEW))}
CONFIG_MAP = ("v1", "ConfigMap")
DECLARED = ObjectRef("v1", "ConfigMap", "talos-ring-0", SPACE)


class Upgrading(Mover):
    """What a story does with a node and its machine."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        self.specs = {name: EVERY[name] for name in ("talos", "nvidia-driver")}
        self.limits = replace(LIMITS, apply=20.0, operand_age=3.0, node_unreachable=3.0)

    async def declared(self, version: str) -> None:
        """As Argo CD would have brought it."""
        data = {"talos": version, "image": IMAGES[version]}
        await self.stage.client.patch(CONFIG_MAP, DECLARED.name, {"data": data}, SPACE)

    async def take(self, version: str) -> Report:
        await self.declared(version)
        moves = (Moving("talos", "", version, EVERY["talos"], DECLARED),)
        return await self._each(self.task(moves), node_work._apply)

    async def comes(self, version: str) -> Mark:
        report = await self.take(version)
        assert report.done == [NODE], report.failed
        return Mark(**report.seen[NODE]["marks"]["talos"])

    async def struck(self, fault: str) -> Report:
        """The new version is asked for while that is on."""
        await self.stage.client.create(to_config_map(make(fault, NODE, {"version": NEW})))
        await self.stage.until(fault, lambda: self.stage.twin.faults.active(fault, NODE, NEW))
        report = await self.take(NEW)
        assert [e for e in self.stage.events("fault-hit", NODE) if e["fault"] == fault], "it never hit"
        await self.stage.client.delete(CONFIG_MAP, f"{fault}-{NODE}", "twin-system")
        await self.stage.until("its end", lambda: not self.stage.twin.faults.active(fault, NODE, NEW))
        return report

    @property
    def boot(self) -> str:
        return self.stage.twin.world.machines[NODE].boot_id

    def runs(self) -> list[str]:
        """What its machine came to run, by the twin's books."""
        return [e["version"] for e in self.stage.events("talos-runs", NODE)]


def tell(folder: Path, patch: pytest.MonkeyPatch, story: Callable[[Upgrading], Awaitable[None]]) -> None:
    seed = {"talos": {"version": OLD, "images": {image: version for version, image in IMAGES.items()}}}

    async def run() -> None:
        async with raised(folder, change=seed) as stage:
            at = stage.state / "talos"
            patch.setenv("PATH", f"{at / 'bin'}:/usr/bin:/bin")
            patch.setenv("TALOSCONFIG", str(at / "talosconfig"))
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                where = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                where["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.at_rest(NODE, DRIVER)
            metadata = {"name": DECLARED.name, "namespace": SPACE}
            await stage.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
            await story(Upgrading(stage, folder))

    asyncio.run(run())


def test_talos_comes_with_a_boot_and_goes_back_with_another_and_no_fault_is_an_arrival(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Upgrading) -> None:
        before = await desk.claim()
        assert before["versions"]["talos"] == OLD
        assert before["marks"]["talos"] == before["marks"]["nvidia-driver"] | {"version": OLD}
        boot = desk.boot
        came = await desk.comes(NEW)
        assert (came.version, came.boot_id) == (NEW, desk.boot)
        assert desk.boot != boot
        assert desk.stage.node(NODE)["spec"]["unschedulable"], "it is ours all the time"
        (asked,) = desk.stage.events("talos-asked", NODE)
        assert (asked["image"], asked["drain"], asked["wait"]) == (IMAGES[NEW], "false", "false")
        assert (await desk.comes(NEW)) == came, "found, not asked again"
        assert (await desk.comes(OLD)).boot_id == desk.boot != came.boot_id
        assert desk.runs() == [NEW, OLD]
        assert "knowngood.dev/flash" not in desk.stage.node(NODE)["metadata"]["annotations"]
        await what_goes_wrong_is_no_arrival(desk)

    tell(tmp_path, monkeypatch, story)


async def what_goes_wrong_is_no_arrival(desk: Upgrading) -> None:
    """And then it comes, or goes back."""
    for fault, words in (
        ("talos-installer-refuses", "its Talos refuses talos"),
        ("talos-rolls-back", f"took {NEW}, and it runs {OLD}: it went back by itself"),
        ("talos-image-without-driver", "its driver did not come with the boot"),
    ):
        report = await desk.struck(fault)
        assert words in report.failed[NODE], report.failed
        assert report.could_not == [], "it was measured"
        assert (await desk.comes(OLD)).version == OLD, "and the way back is there"
    silent = await desk.struck("talos-does-not-answer")
    assert "its Talos can't be read" in silent.failed[NODE]
    assert silent.could_not == [NODE], "nothing was asked"
    hangs = await desk.struck("talosctl-hangs")
    assert hangs.done == [NODE], hangs.failed
    await desk.comes(OLD)
    gone = await desk.struck("talos-does-not-come-back")
    assert "not Ready" in gone.failed[NODE]
    assert gone.could_not == []
