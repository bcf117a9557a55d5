"""The API server as one object: state, TLS, tokens and the listening socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from knowngood.twin.api.kubelet import KubeletBackend

EventLog = Callable[[dict[str, Any]], None]


class ApiServer:
    """A Kubernetes API server in this process; each start makes a new CA, tokens and cluster identity."""

    def __init__(self, state_dir: Path, *, event_log: EventLog | None = None) -> None:
        self.kubelet: KubeletBackend | None = None
        self.outage = False
        self._state_dir = state_dir
        self._event_log = event_log

    def install_crd(self, crd: dict[str, Any]) -> None:
        """Serve the CustomResourceDefinition's kind."""
        raise NotImplementedError

    def seed(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Store an object as it is, status included."""
        raise NotImplementedError

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Close the socket and every connection."""
        raise NotImplementedError

    def kubeconfig(self, user: str = "admin") -> dict[str, Any]:
        """Return a kubeconfig for the user."""
        raise NotImplementedError
