"""A machine whose BMC can be asked by Redfish over TLS on loopback, and a cluster in a dictionary that has its node."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE, NODE_PATH, OLD, banner, machine, task

from knowngood.adapters.movers import redfish
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import Task
from knowngood.model.bmcs import Bmcs, FirmwareImage
from knowngood.model.matrix import Limits
from knowngood.model.mover import Firmware, MoverSpec, Moving, Words
from knowngood.twin.api.tls import new_authority
from knowngood.twin.bmc import Bmc
from knowngood.twin.redfish_service import RedfishService

USER = "runner:s3cret-w0rd"
BIOS, NEW_BIOS = "2.6.3", "2.7.4"
BMC, NEW_BMC = "7.20.30.50", "7.20.60.50"
SPECS = {
    "bios": MoverSpec("redfish", firmware=Firmware.SYSTEM, users=("all",), words=Words("BIOS", "", "")),
    "bmc": MoverSpec("redfish", firmware=Firmware.MANAGER, users=("all",), words=Words("BMC", "", "")),
}
QUICK = Limits(claim=0.4, apply=6.0, operand_age=0.5, node_unreachable=0.5)


def image(part: str, version: str) -> bytes:
    return json.dumps({"part": part, "version": version}).encode()


def named(part: str, version: str) -> str:
    return f"{part}-{version}.bin"


IMAGES = {
    named(part, version): image(part, version)
    for part, versions in {"bios": (BIOS, NEW_BIOS), "bmc": (BMC, NEW_BMC)}.items()
    for version in versions
}


@dataclass
class Served:
    """A service that runs: where it is, and by which authority it is proven."""

    url: str
    ca: str
    service: RedfishService
    loop: asyncio.AbstractEventLoop

    def bmcs(self, at: str = "", **more: Any) -> Bmcs:
        """As a cluster file names them."""
        images = {
            part: {
                version: FirmwareImage(
                    f"{self.url}/images/{named(part, version)}",
                    hashlib.sha256(image(part, version)).hexdigest(),
                )
                for version in versions
            }
            for part, versions in {"bios": (BIOS, NEW_BIOS), "bmc": (BMC, NEW_BMC)}.items()
        }
        return Bmcs(f"{self.url}{at}", "env:KNOWNGOOD_BMC", self.ca, images=images, **more)

    def does(self, work: Callable[[], Any]) -> Any:
        """Do something where the service lives."""

        async def done() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(5)


@contextmanager
def serving(folder: Path, bmcs: Mapping[str, Bmc]) -> Iterator[Served]:
    """Serve these BMCs as long as the block lasts, in a thread of its own."""
    authority = new_authority(folder)
    ca = folder / "ca.pem"
    ca.write_bytes(authority.certificate)
    service = RedfishService(bmcs, USER, dict(IMAGES))
    loop, up = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def start() -> web.AppRunner:
        runner = web.AppRunner(service.application(), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context)
        await site.start()
        ports.append(runner.addresses[0][1])
        return runner

    def live() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        up.set()
        loop.run_forever()
        for bmc in bmcs.values():
            bmc.stop()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield Served(f"https://127.0.0.1:{ports[0]}", str(ca), service, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@dataclass
class Desk:
    """The machine: its BMC, its node, and what is switched on that goes wrong (`faults`, each so many times)."""

    bmc: Bmc
    served: Served
    kube: FakeKube
    faults: dict[str, int] = field(default_factory=dict)
    boots: int = 0
    bmcs: Bmcs = field(default_factory=Bmcs)
    limits: Limits = QUICK

    def task(self, **more: Any) -> Task:
        values: dict[str, Any] = {"limits": self.limits, "bmcs": self.bmcs, "machines": (NODE,), **more}
        return task(self.kube, specs=SPECS, **values)

    def bring(self, component: str, version: str, **more: Any) -> Arrived:
        """What a playbook's role has done on the node, once."""
        moving = Moving(component, "", version, SPECS[component])
        return redfish.apply(self.task(**more), NODE, Turn((moving,), ends_at=1e12))

    @property
    def note(self) -> dict[str, Any] | None:
        """What is written on the node of a flash."""
        text = self.kube.objects[NODE_PATH]["metadata"]["annotations"].get("knowngood.dev/flash")
        return json.loads(text) if text else None

    def lease(self) -> list[tuple[str, int]]:
        """Who holds the Leases of flashes, and for how long."""
        found = [obj for where, obj in self.kube.objects.items() if "/leases/knowngood-flash-" in where]
        return [(o["spec"].get("holderIdentity", ""), o["spec"]["leaseDurationSeconds"]) for o in found]

    async def boot(self, _cause: str) -> None:
        """The host boots: the node is away, then there with a new boot and its driver loaded."""
        self.boots += 1
        boot = uuid.UUID(int=self.boots)
        self._node(boot, ready=False)
        await asyncio.sleep(0.06)
        self.bmc.booted()
        self.kube.journals[NODE] = banner(OLD, 12.5, boot.hex)
        self._node(boot, ready=True)

    def _node(self, boot: uuid.UUID, *, ready: bool) -> None:
        obj = self.kube.objects[NODE_PATH]
        obj["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
        if ready:
            obj["status"]["nodeInfo"] = {"bootID": str(boot)}
        self.kube.put(NODE_PATH, obj)

    def struck(self, name: str, _version: str) -> bool:
        """A fault that is on, as often as it is to come."""
        left = self.faults.get(name, 0)
        if left:
            self.faults[name] = left - 1
        return left > 0


async def _soon(seconds: float) -> None:
    await asyncio.sleep(seconds / 2000)


@contextmanager
def flashing(
    folder: Path, dialect: str, others: Mapping[str, Bmc] | None = None, at: str = ""
) -> Iterator[Desk]:
    """A claimed node and its BMC. `others`: further BMCs by name, then this one is below its node's name."""
    kube = FakeKube()
    machine(kube)
    kube.put("/api/v1/namespaces/knowngood", {})
    bmc = Bmc(dialect, {"bios": BIOS, "bmc": BMC}, boots=_nowhere, sleep=_soon)
    named_at = {NODE: bmc, **others} if others else {"": bmc}
    with serving(folder, named_at) as served:
        desk = Desk(bmc, served, kube)
        desk.bmcs = served.bmcs("/{node}" if others else at)
        bmc.boots, bmc.struck = desk.boot, desk.struck
        desk._node(uuid.UUID(int=0), ready=True)
        claiming.claim(replace(desk.task(), specs={}), NODE)
        yield desk


async def _nowhere(_cause: str) -> None:
    raise AssertionError("no host")
