"""The kubelets' own ports, for `twin up --on --kubelet-address`: what an API server asks nodes for, and no more.

Each node has a port of its own on the given address. Only who carries a certificate that the cluster's API server
vouches for is answered.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Iterable
from pathlib import Path

from aiohttp import web

from knowngood.twin.api.errors import ApiError, bad_request, no_such_path
from knowngood.twin.api.kubelet import (
    ContainerNotFoundError,
    ExecResult,
    KubeletBackend,
    NodeUnreachableError,
)
from knowngood.twin.api.requests import flag, number
from knowngood.twin.api.streams import converse, node_log
from knowngood.twin.api.tls import new_authority

SHUTDOWN_S = 1.0


class KubeletServer:
    """Serves all nodes' kubelets. `kubelet` answers for them; until it is set nobody does."""

    def __init__(self, address: str, client_authority: str, folder: Path) -> None:
        self.kubelet: KubeletBackend | None = None
        self.ports: dict[str, int] = {}  # node -> port
        self._address = address
        self._context = new_authority(folder, address).context
        self._context.load_verify_locations(cadata=client_authority)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None), shutdown_timeout=SHUTDOWN_S
        )

    async def start(self, nodes: Iterable[str]) -> None:
        """Listen, on a free port a node."""
        await self._runner.setup()
        for node in nodes:
            site = web.TCPSite(self._runner, self._address, 0, ssl_context=self._context)
            await site.start()
            self.ports[node] = self._runner.addresses[-1][1]

    async def stop(self) -> None:
        """Close all ports."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None  # noqa: S101 (it was read from one)
        port = request.transport.get_extra_info("sockname")[1]
        node = next(name for name, known in self.ports.items() if known == port)
        try:
            return await self._route(node, request)
        except ApiError as error:
            return web.Response(status=error.code, text=error.message)
        except ContainerNotFoundError as error:
            return web.Response(status=404, text=str(error))
        except NodeUnreachableError as error:
            # A machine that is down answers nobody; its port is still ours, so the connection is cut instead.
            request.transport.abort()
            return web.Response(status=503, text=str(error))

    async def _route(self, node: str, request: web.BaseRequest) -> web.StreamResponse:
        backend = self.kubelet
        parts = [part for part in request.path.split("/") if part]
        if backend is None:
            raise NodeUnreachableError("not up yet")
        match parts:
            case ["healthz"]:
                return web.Response(text="ok")
            case ["logs", name]:
                return await node_log(backend, node, name, dict(request.query))
            case ["containerLogs", namespace, pod, container]:
                return await _logs(request, backend, namespace, pod, container)
            case ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container]:
                return await _exec(request, backend, namespace, pod, container)
        raise no_such_path()


async def _logs(
    request: web.BaseRequest, backend: KubeletBackend, namespace: str, pod: str, container: str
) -> web.StreamResponse:
    follow, tail = flag(request.query, "follow"), number(request.query, "tailLines")
    chunks = await backend.logs(namespace, pod, container, follow, tail)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def _exec(
    request: web.BaseRequest, backend: KubeletBackend, namespace: str, pod: str, container: str
) -> web.StreamResponse:
    argv = request.query.getall("command", [])
    if not argv:
        raise bad_request("you must specify at least 1 command for the container")

    def run(stdin: bytes | None) -> Awaitable[ExecResult]:
        return backend.exec(namespace, pod, container, argv, stdin)

    asked = [flag(request.query, name) for name in ("input", "output", "error")]
    return await converse(request, run, *asked)
