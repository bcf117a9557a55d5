"""A running twin API server, and plain HTTP to talk to it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from knowngood.twin.api.kubelet import (
    ContainerNotFoundError,
    ExecResult,
    KubeletBackend,
    NodeUnreachableError,
)
from knowngood.twin.api.server import ApiServer

Object = dict[str, Any]
Result = TypeVar("Result")

DEADLINE_S = 10.0
MERGE = "application/merge-patch+json"


class EchoKubelet(KubeletBackend):
    """Nodes whose containers run the commands `echo`, `cat` and `fail`; the node `down` never answers."""

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        if container == "missing":
            raise ContainerNotFoundError("not started")
        if pod == "unreachable":
            raise NodeUnreachableError("dial tcp: connection refused")
        match argv[0]:
            case "echo":
                return ExecResult(" ".join(argv[1:]).encode() + b"\n", b"", 0)
            case "cat":
                return ExecResult(stdin or b"", b"", 0)
        return ExecResult(b"", b"it failed\n", 3)

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        lines = [f"{pod}/{container} line {number}\n".encode() for number in range(3)]

        async def chunks() -> AsyncIterator[bytes]:
            for line in lines[-tail:] if tail else lines:
                yield line

        return chunks()

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes:
        if node == "down":
            raise NodeUnreachableError("no route to host")
        return json.dumps({"node": node, **query}).encode() + b"\n"

    async def log_file(self, node: str, name: str) -> bytes | None:
        return b"a file\n" if (node, name) == ("n1", "kern.log") else None


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its JSON body."""

    status: int
    body: Any
    headers: HTTPMessage


@dataclass
class Twin:
    """An API server in a thread of its own."""

    server: ApiServer
    loop: asyncio.AbstractEventLoop
    config: Object
    kubeconfig: Path
    log: list[Object] = field(default_factory=list)

    def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        """Send one request over a connection of its own."""
        connection = self.connect()
        sent = {"Authorization": f"Bearer {self.token}", "User-Agent": "tests/1"} | headers
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = content_type
        try:
            connection.request(method, path, body=data, headers=sent)
            answer = connection.getresponse()
            text = answer.read()
            parsed = json.loads(text) if text[:1] in {b"{", b"["} else text.decode()
            return Answer(answer.status, parsed, answer.headers)
        finally:
            connection.close()

    def connect(self) -> HTTPSConnection:
        """Open a connection that trusts the twin's CA."""
        cluster = self.config["clusters"][0]["cluster"]
        trusted = base64.b64decode(cluster["certificate-authority-data"]).decode()
        address = cluster["server"].removeprefix("https://")
        return HTTPSConnection(
            address, context=ssl.create_default_context(cadata=trusted), timeout=DEADLINE_S
        )

    @property
    def token(self) -> str:
        """The admin's token."""
        return str(self.config["users"][0]["user"]["token"])

    def create(self, path: str, body: Object) -> Object:
        """Create an object that must be accepted."""
        answer = self.http("POST", path, body)
        assert answer.status == 201, answer.body
        created: Object = answer.body
        return created

    def get(self, path: str) -> Object:
        """Read an object that must be there."""
        answer = self.http("GET", path)
        assert answer.status == 200, answer.body
        found: Object = answer.body
        return found

    def patch(self, path: str, body: Any, kind: str = MERGE) -> Answer:
        """Patch, by default with a merge patch."""
        return self.http("PATCH", path, body, kind)

    def in_loop(self, act: Callable[[], Result]) -> Result:
        """Call something in the server's own thread."""

        async def call() -> Result:
            return act()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(DEADLINE_S)

    def eventually(self, check: Callable[[], bool], what: str) -> None:
        """Wait until the check holds."""
        end = time.monotonic() + DEADLINE_S
        while not check():
            assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
            time.sleep(0.01)

    def gone(self, path: str) -> None:
        """Wait until there is nothing at the path."""
        self.eventually(lambda: self.http("GET", path).status == 404, f"{path} gone")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """A twin for the tests of one module; they keep apart by namespace."""
    folder = tmp_path_factory.mktemp("twin")
    log: list[Object] = []
    server = ApiServer(folder / "state", event_log=log.append)
    server.kubelet = EchoKubelet()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="twin")
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(DEADLINE_S)
    config = server.kubeconfig()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
    yield Twin(server, loop, config, kubeconfig, log)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(DEADLINE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE_S)
    loop.close()


_count = iter(range(10_000))


@pytest.fixture
def namespace(twin: Twin) -> str:
    """A namespace of one test's own."""
    name = f"test-{next(_count)}"
    twin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    furnished = f"/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt"
    twin.eventually(lambda: twin.http("GET", furnished).status == 200, "what every namespace has")
    return name


def pod(name: str, **spec: Any) -> Object:
    """Return a pod of one container."""
    labels = {"app": name}
    containers = [{"name": "main", "image": "registry.example/app:1"}]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers, **spec}}


@pytest.fixture(name="pod")
def pod_maker() -> Callable[..., Object]:
    """Makes pods."""
    return pod


class Kubectl:
    """The real kubectl, with a home and a cache of its own."""

    def __init__(self, program: str, kubeconfig: Path, home: Path) -> None:
        self._program = program
        self._environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(home), "PATH": "/usr/bin:/bin"}

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [self._program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self._environment,
        )

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it, expect success, return what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout


@pytest.fixture
def kubectl(twin: Twin, tmp_path: Path) -> Kubectl:
    """Kubectl, where the machine has one."""
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    return Kubectl(program, twin.kubeconfig, tmp_path)
