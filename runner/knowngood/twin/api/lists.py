"""Lists: selectors, pages that stay consistent, and the list forms clients ask for."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from knowngood.twin.api import selectors
from knowngood.twin.api.cluster import PODS, Cluster
from knowngood.twin.api.conversion import present
from knowngood.twin.api.errors import bad_request, expired
from knowngood.twin.api.requests import Query, Target, number
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.api.store import Stored
from knowngood.twin.values import Object

Matches = Callable[[Object], bool]

PAGE_LIFETIME_S = 300.0
MAX_SNAPSHOTS = 100


@dataclass(frozen=True, slots=True)
class Page:
    """A (part of a) list as it was at one version."""

    items: list[Stored]
    version: int
    token: str = ""
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    items: list[Stored]
    version: int
    until: float


def matcher(resource: ResourceType, query: Query) -> Matches | None:
    """Return what the query's selectors accept, or None where there are none."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not labels and not fields:
        return None
    has_labels = selectors.parse_labels(labels)
    has_fields = selectors.parse_fields(fields, resource.kind, resource.selectable)
    return lambda obj: has_labels(obj["metadata"].get("labels") or {}) and has_fields(obj)


class Lists:
    """Answers list requests; keeps what pages not yet fetched need."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()

    def page(self, target: Target, query: Query) -> Page:
        """Return the items a query asks for, ordered by namespace and name."""
        limit = number(query, "limit") or 0
        if query.get("continue"):
            return self._next(query["continue"], limit)
        self._check_version(query)
        node = selectors.demanded(query.get("fieldSelector", ""), "spec.nodeName")
        items = self.select(target, matcher(target.resource, query), node)
        return self._cut(items, self._cluster.store.version, limit)

    def select(self, target: Target, matches: Matches | None, node: str = "") -> list[Stored]:
        """Return the target's objects that match, in the target's version. `node`: only its pods can match."""
        if node and target.resource.key == PODS:
            stored = [
                pod
                for pod in self._cluster.pods_on(node)
                if target.namespace in {"", pod.obj["metadata"]["namespace"]}
            ]
        else:
            stored = self._cluster.store.items(target.resource.key, target.namespace or None)
        found = stored if matches is None else [one for one in stored if matches(one.obj)]
        if target.name:
            found = [one for one in found if one.obj["metadata"]["name"] == target.name]
        return [present(target.resource, one) for one in found]

    def _check_version(self, query: Query) -> None:
        """Only the newest state is kept: an exact older one is gone."""
        version = query.get("resourceVersion", "")
        if not version:
            return
        if not version.isdigit():
            raise bad_request(f"invalid resource version {version!r}")
        current = self._cluster.store.version
        if query.get("resourceVersionMatch") == "Exact" and int(version) != current:
            raise expired(f"the provided resource version is no longer kept: {version} ({current})")
        if int(version) > current:
            raise expired(f"too large resource version: {version}, current: {current}")

    def _cut(self, items: list[Stored], version: int, limit: int) -> Page:
        if not 0 < limit < len(items):
            return Page(items, version)
        rest = items[limit:]
        where = {"v": "meta.k8s.io/v1", "rv": version, "start": secrets.token_urlsafe(12)}
        token = base64.urlsafe_b64encode(json.dumps(where).encode()).decode().rstrip("=")
        self._snapshots[token] = _Snapshot(rest, version, time.monotonic() + PAGE_LIFETIME_S)
        if len(self._snapshots) > MAX_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return Page(items[:limit], version, token, len(rest))

    def _next(self, token: str, limit: int) -> Page:
        snapshot = self._snapshots.get(token)
        if snapshot is None and not _is_token(token):
            raise bad_request("continue key is not valid: it is none of this server's making")
        if snapshot is None or snapshot.until < time.monotonic():
            raise expired("The provided continue parameter is too old; list again from the start")
        return self._cut(snapshot.items, snapshot.version, limit)


def _is_token(token: str) -> bool:
    """Whether it looks like one of ours, whose list may be kept no longer."""
    try:
        where = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        return False
    return isinstance(where, dict) and where.get("v") == "meta.k8s.io/v1"


def render(resource: ResourceType, page: Page, kind: str) -> bytes:
    """Return the JSON of a list; `kind` is the list's."""
    metadata = f'{{"resourceVersion":"{page.version}"'
    if page.token:
        metadata += f',"continue":"{page.token}","remainingItemCount":{page.remaining}'
    head = f'{{"kind":"{kind}","apiVersion":"{resource.api_version}","metadata":{metadata}}},"items":['
    return head.encode() + b",".join(item.encoded for item in page.items) + b"]}\n"
