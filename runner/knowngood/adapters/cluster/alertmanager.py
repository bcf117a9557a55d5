"""An Alertmanager's silences: the API v2 behind the API server's service proxy, or at a URL of its own.

Paths and fields: prometheus/alertmanager api/v2/openapi.yaml.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import urllib3

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.alerts import Alertmanager
from knowngood.model.errors import Unreachable, UsageError
from knowngood.model.values import Values

SILENCES, SILENCE = "/api/v2/silences", "/api/v2/silence"
TIMEOUT = 15.0  # seconds


class Wire(Protocol):
    """Brings one request there. Raises Unreachable, UsageError."""

    def ask(self, method: str, where: str, body: Object | None = None) -> bytes:
        """The answer's body."""
        ...


@dataclass(frozen=True, slots=True)
class Proxied:
    """Through the API server: its rights are ours, and nothing of ours is handed on."""

    kube: Kube
    at: Alertmanager

    def ask(self, method: str, where: str, body: Object | None = None) -> bytes:
        """See the port."""
        namespace, name = self.at.service
        try:
            return self.kube.raw(method, path("v1", "services", name, namespace, "proxy") + where, body)
        except ApiError as error:
            hint = "alertmanager.at names it; one that asks for credentials is reached by its URL"
            raise Unreachable(f"Alertmanager: {error}", where=self.at.at, hint=hint) from error


@dataclass(frozen=True, slots=True)
class Direct:
    """At its own URL, over https unless it is on this machine."""

    at: Alertmanager

    def ask(self, method: str, where: str, body: Object | None = None) -> bytes:
        """See the port."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token := secret(self.at.token, "alertmanager.token"):
            headers["Authorization"] = f"Bearer {token}"
        pool = urllib3.PoolManager(ca_certs=self.at.ca or None)
        try:
            answer = pool.request(
                method,
                self.at.url.rstrip("/") + where,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=TIMEOUT,
                retries=2,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"Alertmanager: {type(error).__name__}", where=self.at.url) from error
        if answer.status in {401, 403}:
            raise UsageError(
                f"Alertmanager does not take our token ({answer.status})",
                where=self.at.url,
                hint="alertmanager.token names where it is",
            )
        if answer.status >= 300:
            said = answer.data[:200].decode("utf-8", "replace")
            raise Unreachable(f"Alertmanager answers {answer.status}: {said}", where=self.at.url)
        return bytes(answer.data)


def secret(reference: str, key: str) -> str:
    """What `env:NAME` or `file:PATH` refers to, "" for no reference. UsageError where nothing is there.

    `key`: where the cluster file has it.
    """
    kind, _, name = reference.partition(":")
    if not reference:
        return ""
    try:
        found = os.environ.get(name, "") if kind == "env" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{name} can't be read: {error.strerror}", hint=key) from error
    if not found.strip():
        raise UsageError(f"{reference} is empty", hint=f"{key} names where it is")
    return found.strip()


class Silencer:
    """The silences of one Alertmanager."""

    def __init__(self, kube: Kube, at: Alertmanager) -> None:
        self._wire: Wire = Direct(at) if at.url else Proxied(kube, at)
        self._where = at.at

    def all(self) -> list[Object]:
        """All that it knows, ended ones too."""
        found = self._told(self._wire.ask("GET", SILENCES), list)
        return [item for item in found if isinstance(item, dict)]

    def write(self, body: Values) -> str:
        """Make a silence, or renew the one of its `id`; the id that it has then."""
        answer = self._told(self._wire.ask("POST", SILENCES, dict(body)), dict)
        return str(answer.get("silenceID") or "")

    def end(self, name: str) -> None:
        """End one now."""
        self._wire.ask("DELETE", f"{SILENCE}/{name}")

    def _told(self, data: bytes, kind: type) -> Any:
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if not isinstance(answer, kind):
            raise Unreachable("the answer is not an Alertmanager's", where=self._where)
        return answer
