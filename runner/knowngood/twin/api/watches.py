"""Watches: where they start, what they see through a selector, bookmarks, their end.

A client gets lines of JSON; who asks in this process gets the events themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator

from aiohttp import web

from knowngood.twin.api.cluster import Cluster
from knowngood.twin.api.conversion import present
from knowngood.twin.api.errors import ApiError, bad_request
from knowngood.twin.api.lists import Lists, Matches, matcher
from knowngood.twin.api.requests import Query, Target, flag, number
from knowngood.twin.api.store import Change, Stored, encode
from knowngood.twin.values import Object

Render = Callable[[Stored], bytes]
Event = tuple[str, Stored]

BOOKMARK_S = 60.0
LAST_BOOKMARK_S = 2.0  # before the end; what happens after it, the client is told without a bookmark
DEFAULT_TIMEOUT_S = 1800
MAX_BACKLOG = 20_000
EXPIRED = 410  # told as an event, as a real server does
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch:
    """One client's view of one collection's changes."""

    def __init__(self, cluster: Cluster, lists: Lists, target: Target, query: Query) -> None:
        self._cluster = cluster
        self._lists = lists
        self._target = target
        self._query = query
        self._matches: Matches | None = matcher(target.resource, query)
        self._changes: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._cut = False

    async def events(self) -> AsyncGenerator[Event, None]:
        """What is there or was missed, then every change as it comes, until cut. ApiError where it can't start."""
        initial = self._start()
        unsubscribe = self._cluster.store.subscribe(self._note, self._target.resource.key)
        try:
            for event in initial:
                yield event
            while not self._cut:
                await self._wake.wait()
                self._wake.clear()
                for event in self._drain():
                    yield event
        finally:
            unsubscribe()

    def cut(self) -> None:
        """End `events`, as a connection that breaks does."""
        self._cut = True
        self._changes.clear()
        self._wake.set()

    async def serve(self, request: web.BaseRequest, render: Render) -> web.StreamResponse:
        """Stream events until the time is up, the client leaves or falls too far behind."""
        try:
            initial, refused = _lines(self._start(), render), False
        except ApiError as error:
            if error.code != EXPIRED:
                raise
            initial, refused = _line("ERROR", encode(error.status())), True
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache"}
        )
        unsubscribe = self._cluster.store.subscribe(self._note, self._target.resource.key)
        try:
            await response.prepare(request)
            if initial:
                await response.write(initial)
            if not refused:
                await self._follow(response, render)
            await response.write_eof()
        finally:
            unsubscribe()
        return response

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        self._wake.set()

    def _start(self) -> list[Event]:
        """Return the events to begin with: what is there, or what the client missed."""
        version = self._query.get("resourceVersion", "")
        wants_initial = self._query.get("sendInitialEvents")
        if wants_initial is not None and self._query.get("resourceVersionMatch") != "NotOlderThan":
            raise bad_request("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if wants_initial is not None:
            if not flag(self._query, "sendInitialEvents"):
                return []
            events = self._present()
            if flag(self._query, "allowWatchBookmarks"):
                events.append(self._bookmark({INITIAL_EVENTS_END: "true"}))
            return events
        if version in {"", "0"}:
            return self._present()
        if not version.isdigit():
            raise bad_request(f"invalid resource version {version!r}")
        missed = self._cluster.store.since(self._target.resource.key, int(version))
        return [event for change in missed for event in self._seen_of(change)]

    def _present(self) -> list[Event]:
        return [("ADDED", item) for item in self._lists.select(self._target, self._matches)]

    async def _follow(self, response: web.StreamResponse, render: Render) -> None:
        """Tell changes as they come. A bookmark comes now and then, and once before the end, seldom at it."""
        seconds = number(self._query, "timeoutSeconds") or DEFAULT_TIMEOUT_S
        end = time.monotonic() + seconds
        bookmarks = flag(self._query, "allowWatchBookmarks")
        due = _next_bookmark(end) if bookmarks else end
        while (left := end - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._wake.wait(), min(left, max(0.0, due - time.monotonic())))
            except TimeoutError:
                if bookmarks and due < end:
                    due = _next_bookmark(end)
                    await response.write(_lines([*self._drain(), self._bookmark()], render))
                continue
            self._wake.clear()
            if len(self._changes) > MAX_BACKLOG:
                return  # the client is too slow; it will resume or list again
            if events := self._drain():
                await response.write(_lines(events, render))

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        while self._changes:
            change = self._changes.popleft()
            events += self._seen_of(change)
        return events

    def _seen_of(self, change: Change) -> Iterator[Event]:
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
            yield "MODIFIED" if was else "ADDED", present(self._target.resource, change.now)
        elif was and change.before is not None:
            last = change.now
            if change.type != "DELETED":
                before = change.before.obj
                told = {**before["metadata"], "resourceVersion": metadata["resourceVersion"]}
                last = Stored({**before, "metadata": told}, change.version)
            yield "DELETED", present(self._target.resource, last)

    def _accepts(self, obj: Object) -> bool:
        return self._matches is None or self._matches(obj)

    def _bookmark(self, annotations: Object | None = None) -> Event:
        resource = self._target.resource
        metadata: Object = {"resourceVersion": str(self._cluster.store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        shown = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return "BOOKMARK", Stored(shown, self._cluster.store.version)


def _lines(events: list[Event], render: Render) -> bytes:
    """The events as a client reads them; a bookmark has the same form whatever the client asked for."""
    return b"".join(
        _line(kind, stored.encoded if kind == "BOOKMARK" else render(stored)) for kind, stored in events
    )


def _next_bookmark(end: float) -> float:
    now = time.monotonic()
    last = end - LAST_BOOKMARK_S
    return last if now < last < now + BOOKMARK_S else now + BOOKMARK_S


def _line(kind: str, shown: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + shown + b"}\n"
