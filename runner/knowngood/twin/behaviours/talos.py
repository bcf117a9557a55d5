"""The machines' Talos, as a talosctl of ours asks it: what it runs, and to take an image, which comes by a boot.

Who may ask is in a talosconfig, below the state folder in talos/, beside the talosctl that reads it (stand_ins/
talosctl.py); real ones would find no endpoint there that speaks their protocol. An upgrade is a stream of lines that
ends before the boot does, as LifecycleService's (siderolabs/talos cmd/talosctl/cmd/talos/upgrade.go).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import shlex
import sys
from pathlib import Path

from aiohttp import web

from knowngood.twin.api.tls import new_authority
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.faults import NAMESPACE, TALOS
from knowngood.twin.objects import talos_release
from knowngood.twin.stand_ins import talosctl
from knowngood.twin.world import Machine, Staged

TAKES_S, POST_S = 60.0, 240.0
"""Seconds of the cluster's time: to pull and write an image, and to come through the firmware."""
FOREVER_S = 1e9
REFUSAL = "upgrade failed with exit code 1"


class TalosMachines(Controller):
    """Each machine has one; a node of another kind (virtual) answers nobody."""

    name = "talos"

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        if twin.seed.talos is None:
            raise ValueError("this seed has no Talos")
        self._seed = twin.seed.talos
        self._secret = secrets.token_hex(16)
        self._runs = dict.fromkeys(twin.world.machines, self._seed.version)
        self._busy: set[str] = set()

    async def start(self) -> None:
        """Serve, and leave the program and who may ask."""
        folder = self.twin.world.folder / TALOS
        authority = new_authority(folder)
        application = web.Application()
        application.add_routes(
            [
                web.get("/version", self._version),
                web.get("/boot", self._boot_id),
                web.post("/upgrade", self._upgrade),
            ]
        )
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.context).start()
        context = {
            "endpoints": [f"127.0.0.1:{runner.addresses[0][1]}"],
            "ca": base64.b64encode(authority.certificate).decode(),
            "key": base64.b64encode(self._secret.encode()).decode(),
        }
        config = folder / "talosconfig"
        config.touch(0o600)
        config.write_text(json.dumps({"context": "twin", "contexts": {"twin": context}}), encoding="utf-8")
        program = folder / "bin" / "talosctl"
        program.parent.mkdir(exist_ok=True)
        command = shlex.join([sys.executable, "-I", "-S", str(Path(talosctl.__file__).resolve())])
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        metadata = {"name": TALOS, "namespace": NAMESPACE}
        told = {"talosconfig": str(config), "program": str(program)}
        await self.api.ensure({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": told})
        self.twin.spawn(self._until_the_end(runner), TALOS)

    async def _until_the_end(self, runner: web.AppRunner) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with contextlib.suppress(Exception):
                await runner.cleanup()

    def _machine(self, request: web.Request) -> Machine:
        """Whom it is about, by its address. 401, 502: nobody to be asked."""
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            raise web.HTTPUnauthorized(text="rpc error: code = Unauthenticated")
        address = request.query.get("node", "")
        for name, machine in self.twin.world.machines.items():
            if (
                self.twin.host_ip(name) == address
                and machine.up
                and not self._struck("talos-does-not-answer", name)
            ):
                return machine
        raise web.HTTPBadGateway(
            text=f"rpc error: code = Unavailable desc = dial {address}: connection refused"
        )

    async def _version(self, request: web.Request) -> web.Response:
        return web.Response(text=self._runs[self._machine(request).name])

    async def _boot_id(self, request: web.Request) -> web.Response:
        return web.Response(text=self._machine(request).boot_id)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        machine, asked = self._machine(request), await request.json()
        name, version = machine.name, self._seed.images.get(asked["image"], "")
        self.twin.events.write("talos-asked", name, **asked)
        if not version:
            raise web.HTTPNotFound(text="error pulling upgrade image: rpc error: code = NotFound")
        if name in self._busy:
            raise web.HTTPConflict(
                text="error during upgrade: rpc error: code = FailedPrecondition desc = locked"
            )
        self._busy.add(name)
        work = asyncio.ensure_future(self._take(machine, version))
        self.twin.spawn(self._at_work(name, work), f"talos upgrade of {name}")
        answer = web.StreamResponse()
        await answer.prepare(request)
        refused = await asyncio.shield(work)
        if not refused:
            self.twin.spawn(self._boot(machine, version), f"talos boot of {name}")
            if self._struck("talosctl-hangs", name, version):
                await asyncio.Event().wait()
        await answer.write(f"{refused or 'upgrade completed'}\n".encode())
        return answer

    async def _at_work(self, name: str, work: asyncio.Future[str]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            if await work:
                self._busy.discard(name)

    async def _take(self, machine: Machine, version: str) -> str:
        """Pull and write it, also where nobody listens any more; why not, "" where it will boot into it."""
        await self.twin.clock.sleep(TAKES_S)
        if self._struck("talos-installer-refuses", machine.name, version):
            return REFUSAL
        self.twin.events.write("talos-written", machine.name, version=version)
        return ""

    async def _boot(self, machine: Machine, version: str) -> None:
        name = machine.name
        if self._struck("talos-does-not-come-back", name, version):
            await self.twin.reboot(name, "talos upgrade", FOREVER_S)
        if self._struck("talos-rolls-back", name, version):
            version = self._runs[name]
        machine.stage(Staged("", "", talos_release(version)))
        try:
            await self.twin.reboot(name, "talos upgrade", POST_S)
        finally:
            self._busy.discard(name)
        self._runs[name] = version
        self.twin.events.write("talos-runs", name, version=version)

    def _struck(self, fault: str, node: str, version: str = "") -> bool:
        found = self.twin.faults.active(fault, node, version)
        if found is not None:
            self.twin.faults.hit(found, version=version)
        return found is not None
