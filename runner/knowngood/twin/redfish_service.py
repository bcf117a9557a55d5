"""The Redfish service of BMCs over HTTP: DMTF's resources, and an iDRAC's beside them (DSP0266, DSP2046).

Basic authentication and sessions; images lie below /images, where the tests put them. A BMC that is away cuts the
connection, as one that starts anew does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from knowngood.twin.bmc import DELL, Bmc
from knowngood.twin.redfish_resources import ROOT, TYPES, allowed, metadata, resources
from knowngood.twin.values import Object

MOST_BYTES = 8 << 20
SESSIONS = f"{ROOT}/SessionService/Sessions"


@dataclass
class RedfishService:
    """Serves BMCs by name below /NAME/redfish/v1, the one named "" at /redfish/v1. `user`: NAME:PASSWORD."""

    bmcs: Mapping[str, Bmc]
    user: str
    images: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def application(self) -> web.Application:
        """What a server runs."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/images/{name}", self._image)
        app.router.add_route("*", "/redfish{link:.*}", self._answer)
        app.router.add_route("*", "/{bmc}/redfish{link:.*}", self._answer)
        return app

    async def _image(self, request: web.Request) -> web.Response:
        found = self.images.get(request.match_info["name"])
        return web.Response(status=404) if found is None else web.Response(body=found)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        bmc = self.bmcs.get(request.match_info.get("bmc", ""))
        link = f"/redfish{request.match_info['link']}".rstrip("/")
        if bmc is None:
            return web.Response(status=404)
        if bmc.away:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        self.asked.append((request.method, link))
        if bmc.refusing:
            return _error(bmc.refusing, "The service is starting.")
        if link == "/redfish":
            return _json({"v1": f"{ROOT}/"})
        if link in {f"{ROOT}/$metadata", f"{ROOT}/odata"}:
            return metadata(link, bmc)
        if link != ROOT and (request.method, link) != ("POST", SESSIONS) and not self._known(bmc, request):
            return _error(401, "Unauthorized")
        takes = allowed(bmc, link)
        answer = await self._taking(bmc, link, request, takes)
        answer.headers["Allow"] = ", ".join(takes)
        return answer

    async def _taking(
        self, bmc: Bmc, link: str, request: web.Request, takes: tuple[str, ...]
    ) -> web.Response:
        if not takes:
            return _error(404, f"There is no resource {link}.")
        if request.method not in takes:
            return _error(405, f"{request.method} is not allowed here.")
        if request.method == "DELETE":
            return self._delete(bmc, link)
        if request.method == "POST":
            return await self._post(bmc, link, request)
        return self._get(bmc, link, request)

    def _known(self, bmc: Bmc, request: web.Request) -> bool:
        login = "Basic " + base64.b64encode(self.user.encode()).decode()
        said, token = (request.headers.get(name, "") for name in ("Authorization", "X-Auth-Token"))
        return secrets.compare_digest(said, login) or token in bmc.sessions.values()

    def _get(self, bmc: Bmc, link: str, request: web.Request) -> web.Response:
        found = resources(bmc)
        task = found.get(link.removesuffix("/Monitor"), {})
        if task.get("TaskMonitor") == link:
            return _monitored(task)
        body = found[link]
        if "$expand" in request.query and "Members" in body:
            body = {**body, "Members": [found[m["@odata.id"]] for m in body["Members"]]}
        return _json(body)

    def _delete(self, bmc: Bmc, link: str) -> web.Response:
        name = link.rpartition("/")[2]
        if link.startswith(f"{SESSIONS}/"):
            del bmc.sessions[name]
            return web.Response(status=204)
        if not bmc.give_up(name):
            return _error(409, f"Job {name} is at work and can't be deleted.")
        return web.Response(status=204)

    async def _post(self, bmc: Bmc, link: str, request: web.Request) -> web.Response:
        if link == SESSIONS:
            return self._session(bmc, await request.json())
        if link == f"{ROOT}/UpdateService/upload":
            return self._taken(bmc, *await _parts(request))
        said = await request.json()
        if link.endswith("/UpdateService.SimpleUpdate"):
            name = str(said.get("ImageURI", "")).rpartition("/")[2]
            return self._taken(bmc, self.images.get(name), str(said.get("@Redfish.OperationApplyTime", "")))
        kind = str(said.get("ResetType", ""))
        of_host = link.endswith("/ComputerSystem.Reset")
        return self._reset(bmc.reset_host(kind) if of_host else bmc.reset_self(kind))

    def _reset(self, work: Coroutine[object, object, None]) -> web.Response:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response(status=204)

    def _taken(self, bmc: Bmc, image: bytes | None, when: str) -> web.Response:
        status, message, job = bmc.take(image, when)
        if job is None:
            return _error(status, message)
        where = f"{ROOT}/TaskService/Tasks/{job.name}"
        # An iDRAC tells the job in the header alone.
        body = {} if bmc.dialect == DELL else resources(bmc)[where]
        return _json(body, 202, {"Location": where if bmc.dialect == DELL else f"{where}/Monitor"})

    def _session(self, bmc: Bmc, said: Mapping[str, str]) -> web.Response:
        if f"{said.get('UserName')}:{said.get('Password')}" != self.user:
            return _error(401, "Unauthorized")
        name, token = secrets.token_hex(4), secrets.token_hex(16)
        bmc.sessions[name] = token
        where = f"{SESSIONS}/{name}"
        return _json(resources(bmc)[where], 201, {"X-Auth-Token": token, "Location": where})


def _monitored(task: Object) -> web.Response:
    """What a task's monitor answers: 202 as long as it goes on, then what the request would have got (DSP0266)."""
    if task["TaskState"] == "Exception":
        return _error(400, task["Messages"][0]["Message"])
    if task["TaskState"] == "Completed":
        return web.Response(status=204)
    return _json(task, 202, {"Location": str(task["TaskMonitor"])})


async def _parts(request: web.Request) -> tuple[bytes, str]:
    """The image and the apply time of a push by multipart."""
    image, when = b"", ""
    async for part in await request.multipart():
        name, data = getattr(part, "name", ""), bytes(await part.read())  # type: ignore[union-attr]
        if name == "UpdateParameters":
            when = str(json.loads(data).get("@Redfish.OperationApplyTime", ""))
        elif name == "UpdateFile":
            image = data
    return image, when


def _json(body: Object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    more = {"OData-Version": "4.0", "Cache-Control": "no-cache", **(headers or {})}
    return web.json_response(body, status=status, headers=more)


def _error(status: int, message: str) -> web.Response:
    told = {
        "@odata.type": TYPES["Message"],
        "MessageId": "Base.1.18.GeneralError",
        "Message": message,
    }
    error = {"code": "Base.1.18.GeneralError", "message": message, "@Message.ExtendedInfo": [told]}
    return _json({"error": error}, status)
