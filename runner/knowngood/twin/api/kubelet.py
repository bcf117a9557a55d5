"""What the API server asks of "the nodes". The behaviours' kubelet implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


class NodeUnreachableError(Exception):
    """The node does not answer: exec and logs end in 500, the journal in 503, as with a real kubelet."""


class ContainerNotFoundError(Exception):
    """The pod runs, but has no such container, or the container has not started: 400."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a finished command left: its output and its exit code (137 where it was killed at the timeout)."""

    stdout: bytes
    stderr: bytes
    code: int


class KubeletBackend(Protocol):
    """The kubelets of all nodes, as the API server sees them.

    Any method may raise NodeUnreachableError; exec and logs also ContainerNotFoundError.
    The API server has already checked that the pod (or the node) exists.
    """

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run argv in the container to its end and return what it wrote. timeout in seconds."""
        ...

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """Return the container's log as chunks; `follow` goes on until the container ends."""
        ...

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes | None:
        """Answer GET /api/v1/nodes/<node>/proxy/logs/journal with the query's boot, output, since, grep.

        None: this kubelet has no such endpoint, it is OpenShift's own; there is a folder of that name.
        """
        ...

    async def log_file(self, node: str, name: str) -> bytes | None:
        """The file of that name in the node's /var/log, None where there is none."""
        ...
