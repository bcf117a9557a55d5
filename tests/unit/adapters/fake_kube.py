"""An API server in a dictionary, behind the real client's transport: optimistic concurrency, patches, evictions.

`Kube` itself is the real one; only the wire is replaced, so that tests can make things happen between two requests.
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPResponse

from knowngood.adapters.kubernetes import client as kube_module
from knowngood.adapters.kubernetes.access import REVIEWS
from knowngood.adapters.kubernetes.client import Kube, Object
from knowngood.adapters.kubernetes.kubeconfig import Access
from knowngood.ports.cancel import Cancel

Hook = Callable[[str, str], None]
Review = Callable[[Mapping[str, str]], Object]
"""What an access review's attributes are answered with: its status."""
_COLLECTIONS = (
    "nodes",
    "pods",
    "daemonsets",
    "controllerrevisions",
    "leases",
    "configmaps",
    "namespaces",
    "applications",
    "jobs",
)


class FakeKube(Kube):
    """The client on an empty cluster. `before` hooks see (method, path) of each request and may raise."""

    def __init__(self, *, cancel: Cancel | None = None, patience: float = 0.0) -> None:
        self.access = Access(server="https://fake", where="fake.kubeconfig", ca="")
        self.calls = self.received = 0
        self.patience = self.first_patience = patience
        self.timeout = 1.0
        self.objects: dict[str, Object] = {}
        self.journals: dict[str, str] = {}
        self.before: list[Hook] = []
        self.evictions: list[tuple[str, bool]] = []  # (pod, dry run)
        self.refusals: dict[str, int] = {}  # pod -> how many evictions of it are refused with 429
        self.writes: list[tuple[str, str]] = []
        self.review: Review = lambda _attributes: {"allowed": True}
        self.collections = set(_COLLECTIONS)  # others are not served: 404
        self._version = 100
        self._init_transport(cancel)

    def put(self, where: str, obj: Object) -> Object:
        """Store an object as it is."""
        self._version += 1
        stored = copy.deepcopy(obj)
        metadata = stored.setdefault("metadata", {})
        metadata.setdefault("name", where.rpartition("/")[2])
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata["resourceVersion"] = str(self._version)
        self.objects[where] = stored
        return stored

    def _once(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        body: Any,
        kind: str,
        timeout: float,
    ) -> bytes:
        self.counted()
        for hook in list(self.before):
            hook(method, where)
        path = urlsplit(where).path
        code, answer = self._serve(method, path, dict(query or {}), copy.deepcopy(body), kind)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.counted(0, len(data))
        if code >= 400:
            kube_module.refuse(code, data, f"{method} {where}")
        return data

    def request(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        own: Mapping[str, str],
        **_options: Any,
    ) -> HTTPResponse:
        """What is read in pieces."""
        return HTTPResponse(
            body=BytesIO(self._once(method, where, query, None, "", 0.0)), preload_content=False
        )

    def _serve(self, method: str, path: str, query: dict[str, str], body: Any, kind: str) -> tuple[int, Any]:
        if "/proxy/logs/journal" in path:
            node = path.split("/")[4]
            if node not in self.journals:
                return 503, {"reason": "ServiceUnavailable", "message": "kubelet is down"}
            return 200, self.journals[node].encode()
        if path.endswith("/eviction"):
            return self._evict(path.removesuffix("/eviction"), query, body)
        if method == "GET" and path.rpartition("/")[2] in self.collections:
            items = self._list(path, query)
            if kind == kube_module.ONLY_METADATA:
                items = [{"metadata": item["metadata"]} for item in items]
            return 200, _page(items, query)
        if method == "DELETE" and path.rpartition("/")[2] in self.collections:
            for item in self._list(path, query):
                self.writes.append(("DELETE", f"{path}/{item['metadata']['name']}"))
                del self.objects[f"{path}/{item['metadata']['name']}"]
            return 200, {"kind": "Status"}
        if path == REVIEWS:
            return 201, {**body, "status": self.review(body["spec"]["resourceAttributes"])}
        if method == "POST":
            return self._create(path, body)
        found = self.objects.get(path)
        if found is None:
            return 404, {"reason": "NotFound", "message": f"{path} not found"}
        if method == "GET":
            return 200, found
        return self._write(method, path, found, body, kind)

    def _list(self, path: str, query: dict[str, str]) -> list[Object]:
        """Objects of a collection, in one namespace or in all."""
        head, _, plural = path.rpartition("/")
        pattern = re.compile(re.escape(head) + r"(/namespaces/[^/]+)?/" + plural + r"/[^/]+$")
        items = [obj for where, obj in sorted(self.objects.items()) if pattern.match(where)]
        selector = query.get("labelSelector", "")
        if " in (" in selector:
            key, _, several = selector.removesuffix(")").partition(" in (")
            return [i for i in items if (i["metadata"].get("labels") or {}).get(key) in several.split(",")]
        for key, _, value in (part.partition("=") for part in selector.split(",") if part):
            items = [i for i in items if (i["metadata"].get("labels") or {}).get(key) == value]
        node = query.get("fieldSelector", "").removeprefix("spec.nodeName=")
        return [i for i in items if not node or i["spec"].get("nodeName") == node]

    def _create(self, path: str, body: Object) -> tuple[int, Any]:
        where = f"{path}/{body['metadata']['name']}"
        if where in self.objects:
            return 409, {"reason": "AlreadyExists", "message": "already exists"}
        namespace = body["metadata"].get("namespace")
        if namespace and f"/api/v1/namespaces/{namespace}" not in self.objects:
            return 404, {"reason": "NotFound", "message": f'namespaces "{namespace}" not found'}
        self.writes.append(("POST", where))
        return 201, self.put(where, body)

    def _write(self, method: str, path: str, found: Object, body: Any, kind: str) -> tuple[int, Any]:
        stale = {"reason": "Conflict", "message": "the object has been modified"}
        if method == "DELETE":
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            if uid and uid != found["metadata"]["uid"]:
                return 409, stale
            self.writes.append((method, path))
            return 200, self.objects.pop(path)
        if method == "PATCH" and kind == kube_module.JSON_PATCH:
            try:
                wanted = patched(found, body)
            except ValueError as error:
                return 422, {"reason": "Invalid", "message": str(error)}
        elif method == "PATCH":
            wanted = merged(found, body)
            version = ((body.get("metadata")) or {}).get("resourceVersion")
            if version and version != found["metadata"]["resourceVersion"]:
                return 409, stale
        else:
            wanted = body
            if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
                return 409, stale
        self.writes.append((method, path))
        return 200, self.put(path, wanted)

    def _evict(self, path: str, query: dict[str, str], body: Object) -> tuple[int, Any]:
        found = self.objects.get(path)
        name = path.rpartition("/")[2]
        if found is None:
            return 404, {"reason": "NotFound", "message": "gone"}
        if body["deleteOptions"]["preconditions"]["uid"] != found["metadata"]["uid"]:
            return 409, {"reason": "Conflict", "message": "another uid"}
        dry = query.get("dryRun") == "All"
        if self.refusals.get(name, 0) > 0:
            self.refusals[name] -= 1
            return 429, {"reason": "TooManyRequests", "message": "it would violate the budget"}
        self.evictions.append((name, dry))
        if not dry:
            self.writes.append(("EVICT", path))
            del self.objects[path]
        return 201, {"kind": "Status"}


def _page(items: list[Object], query: dict[str, str]) -> Object:
    """One page of a list, with a token for the next."""
    begin = int(query.get("continue", "0"))
    end = begin + int(query.get("limit") or len(items) or 1)
    more = {"continue": str(end)} if end < len(items) else {}
    return {"metadata": more, "items": items[begin:end]}


def patched(obj: Object, operations: list[Object]) -> Object:
    """JSON Patch, as much of it as we send; ValueError where a `test` fails or a path is missing."""
    result = copy.deepcopy(obj)
    for operation in operations:
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        target: Any = result
        for part in parents:
            if part not in target:
                raise ValueError(f"no {operation['path']}")
            target = target[part]
        if operation["op"] == "test":
            if target.get(last) != operation["value"]:
                raise ValueError(f"test of {operation['path']} failed")
        elif operation["op"] == "add":
            target[last] = operation["value"]
        elif operation["op"] == "remove":
            if last not in target:
                raise ValueError(f"no {operation['path']}")
            del target[last]
        else:
            raise ValueError(f"unexpected {operation['op']}")
    return result


def merged(obj: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
