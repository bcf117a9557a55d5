"""Kubelets at the addresses that the nodes name, for an API server in whose process nobody answers for the nodes."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp

from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.kubelet import (
    ContainerNotFoundError,
    ExecResult,
    KubeletBackend,
    NodeUnreachableError,
)
from knowngood.twin.api.streams import ERROR, PROTOCOLS, STDERR, STDIN, STDOUT
from knowngood.twin.values import Object

_PREFERRED = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")
_NOTHING_THERE = (301, 302, 404)
"""What a file server says of a folder, which sends on to its listing, and of what is not there."""
_KILLED = 137
_TIMEOUT_S = 30.0


class RemoteKubelets(KubeletBackend):
    """Asks each node's kubelet over HTTPS, with the API server's own certificate."""

    def __init__(self, cluster: Cluster, context: ssl.SSLContext) -> None:
        self._cluster = cluster
        self._context = context

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run argv in the container to its end and return what it wrote."""
        query = [("command", word) for word in argv] + [("output", "1"), ("error", "1")]
        query += [("input", "1")] if stdin is not None else []
        url = f"{self._of_pod(namespace, pod)}/exec/{namespace}/{pod}/{container}"
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(
                    url, params=query, ssl=self._context, protocols=PROTOCOLS[1:], max_msg_size=0
                ) as socket,
            ):
                if stdin is not None:
                    await socket.send_bytes(bytes([STDIN]) + stdin)
                streams = {STDOUT: b"", STDERR: b"", ERROR: b""}
                async for message in socket:
                    streams[message.data[0]] += message.data[1:]
        except aiohttp.ClientError as error:
            raise NodeUnreachableError(str(error)) from error
        return ExecResult(streams[STDOUT], streams[STDERR], _code(json.loads(streams[ERROR] or b"{}")))

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """Return the container's log as chunks."""
        query = {"follow": "true"} if follow else {}
        query |= {} if tail is None else {"tailLines": str(tail)}
        url = f"{self._of_pod(namespace, pod)}/containerLogs/{namespace}/{pod}/{container}"
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S))
        try:
            answer = await session.get(url, params=query, ssl=self._context)
        except aiohttp.ClientError as error:
            await session.close()
            raise NodeUnreachableError(str(error)) from error
        if answer.status >= 400:
            text = await answer.text()
            await session.close()
            raise ContainerNotFoundError(text)
        return _chunks(session, answer)

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes | None:
        """Answer GET /api/v1/nodes/<node>/proxy/logs/journal."""
        return await self._log(f"{self._of_node(node)}/logs/journal", query)

    async def log_file(self, node: str, name: str) -> bytes | None:
        """Answer GET /api/v1/nodes/<node>/proxy/logs/<name>."""
        return await self._log(f"{self._of_node(node)}/logs/{name}", {})

    async def _log(self, url: str, query: Mapping[str, str]) -> bytes | None:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
                session.get(url, params=query, ssl=self._context, allow_redirects=False) as answer,
            ):
                if answer.status in _NOTHING_THERE:
                    return None
                if answer.status != 200:
                    raise NodeUnreachableError(f"the kubelet answers {answer.status}")
                return await answer.read()
        except aiohttp.ClientError as error:
            raise NodeUnreachableError(str(error)) from error

    def _of_pod(self, namespace: str, pod: str) -> str:
        found = self._cluster.store.get("/pods", namespace, pod)
        return self._of_node(found.obj["spec"].get("nodeName", "") if found else "")

    def _of_node(self, name: str) -> str:
        """Where the node's kubelet listens: the address that API servers prefer, the port that it names."""
        found = self._cluster.store.get("/nodes", "", name)
        status = (found.obj.get("status") or {}) if found else {}
        addresses = {one["type"]: one["address"] for one in status.get("addresses") or ()}
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
        for kind in _PREFERRED:
            if port and kind in addresses:
                return f"https://{addresses[kind]}:{port}"
        raise NodeUnreachableError(
            f"no preferred addresses found; known addresses: {list(addresses.values())}"
        )


async def _chunks(session: aiohttp.ClientSession, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    finally:
        answer.close()
        await session.close()


def _code(status: Object) -> int:
    """The exit code that a Status tells."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise NodeUnreachableError(status.get("message", "the connection broke"))
