"""An Alertmanager behind a Service: its API v2, as far as silences go (prometheus/alertmanager api/v2/openapi.yaml).

Any Service that says by label to be one is played. What it knows is in memory, as an Alertmanager's without a disk.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from knowngood.twin.api.errors import ApiError
from knowngood.twin.values import Object

NAME_LABEL, NAME = "app.kubernetes.io/name", "alertmanager"
NEEDED = ("matchers", "startsAt", "endsAt", "createdBy", "comment")


def bare(name: str) -> str:
    """A Service's own name in `[SCHEME:]NAME[:PORT]`."""
    parts = name.split(":")
    return parts[1] if len(parts) == 3 else parts[0]


class Alertmanager:
    """All of them share one memory: a cluster has one."""

    def __init__(self) -> None:
        self._silences: dict[str, Object] = {}

    def answer(self, method: str, rest: Sequence[str], service: Object, body: Any) -> web.Response:
        """Answer a request to the path `rest` of this Service."""
        if (service["metadata"].get("labels") or {}).get(NAME_LABEL) != NAME:
            raise ApiError(503, "ServiceUnavailable", "no endpoints available for service")
        match method, tuple(rest[:3]), tuple(rest[3:]):
            case "GET", ("api", "v2", "silences"), ():
                return _json([self._shown(s) for s in self._silences.values()])
            case "POST", ("api", "v2", "silences"), ():
                return self._written(body)
            case "DELETE", ("api", "v2", "silence"), (name,) if name in self._silences:
                self._silences[name]["endsAt"] = _now().isoformat()
                return web.Response(status=200)
        return web.Response(status=404, text="not found")

    def _written(self, body: Any) -> web.Response:
        missing = [key for key in NEEDED if not isinstance(body, dict) or not body.get(key)]
        if missing:
            return _json(f"{missing[0]} in body is required", 422)
        if _time(body["endsAt"]) <= _now():
            return _json("bad silence: end time can't be in the past", 400)
        old = self._silences.get(str(body.get("id", "")))
        if body.get("id") and old is None:
            return _json("silence not found", 404)
        same = old is not None and old["matchers"] == body["matchers"] and _time(old["endsAt"]) > _now()
        if old is not None and not same:
            old["endsAt"] = min(old["endsAt"], _now().isoformat())
        name = str(body["id"]) if same else str(uuid.uuid4())
        self._silences[name] = {**body, "id": name, "updatedAt": _now().isoformat()}
        return _json({"silenceID": name})

    def _shown(self, silence: Object) -> Object:
        state = "active" if _time(silence["endsAt"]) > _now() else "expired"
        return {**silence, "status": {"state": state}}


def _now() -> datetime:
    return datetime.now(UTC)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), status=status, content_type="application/json")
