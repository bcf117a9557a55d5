"""The machines' BMCs: one Redfish service for all of them, each below its node's name, with an authority of its own.

What of a BIOS is written comes with the machine's next boot, whoever asks for that. Where they are, and how they are
reached, is written into the state folder, bmcs/bmcs.json, and told in a ConfigMap: a file names the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from functools import partial

from aiohttp import web

from knowngood.twin.api.tls import new_authority
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.bmc import POST_S, Bmc
from knowngood.twin.faults import BMCS, NAMESPACE, Fault
from knowngood.twin.redfish_service import RedfishService
from knowngood.twin.world import Machine

BIOS_FILE = "sys/class/dmi/id/bios_version"


class Bmcs(Controller):
    """Each machine with GPUs has one."""

    name = "bmcs"

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        found = twin.seed.bmcs
        if found is None:
            raise ValueError("this seed has no BMCs")
        self._seed = found
        self.service = RedfishService(
            {m.name: self._made(m) for m in twin.world.machines.values() if m.seed.gpus},
            f"runner:{secrets.token_hex(8)}",
            {name: text.encode() for name, text in found.images.items()},
        )

    async def start(self) -> None:
        """Serve, and say where."""
        self.twin.handlers["foreign-job"] = self._foreign
        self.twin.enders["foreign-job"] = self._withdrawn
        folder = self.twin.world.folder / "bmcs"
        authority = new_authority(folder)
        runner = web.AppRunner(self.service.application(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._seed.port, ssl_context=authority.context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        user, ca = folder / "user", folder / "ca.pem"
        user.touch(0o600)
        user.write_text(self.service.user, encoding="utf-8")
        ca.write_bytes(authority.certificate)
        told = {
            "at": f"{url}/{{node}}",
            "credentials": f"file:{user}",
            "ca": str(ca),
            "images": f"{url}/images",
        }
        (folder / "bmcs.json").write_text(json.dumps(told), encoding="utf-8")
        metadata = {"name": BMCS, "namespace": NAMESPACE}
        await self.api.ensure({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": told})
        self.twin.spawn(self._until_the_end(runner), "bmcs")

    def bmc(self, node: str) -> Bmc:
        """That of a node."""
        return self.service.bmcs[node]

    async def _until_the_end(self, runner: web.AppRunner) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for bmc in self.service.bmcs.values():
                bmc.stop()
            with contextlib.suppress(Exception):
                await runner.cleanup()

    def _made(self, machine: Machine) -> Bmc:
        machine.write(BIOS_FILE, f"{self._seed.bios}\n")
        bmc = Bmc(
            self._seed.dialect,
            {"bios": self._seed.bios, "bmc": self._seed.version},
            boots=partial(self._boot, machine.name),
            sleep=self.twin.clock.sleep,
            struck=partial(self._struck, machine.name),
            changed=partial(self._changed, machine),
        )
        machine.at_boot.append(bmc.booted)
        return bmc

    async def _boot(self, node: str, cause: str) -> None:
        await self.twin.reboot(node, cause, POST_S)

    def _struck(self, node: str, fault: str, version: str) -> bool:
        found = self.twin.faults.active(fault, node, version)
        if found is not None:
            self.twin.faults.hit(found)
        return found is not None

    def _changed(self, machine: Machine, part: str, version: str) -> None:
        if part == "bios":
            machine.write(BIOS_FILE, f"{version}\n")
        self.twin.events.write("firmware-runs", machine.name, part=part, version=version)

    async def _foreign(self, fault: Fault, node: str) -> None:
        self.service.bmcs[node].stage_foreign()
        self.twin.faults.hit(fault)

    async def _withdrawn(self, _fault: Fault, node: str) -> None:
        jobs = self.service.bmcs[node].jobs
        for name in [name for name, job in jobs.items() if not job.part]:
            del jobs[name]
