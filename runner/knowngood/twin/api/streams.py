"""exec over websockets and logs: the subresources that stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import WSMsgType, web

from knowngood.twin.api.errors import ApiError, bad_request, internal, not_found
from knowngood.twin.api.kubelet import (
    ContainerNotFoundError,
    ExecResult,
    KubeletBackend,
    NodeUnreachableError,
)
from knowngood.twin.api.requests import Target, flag, number
from knowngood.twin.api.store import encode
from knowngood.twin.values import Object

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
# The backend takes stdin as a whole. v5 can tell where it ends, but the Python client seldom does and v4
# can't: then stdin ends when nothing more came for this long.
STDIN_IDLE_S = 0.5
STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255
_FRAME = 32 * 1024


def _container(pod: Object, name: str) -> str:
    """Return the container that is meant; a pod with several needs a name unless it names a default."""
    names = [
        one["name"]
        for group in ("containers", "initContainers", "ephemeralContainers")
        for one in pod["spec"].get(group) or ()
    ]
    if name:
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {pod['metadata']['name']}")
        return name
    regular = [one["name"] for one in pod["spec"]["containers"]]
    if len(regular) > 1:
        listed = " ".join(regular)
        raise bad_request(
            f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: [{listed}]"
        )
    return str(regular[0])


def _check_running(pod: Object, container: str) -> None:
    name = pod["metadata"]["name"]
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {name} does not have a host assigned")
    phase = pod.get("status", {}).get("phase")
    if phase in {"Succeeded", "Failed"}:
        raise internal(f"cannot exec into a container in a completed pod; current phase is {phase}")
    if phase == "Pending":
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start')


async def execute(
    request: web.BaseRequest, target: Target, pod: Object, kubelet: KubeletBackend | None
) -> web.StreamResponse:
    """Run a command in a container; its output, and how it ended, go back over the websocket."""
    if kubelet is None:
        raise internal("error dialing backend: no kubelet answers")
    container = _container(pod, request.query.get("container", ""))
    _check_running(pod, container)
    argv = request.query.getall("command", [])
    if not argv:
        raise bad_request("you must specify at least 1 command for the container")

    def run(stdin: bytes | None) -> Awaitable[ExecResult]:
        return kubelet.exec(target.namespace, target.name, container, argv, stdin)

    asked = [flag(request.query, name) for name in ("stdin", "stdout", "stderr")]
    return await converse(request, run, *asked)


async def converse(
    request: web.BaseRequest,
    run: Callable[[bytes | None], Awaitable[ExecResult]],
    stdin: bool,
    stdout: bool,
    stderr: bool,
) -> web.StreamResponse:
    """Run a command with its streams on a websocket, as API server and kubelet alike do."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise bad_request("Upgrade request required: exec is served over websockets only")
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
    await socket.prepare(request)
    running = asyncio.ensure_future(run(await _read_stdin(socket) if stdin else None))
    listening = asyncio.create_task(_listen(socket))
    await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():  # the client left
        running.cancel()
        await asyncio.wait({running})
        return socket
    listening.cancel()
    await asyncio.wait({listening})
    try:
        result = running.result()
    except (NodeUnreachableError, ContainerNotFoundError) as error:
        await _send(socket, ERROR, encode(internal(f"error dialing backend: {error}").status()))
    else:
        if stdout:
            await _send(socket, STDOUT, result.stdout)
        if stderr:
            await _send(socket, STDERR, result.stderr)
        await _send(socket, ERROR, encode(_exit_status(result.code)))
    await socket.close()
    return socket


async def _listen(socket: web.WebSocketResponse) -> None:
    """Answer the client's pings while the command runs; return when it leaves."""
    while True:
        message = await socket.receive()
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return


async def _send(socket: web.WebSocketResponse, channel: int, data: bytes) -> None:
    for start in range(0, len(data), _FRAME):
        if not socket.closed:
            await socket.send_bytes(bytes([channel]) + data[start : start + _FRAME])


async def _read_stdin(socket: web.WebSocketResponse) -> bytes:
    """Collect stdin. The Python client sends it in text frames."""
    collected = bytearray()
    while True:
        try:
            message = await socket.receive(timeout=STDIN_IDLE_S)
        except TimeoutError:
            return bytes(collected)
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return bytes(collected)
        data = message.data.encode() if isinstance(message.data, str) else message.data
        if data[:2] == bytes([CLOSE, STDIN]):
            return bytes(collected)
        if data[:1] == bytes([STDIN]):
            collected += data[1:]


def _exit_status(code: int) -> Object:
    """Return the Status that tells the exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def logs(
    request: web.BaseRequest, target: Target, pod: Object, kubelet: KubeletBackend | None
) -> web.StreamResponse:
    """Stream a container's log as plain text."""
    if kubelet is None:
        raise internal("no kubelet answers")
    container = _container(pod, request.query.get("container", ""))
    if flag(request.query, "previous"):
        name = pod["metadata"]["name"]
        raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    if not pod["spec"].get("nodeName"):
        raise bad_request(f'container "{container}" in pod "{target.name}" is waiting to start')
    follow, tail = flag(request.query, "follow"), number(request.query, "tailLines")
    try:
        chunks = await kubelet.logs(target.namespace, target.name, container, follow, tail)
    except NodeUnreachableError as error:
        raise internal(f"Get container logs: {error}") from None
    except ContainerNotFoundError as error:
        raise bad_request(str(error)) from None
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def node_proxy(
    request: web.BaseRequest, target: Target, kubelet: KubeletBackend | None
) -> web.StreamResponse:
    """Answer what is asked of a node's /var/log: its journal (OpenShift), and files, through its kubelet."""
    if len(target.rest) != 2 or target.rest[0] != "logs":
        raise not_found("nodes/proxy", "", "/".join(target.rest))
    if kubelet is None:
        raise _unreachable("no kubelet answers")
    try:
        return await node_log(kubelet, target.name, target.rest[1], dict(request.query))
    except NodeUnreachableError as error:
        raise _unreachable(str(error)) from None


async def node_log(
    kubelet: KubeletBackend, node: str, name: str, query: Mapping[str, str]
) -> web.StreamResponse:
    """What a kubelet answers for logs/<name>, as a file server: a folder sends on to its own listing."""
    body = await (kubelet.journal(node, query) if name == "journal" else kubelet.log_file(node, name))
    if body is not None:
        return web.Response(body=body, content_type="text/plain")
    if name == "journal":
        moved = '<a href="journal/">Moved Permanently</a>.\n\n'
        return web.Response(
            status=301, headers={"Location": "journal/"}, text=moved, content_type="text/html"
        )
    return web.Response(status=404, text="404 page not found\n")


def _unreachable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"error trying to reach service: {why}")
