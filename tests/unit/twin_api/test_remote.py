"""What a kubelet elsewhere answers for its log folder: text, nothing there, or no answer at all."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.kubelet import NodeUnreachableError
from knowngood.twin.api.remote import RemoteKubelets


class Kubelets(RemoteKubelets):
    """All at one address."""

    def __init__(self, address: str) -> None:
        super().__init__(Cluster.__new__(Cluster), ssl.create_default_context())
        self._address = address

    def _of_node(self, name: str) -> str:
        return self._address


async def answered(status: int) -> bytes | None:
    async def log(_request: web.Request) -> web.Response:
        headers = {"Location": "journal/"} if status in (301, 302) else {}
        return web.Response(status=status, text="a line", headers=headers)

    app = web.Application()
    app.router.add_get("/logs/journal", log)
    async with TestServer(app) as server:
        return await Kubelets(str(server.make_url("")).rstrip("/")).journal("gpu-1", {})


@pytest.mark.parametrize(("status", "told"), [(200, b"a line"), (301, None), (404, None)])
def test_a_folder_and_a_missing_file_are_nothing_there(status: int, told: bytes | None) -> None:
    assert asyncio.run(answered(status)) == told


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_who_does_not_answer_has_not_said_that_there_is_none(status: int) -> None:
    with pytest.raises(NodeUnreachableError, match=str(status)):
        asyncio.run(answered(status))
