"""A BMC's Redfish service over TLS on loopback, for tests: plain resources by path, read with NAME:PASSWORD."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from knowngood.twin.api.tls import new_authority

USER, WORD = "reader", "s3cret-w0rd"
ROOT = "/redfish/v1"
Resources = dict[str, dict[str, Any]]


def link(path: str) -> dict[str, str]:
    return {"@odata.id": f"{ROOT}{path}"}


def collection(*paths: str) -> dict[str, Any]:
    return {"Members": [link(path) for path in paths], "Members@odata.count": len(paths)}


def plain(tasks: Mapping[str, dict[str, Any]] | None = None) -> Resources:
    """As the standard has it: tasks behind Tasks, no queue of jobs, no expansion."""
    found = {name: {"Id": name, **task} for name, task in (tasks or {}).items()}
    return {
        "": {"Systems": link("/Systems"), "Managers": link("/Managers"), "Tasks": link("/TaskService")},
        "/Systems": collection("/Systems/1"),
        "/Systems/1": {"Id": "1", "BiosVersion": "2.6.3"},
        "/Managers": collection("/Managers/bmc", "/Managers/enclosure"),
        "/Managers/bmc": {"Id": "bmc", "ManagerType": "BMC", "FirmwareVersion": "1.11"},
        "/Managers/enclosure": {
            "Id": "enclosure",
            "ManagerType": "EnclosureManager",
            "FirmwareVersion": "9.9",
        },
        "/TaskService": {"Tasks": link("/TaskService/Tasks")},
        "/TaskService/Tasks": collection(*(f"/TaskService/Tasks/{name}" for name in found)),
        **{f"/TaskService/Tasks/{name}": task for name, task in found.items()},
    }


def dell(jobs: Mapping[str, dict[str, Any]] | None = None) -> Resources:
    """As an iDRAC has it: its own queue, which it gives with its members."""
    found = [{"Id": name, **job} for name, job in (jobs or {}).items()]
    idrac = "/Managers/iDRAC.Embedded.1"
    queue = f"{idrac}/Oem/Dell/Jobs"
    return {
        **plain(),
        "": {**plain()[""], "ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True}}},
        "/Managers": {
            "Members": [
                {
                    "Id": "iDRAC.Embedded.1",
                    "FirmwareVersion": "7.20.30.50",
                    "Links": {"Oem": {"Dell": {"Jobs": link(queue)}}},
                }
            ]
        },
        queue: {"Members": found},
    }


@dataclass
class Served:
    """What a service answers: resources below /redfish/v1; `status`: instead of 200. `asked`: the paths, in order."""

    resources: Resources
    ca: str
    url: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(folder: Path, resources: Resources) -> Iterator[Served]:
    """Serve them as long as the block lasts."""
    authority = new_authority(folder)
    ca = folder / "ca.pem"
    ca.write_bytes(authority.certificate)
    found = Served(resources, str(ca))
    login = "Basic " + base64.b64encode(f"{USER}:{WORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            found.asked.append(path)
            body = found.resources.get(path.removeprefix(ROOT))
            known = self.headers.get("Authorization") == login
            status = (
                found.status if found.status != 200 else 401 if not known else 404 if body is None else 200
            )
            if query and status == 200 and body is not None:
                body = {**body, "Members": [self._whole(m) for m in body["Members"]]}
            data = json.dumps(body or {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _whole(self, member: dict[str, Any]) -> dict[str, Any]:
            if "@odata.id" not in member:
                return member
            return found.resources.get(str(member["@odata.id"]).removeprefix(ROOT), member)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = authority.context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    found.url = f"https://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
