"""Requests of the behaviours that live in the server's process: its rules, without a socket and without JSON.

What is answered are the stored objects themselves: never change one. What is sent is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from knowngood.twin.api import discovery, meta
from knowngood.twin.api.cluster import Actor, Cluster, Outcome
from knowngood.twin.api.deletion import DeleteOptions
from knowngood.twin.api.errors import method_not_allowed
from knowngood.twin.api.handler import RETURNED, Handler, success
from knowngood.twin.api.pod_writes import bind
from knowngood.twin.api.requests import Query, Target, parse_path, write_options
from knowngood.twin.api.watches import Watch
from knowngood.twin.values import Object


class Direct:
    """One actor's way to one cluster."""

    def __init__(self, handler: Handler, actor: Actor) -> None:
        self._handler = handler
        self._cluster: Cluster = handler.cluster
        self._actor = actor
        self._watches: set[Watch] = set()

    def answer(self, method: str, path: str, query: Query, body: Any, content_type: str) -> Object:
        """Do what a request asks, of what the behaviours ask; ApiError for every refusal."""
        self._handler.authorizer.check_request(self._actor, method, path, query)
        if method == "GET" and (found := discovery.document(path, self._cluster.resources, "")) is not None:
            return found[0]
        target = parse_path(path, self._cluster.resources)
        if method == "GET":
            return self._read(target, query)
        actor, options = replace(self._actor, sent=body), write_options(query, self._actor.agent)
        writes, what = self._handler.writes, (target.resource, target.namespace)
        sent = meta.copy(body)
        outcome: Outcome | None = None
        match method, target.subresource:
            case "POST", "" if not target.name:
                outcome = writes.create(*what, sent, actor, options)
            case "POST", "binding":
                bind(self._cluster, target, sent, actor, options)
            case "POST", "eviction":
                self._handler.disruption.evict(*what, target.name, sent, actor, options)
            case "PUT", "" | "status":
                outcome = writes.replace(*what, target.name, sent, actor, options, target.subresource)
            case "PATCH", "" | "status":
                patch = (content_type, sent)
                outcome = writes.patch(*what, target.name, patch, actor, options, target.subresource)
            case "DELETE", "" if target.name:
                wishes = DeleteOptions.read(sent or {}, options)
                outcome = self._handler.deletion.delete(*what, target.name, actor, wishes)
            case _:
                raise method_not_allowed()
        if outcome is None or (outcome.removed and target.resource.kind not in RETURNED):
            return success({})
        return outcome.stored.obj

    def watch(self, path: str, query: Query) -> tuple[Watch, Callable[[], None]]:
        """A watch to read `events` of, and what to call when done with it."""
        self._handler.authorizer.check_request(self._actor, "GET", path, {**query, "watch": "true"})
        target = parse_path(path, self._cluster.resources)
        watch = Watch(self._cluster, self._handler.lists, target, query)
        self._watches.add(watch)
        return watch, lambda: self._watches.discard(watch)

    def cut(self) -> None:
        """Break all watches, as an outage does."""
        for watch in self._watches:
            watch.cut()

    def _read(self, target: Target, query: Query) -> Object:
        if target.name:
            return self._cluster.find(target.resource, target.namespace, target.name).obj
        page = self._handler.lists.page(target, query)
        return {
            "kind": f"{target.resource.kind}List",
            "apiVersion": target.resource.api_version,
            "metadata": {"resourceVersion": str(page.version)},
            "items": [item.obj for item in page.items],
        }
