"""The class redfish on the twin: a claimed node's BMC is flashed over TLS, and what runs is read on node and BMC."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.adapters.node_moves import LIMITS, NODE, TAINTS, Mover, operands, tolerates
from tests.integration.twin.setting import OLD, tolerations
from tests.integration.twin.stage import Stage, raised
from tests.movers import EVERY

from knowngood.adapters.movers import node_work
from knowngood.adapters.nodes.batch import Report
from knowngood.model.bmcs import Bmcs, FirmwareImage
from knowngood.model.mover import Mark, Moving
from knowngood.twin.behaviours.bmcs import BIOS_FILE

pytestmark = pytest.mark.slow

BIOS, NEW_BIOS = "2.6.3", "2.7.4"
BMC, NEW_BMC = "7.20.30.50", "7.20.60.50"
VERSIONS = {"bios": (BIOS, NEW_BIOS), "bmc": (BMC, NEW_BMC)}
NAMES = ("bios", "bmc", "nvidia-driver")


class Flashing(Mover):
    """What a story does with a node and its BMC."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        super().__init__(stage, folder)
        self.specs = {name: EVERY[name] for name in NAMES}
        self.limits = replace(LIMITS, apply=30.0, operand_age=1.5, node_unreachable=4.0)
        told = json.loads((stage.state / "bmcs" / "bmcs.json").read_text())
        self._images = {
            part: {version: _image(told["images"], part, version) for version in versions}
            for part, versions in VERSIONS.items()
        }
        self.bmcs = Bmcs(told["at"], told["credentials"], told["ca"], images=self._images)

    def task(self, moves: tuple[Moving, ...] = ()) -> Any:
        return replace(super().task(moves), bmcs=self.bmcs, machines=(NODE, "gpu-2"))

    async def flash(self, component: str, version: str) -> Report:
        return await self._each(
            self.task((Moving(component, "", version, EVERY[component]),)), node_work._apply
        )

    async def comes(self, component: str, version: str) -> Mark:
        report = await self.flash(component, version)
        assert report.done == [NODE], report.failed
        return Mark(**report.seen[NODE]["marks"][component])

    def runs(self) -> dict[str, str]:
        """By the twin's books."""
        return {e["part"]: e["version"] for e in self.stage.events("firmware-runs", NODE)}

    @property
    def boot(self) -> str:
        return self.stage.twin.world.machines[NODE].boot_id


def _image(at: str, part: str, version: str) -> FirmwareImage:
    return FirmwareImage(
        f"{at}/{part}-{version}.bin", hashlib.sha256(_text(part, version).encode()).hexdigest()
    )


def _text(part: str, version: str) -> str:
    return json.dumps({"part": part, "version": version})


def tell(folder: Path, dialect: str, story: Callable[[Flashing], Awaitable[None]]) -> None:
    images = {f"{p}-{v}.bin": _text(p, v) for p, versions in VERSIONS.items() for v in versions}
    seed = {"bmcs": {"dialect": dialect, "version": BMC, "images": images}}

    async def run() -> None:
        async with raised(folder, change=seed) as stage:
            for file in stage.repository.folder.glob("*.yaml"):
                obj = yaml.safe_load(file.read_text(encoding="utf-8"))
                at = obj["spec"]["daemonsets"] if obj["kind"] == "ClusterPolicy" else obj["spec"]
                at["tolerations"] = tolerations("nvidia.com/gpu", *TAINTS)
                file.write_text(yaml.safe_dump(obj), encoding="utf-8")
            await stage.sync(stage.repository.push("they tolerate our taints"))
            await stage.until("they tolerate our taints", lambda: all(map(tolerates, operands(stage))))
            await stage.at_rest(NODE, OLD)
            await story(Flashing(stage, folder))

    asyncio.run(run())


@pytest.mark.parametrize("dialect", ["dell", pytest.param("dmtf", marks=pytest.mark.exhaustive)])
def test_bios_and_bmc_come_and_go_back_and_the_host_itself_says_so(tmp_path: Path, dialect: str) -> None:
    async def story(desk: Flashing) -> None:
        before = await desk.claim()
        assert (before["versions"]["bios"], before["versions"]["bmc"]) == (BIOS, BMC)
        boot = desk.boot
        bmc = await desk.comes("bmc", NEW_BMC)
        assert (bmc.version, bmc.boot_id) == (NEW_BMC, boot), "the host ran on"
        bios = await desk.comes("bios", NEW_BIOS)
        assert bios.boot_id == desk.boot != boot
        machine = desk.stage.twin.world.machines[NODE]
        assert (desk.runs(), machine.read(BIOS_FILE)) == ({"bmc": NEW_BMC, "bios": NEW_BIOS}, NEW_BIOS)
        assert desk.stage.node(NODE)["spec"]["unschedulable"], "it is ours all the time"
        await desk.comes("bios", BIOS)
        await desk.comes("bmc", BMC)
        assert desk.runs() == {"bios": BIOS, "bmc": BMC}
        assert "knowngood.dev/flash" not in desk.stage.node(NODE)["metadata"]["annotations"]

    tell(tmp_path, dialect, story)


def test_what_goes_wrong_at_a_bmc_is_no_arrival_and_then_it_comes(tmp_path: Path) -> None:
    async def story(desk: Flashing) -> None:
        stage = desk.stage
        await desk.claim()
        await stage.fault("foreign-job", NODE)
        bmcs = desk.stage.twin.world.folder / "bmcs"
        assert bmcs.is_dir()
        await stage.until("a colleague's job", lambda: stage.events("fault-hit", NODE))
        foreign = await desk.flash("bmc", NEW_BMC)
        assert (foreign.could_not, "by a colleague" in foreign.failed[NODE]) == ([NODE], True)
        await stage.clear()
        await stage.until("it is gone", lambda: not stage.twin.faults.uids())
        for fault, component, version, measured in (
            ("bmc-task-exception", "bmc", NEW_BMC, True),
            ("bmc-refuses-downgrade", "bios", NEW_BIOS, True),
            ("job-stuck-at-scheduled", "bios", NEW_BIOS, True),
            ("bios-staged-not-running", "bios", NEW_BIOS, True),
            ("bmc-burned-not-running", "bmc", NEW_BMC, True),
            ("bmc-does-not-come-back", "bmc", NEW_BMC, False),
        ):
            await stage.fault(fault, NODE)
            report = await desk.flash(component, version)
            assert report.failed, fault
            assert (report.could_not == []) is measured, f"{fault}: {report.failed}"
            await stage.clear()
            if measured:
                await desk.comes(component, VERSIONS[component][0])
        assert desk.runs().get("bios", BIOS) == BIOS

    tell(tmp_path, "dell", story)
