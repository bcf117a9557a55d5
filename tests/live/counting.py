"""A proxy before an API server, which counts the refusals that went through it.

It takes the TLS off and puts it on again, and looks at nothing but status lines: whatever else a client and an API
server say to each other goes by unread.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from knowngood.twin.api.tls import LOOPBACK, new_authority

REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")
CHUNK = 64 * 1024
START_S = 10.0


@dataclass
class Counted:
    """What went through: statuses with how often, and what was asked where the answer was 403."""

    kubeconfig: Path
    answers: dict[int, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class _Proxy:
    def __init__(self, cluster: dict[str, Any], counted: Counted) -> None:
        address = urlsplit(cluster["server"])
        self._host, self._port = address.hostname or "", address.port or 443
        self._context = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
        if data := cluster.get("certificate-authority-data"):
            self._context.load_verify_locations(cadata=base64.b64decode(data).decode())
        self._name = cluster.get("tls-server-name") or self._host
        self._counted = counted

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        up_reader, up_writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._context, server_hostname=self._name
        )
        asked = [""]

        def note_request(data: bytes) -> None:
            if match := REQUEST.match(data):
                asked[0] = f"{match[1].decode()} {match[2].decode()}"

        def note_answer(data: bytes) -> None:
            if match := ANSWER.match(data):
                status = int(match[1])
                self._counted.answers[status] = self._counted.answers.get(status, 0) + 1
                if status == 403:
                    self._counted.refused.append(asked[0])

        pumps = [
            asyncio.create_task(_pump(reader, up_writer, note_request)),
            asyncio.create_task(_pump(up_reader, writer, note_answer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
        up_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Any) -> None:
    """Carry bytes one way. Clients wait for an answer before they ask again, so a head begins a piece."""
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(CHUNK):
            note(data)
            writer.write(data)
            await writer.drain()


@contextmanager
def counting(kubeconfig: Path, folder: Path) -> Iterator[Counted]:
    """A kubeconfig like the given one, whose API server is reached through a proxy in a thread of its own."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = next(c for c in config["contexts"] if c["name"] == config["current-context"])["context"]
    cluster = next(c for c in config["clusters"] if c["name"] == context["cluster"])["cluster"]
    counted = Counted(folder / "counted.kubeconfig")
    proxy = _Proxy(dict(cluster), counted)
    authority = new_authority(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(proxy.serve, LOOPBACK, 0, ssl=authority.context)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(START_S)
    cluster.clear()
    cluster["server"] = f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    cluster["certificate-authority-data"] = base64.b64encode(authority.certificate).decode()
    counted.kubeconfig.touch(mode=0o600)
    counted.kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield counted
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(START_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_S)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
