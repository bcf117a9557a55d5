"""The behaviours' client where the API server is in the same process, as it is unless they run on another cluster.

Half of a large twin's time and a third of its memory went into sockets and JSON between the two. All else is as
through a socket: the server's rules, its audit, events that come later than the write's answer, requests that fail
and watches that break while the API is out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp

from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.server import ApiServer
from knowngood.twin.client import Client, ClientError, Event, Target, query_of
from knowngood.twin.values import Object


class LocalClient(Client):
    """Objects it returns are the server's own: never change one."""

    def __init__(self, server: ApiServer, user: str) -> None:
        super().__init__("", tls=False, headers={})
        self._server_here = server
        self._direct = server.direct(user)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request; others come in between, as on the way through a socket."""
        await asyncio.sleep(0)
        self._must_answer()
        try:
            return self._direct.answer(method, path, query or {}, body, content_type)
        except ApiError as error:
            raise ClientError(error.code, error.status(), f"{method} {path}") from None

    async def watch(
        self,
        target: Target,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        seconds: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield changes until the API is out; `seconds` are not kept."""
        path = (await self.resolve(target)).path(namespace)
        self._must_answer()
        query = query_of(resourceVersion=resource_version, labelSelector=labels, fieldSelector=fields)
        watch, done = self._direct.watch(path, query)
        try:
            async with contextlib.aclosing(watch.events()) as events:
                async for kind, stored in events:
                    yield kind, stored.obj
        except ApiError as error:
            raise ClientError(error.code, error.status(), f"watch {path}") from None
        finally:
            done()

    def _must_answer(self) -> None:
        if self._server_here.outage:
            raise aiohttp.ClientConnectionError("the API server is out")
