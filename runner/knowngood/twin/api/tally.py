"""What was asked of the API server, and by whom: a rehearsal's answer to what a run would cost a real one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiohttp import web


class Tally:
    """Requests and bytes answered, by user agent and method. Watches and exec count once, without their streams."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[str] = Counter()

    def count(self, request: web.BaseRequest, answer: web.StreamResponse) -> None:
        """Take one request into the sums."""
        agent = request.headers.get("User-Agent", "").partition("/")[0]
        self._requests[agent, request.method] += 1
        body = answer.body if isinstance(answer, web.Response) else None
        self._bytes[agent] += len(body) if isinstance(body, bytes) else 0

    def summary(self) -> dict[str, Any]:
        """Agent -> {requests: method -> number, bytes}."""
        found: dict[str, Any] = {}
        for (agent, method), number in sorted(self._requests.items()):
            entry = found.setdefault(agent, {"requests": {}, "bytes": self._bytes[agent]})
            entry["requests"][method] = number
        return found
