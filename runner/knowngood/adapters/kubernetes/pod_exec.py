"""Run a command in a container and read what it prints, over the API server's exec websocket."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import websocket

from knowngood.adapters.kubernetes.client import (
    CONNECTIONS,
    ApiError,
    Busy,
    Kube,
    path,
    refuse,
    refused_certificate,
)
from knowngood.adapters.kubernetes.no_answer import said
from knowngood.model.errors import Unreachable
from knowngood.model.values import Object

PROTOCOL = "v4.channel.k8s.io"
MAX_BYTES = 16 << 20
_FREE = threading.BoundedSemaphore(CONNECTIONS)
_OUT, _ERR, _STATUS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left."""

    stdout: str
    stderr: str
    code: int


def run(
    kube: Kube, namespace: str, pod: str, container: str, argv: Sequence[str], *, timeout: float = 15.0
) -> Ran:
    """Run `argv` (reads only: it is run again if the connection breaks) and return its output.

    ApiError where the pod or its node can't, Unreachable when it takes longer than `timeout` seconds.
    """
    what = f"exec {argv[0]} in {namespace}/{pod}"

    def attempt() -> Ran:
        with _FREE:
            return _once(kube, (namespace, pod, container), argv, timeout, what)

    return kube.patient(attempt, what, busy=0.0)


def _once(kube: Kube, where: tuple[str, str, str], argv: Sequence[str], timeout: float, what: str) -> Ran:
    ends_at = time.monotonic() + timeout
    kube.counted()
    socket = _connect(kube, where, argv, timeout, what)
    channels: dict[int, bytearray] = {_OUT: bytearray(), _ERR: bytearray(), _STATUS: bytearray()}
    try:
        while not channels[_STATUS]:
            left = ends_at - time.monotonic()
            if left <= 0 or sum(map(len, channels.values())) > MAX_BYTES:
                raise Unreachable(f"{what}: no end within {timeout:.0f} s", where=kube.access.server)
            socket.settimeout(left)
            code, frame = socket.recv_data_frame(control_frame=True)
            if code == websocket.ABNF.OPCODE_CLOSE:
                break
            if code in {websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT} and frame.data:
                channels.setdefault(frame.data[0], bytearray()).extend(frame.data[1:])
    except websocket.WebSocketTimeoutException as error:
        raise Unreachable(f"{what}: no end within {timeout:.0f} s", where=kube.access.server) from error
    except (websocket.WebSocketException, OSError) as error:
        raise Busy(said(error)) from error
    finally:
        socket.close(timeout=0)
    kube.counted(0, sum(map(len, channels.values())))
    out, err = (bytes(channels[c]).decode("utf-8", "replace") for c in (_OUT, _ERR))
    return Ran(out, err, _exit_code(bytes(channels[_STATUS]), what))


def _connect(kube: Kube, where: tuple[str, str, str], argv: Sequence[str], timeout: float, what: str) -> Any:
    namespace, pod, container = where
    query = [
        ("container", container),
        ("stdout", "true"),
        ("stderr", "true"),
        *(("command", a) for a in argv),
    ]
    place = path("v1", "pods", pod, namespace, "exec")
    url = f"wss://{kube.access.server.removeprefix('https://')}{place}?{urlencode(query)}"
    options: Object = {"context": kube.tls}
    if kube.access.server_name:
        options["server_hostname"] = kube.access.server_name
    way: Object = {"http_no_proxy": ["*"]}
    if proxy := kube.access.proxy:
        way = {"http_proxy_host": proxy.host, "http_proxy_port": proxy.port, "proxy_type": "http"}
        way |= {"http_proxy_auth": (proxy.user, proxy.password)} if proxy.user else {}
    try:
        return websocket.create_connection(
            url,
            timeout=timeout,
            sslopt=options,
            header=[f"{key}: {value}" for key, value in kube.headers().items() if key != "Accept"],
            subprotocols=[PROTOCOL],
            suppress_origin=True,
            **way,
        )
    except websocket.WebSocketBadStatusException as error:
        refuse(int(error.status_code), error.resp_body or b"", what, who=kube.access.where)
        raise Unreachable(f"{what}: {error.status_code}", where=kube.access.server) from error
    except ssl.SSLError as error:
        raise refused_certificate(kube, error) from error
    except (websocket.WebSocketException, OSError) as error:
        raise Busy(said(error)) from error


def _exit_code(status: bytes, what: str) -> int:
    """0, or the command's exit code out of the Status on the error channel."""
    try:
        body = json.loads(status)
        if body.get("status") == "Success":
            return 0
        for cause in (body.get("details") or {}).get("causes") or ():
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
        raise ApiError(500, str(body.get("reason") or ""), str(body.get("message") or ""), what)
    except (ValueError, AttributeError) as error:
        raise Unreachable(f"{what}: it ended without a status") from error
