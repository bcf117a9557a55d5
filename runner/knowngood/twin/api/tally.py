"""What was asked of the API server, and by whom: a rehearsal's answer to what a run would cost a real one."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from knowngood.twin.values import Object


class Tally:
    """Requests and bytes answered, by user agent. Watches and exec count once, without their streams."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._bytes: Counter[str] = Counter()

    def count(self, request: web.BaseRequest, answer: web.StreamResponse) -> None:
        """Take one request into the sums."""
        agent = request.headers.get("User-Agent", "").partition("/")[0]
        self._requests[agent, request.method, shape(request.path)] += 1
        body = answer.body if isinstance(answer, web.Response) else None
        self._bytes[agent] += len(body) if isinstance(body, bytes) else 0

    def summary(self) -> Object:
        """Agent -> {requests: method -> number, shapes: "<method> <shape>" -> number, bytes}."""
        found: Object = {}
        for (agent, method, where), number in sorted(self._requests.items()):
            entry = found.setdefault(agent, {"requests": {}, "shapes": {}, "bytes": self._bytes[agent]})
            entry["requests"][method] = entry["requests"].get(method, 0) + number
            entry["shapes"][f"{method} {where}"] = number
        return found


def shape(path: str) -> str:
    """A path without what is particular: kind, `*` for a name, subresource. Discovery is `discovery`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return "/".join([*rest[:1], *("*" for _ in rest[1:2]), *rest[2:]]) or "discovery"
