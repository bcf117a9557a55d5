"""Watches: where they start, what they see through a selector, bookmarks, their end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.conversion import present
from knowngood.twin.api.errors import ApiError, bad_request
from knowngood.twin.api.lists import Lists, Matches, matcher
from knowngood.twin.api.requests import Query, Target, flag, number
from knowngood.twin.api.store import Change, Stored, encode

Object = dict[str, Any]
Render = Callable[[Stored], bytes]

BOOKMARK_S = 30.0
DEFAULT_TIMEOUT_S = 1800
MAX_BACKLOG = 20_000
EXPIRED = 410  # told as an event, as a real server does
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch:
    """One client's view of one collection's changes."""

    def __init__(self, cluster: Cluster, lists: Lists, target: Target, query: Query, render: Render) -> None:
        self._cluster = cluster
        self._lists = lists
        self._target = target
        self._query = query
        self._render = render
        self._matches: Matches | None = matcher(target.resource, query)
        self._changes: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._seen = 0  # the version this client knows of

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Stream events until the time is up, the client leaves or falls too far behind."""
        try:
            initial, refused = self._start(), False
        except ApiError as error:
            if error.code != EXPIRED:
                raise
            initial, refused = [_line("ERROR", encode(error.status()))], True
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache"}
        )
        unsubscribe = self._cluster.store.subscribe(self._note, self._target.resource.key)
        try:
            await response.prepare(request)
            if initial:
                await response.write(b"".join(initial))
            if not refused:
                await self._follow(response)
            await response.write_eof()
        finally:
            unsubscribe()
        return response

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        self._wake.set()

    def _start(self) -> list[bytes]:
        """Return the lines to begin with: what is there, or what the client missed."""
        version = self._query.get("resourceVersion", "")
        wants_initial = self._query.get("sendInitialEvents")
        self._seen = self._cluster.store.version
        if wants_initial is not None and self._query.get("resourceVersionMatch") != "NotOlderThan":
            raise bad_request("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if wants_initial is not None:
            if not flag(self._query, "sendInitialEvents"):
                return []
            lines = self._present()
            if flag(self._query, "allowWatchBookmarks"):
                lines.append(self._bookmark({INITIAL_EVENTS_END: "true"}))
            return lines
        if version in {"", "0"}:
            return self._present()
        if not version.isdigit():
            raise bad_request(f"invalid resource version {version!r}")
        missed = self._cluster.store.since(self._target.resource.key, int(version))
        return [line for change in missed for line in self._lines(change)]

    def _present(self) -> list[bytes]:
        items = self._lists.select(self._target, self._matches)
        return [_line("ADDED", self._render(item)) for item in items]

    async def _follow(self, response: web.StreamResponse) -> None:
        seconds = number(self._query, "timeoutSeconds") or DEFAULT_TIMEOUT_S
        end = time.monotonic() + seconds
        bookmarks = flag(self._query, "allowWatchBookmarks")
        while (left := end - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._wake.wait(), min(left, BOOKMARK_S))
            except TimeoutError:
                if bookmarks and self._seen < self._cluster.store.version:
                    self._seen = self._cluster.store.version
                    await response.write(self._bookmark())
                continue
            self._wake.clear()
            if len(self._changes) > MAX_BACKLOG:
                return  # the client is too slow; it will resume or list again
            if lines := self._drain():
                await response.write(b"".join(lines))
        if bookmarks:
            self._seen = self._cluster.store.version
            await response.write(b"".join([*self._drain(), self._bookmark()]))

    def _drain(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._changes:
            change = self._changes.popleft()
            lines += self._lines(change)
            self._seen = change.version
        return lines

    def _lines(self, change: Change) -> Iterator[bytes]:
        """Translate a change into what this client sees: an object that leaves its selector is DELETED."""
        now = change.now.obj
        metadata = now["metadata"]
        if self._target.namespace and metadata.get("namespace") != self._target.namespace:
            return
        if self._target.name and metadata["name"] != self._target.name:
            return
        was = change.before is not None and self._accepts(change.before.obj)
        stays = change.type != "DELETED" and self._accepts(now)
        if stays:
            shown = present(self._target.resource, change.now)
            yield _line("MODIFIED" if was else "ADDED", self._render(shown))
        elif was and change.before is not None:
            last = change.now
            if change.type != "DELETED":
                before = change.before.obj
                told = {**before["metadata"], "resourceVersion": metadata["resourceVersion"]}
                last = Stored({**before, "metadata": told}, change.version)
            yield _line("DELETED", self._render(present(self._target.resource, last)))

    def _accepts(self, obj: Object) -> bool:
        return self._matches is None or self._matches(obj)

    def _bookmark(self, annotations: Object | None = None) -> bytes:
        resource = self._target.resource
        metadata: Object = {"resourceVersion": str(self._cluster.store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        shown = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", encode(shown))


def _line(kind: str, shown: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + shown + b"}\n"
