"""A small asynchronous Kubernetes client that speaks plain dicts, for the behaviours.

It works against the twin and against a real kube-apiserver alike. A resource is named by its
(apiVersion, kind), resolved by discovery, or by a Resource value.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import yaml

from knowngood.twin.values import Object

Objects = list[Object]
Event = tuple[str, Object]
Events = list[Event]
PatchKind = Literal["merge", "json", "strategic", "apply"]

PATCH_TYPES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
RECONNECT_S = 0.2
REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Resource:
    """A served resource: where its objects live in the URL space."""

    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the URL path of the collection, the object or its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


Target = Resource | tuple[str, str]


class ClientError(Exception):
    """The API server said no. `code` is the HTTP status, `reason` the Status reason, `body` the Status."""

    def __init__(self, code: int, body: Object, what: str) -> None:
        self.code = code
        self.body = body
        self.reason = str(body.get("reason", ""))
        super().__init__(f"{what}: {code} {self.reason}: {body.get('message', '')}")


@dataclass(frozen=True, slots=True)
class Listing:
    """One consistent list: its items and the resourceVersion to watch from."""

    items: Objects
    resource_version: str


class Client:
    """One connection pool to one API server. Close it, or use it as `async with`."""

    def __init__(self, server: str, tls: ssl.SSLContext | bool, headers: Mapping[str, str]) -> None:
        self._server = server.rstrip("/")
        self._tls = tls
        self._headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[tuple[str, str], Resource] = {}

    @classmethod
    def from_kubeconfig(cls, path: Path, user_agent: str = "twin") -> Self:
        """Read the current context. Bearer tokens and client certificates are understood, plugins are not."""
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"])["user"]
        headers = {"User-Agent": user_agent}
        if "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        return cls(cluster["server"], _tls_context(cluster, user), headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; open watches end."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def resolve(self, target: Target) -> Resource:
        """Return the Resource of an (apiVersion, kind), by discovery the first time; ClientError 404."""
        if isinstance(target, Resource):
            return target
        if target not in self._resources:
            api_version, kind = target
            prefix = "/apis" if "/" in api_version else "/api"
            group, _, version = api_version.rpartition("/")
            served = await self.request("GET", f"{prefix}/{api_version}")
            for entry in served["resources"]:
                if "/" not in entry["name"]:
                    found = Resource(group, version, entry["name"], entry["namespaced"])
                    self._resources[(api_version, entry["kind"])] = found
            if target not in self._resources:
                message = f"the server doesn't serve kind {kind} in {api_version}"
                raise ClientError(404, {"reason": "NotFound", "message": message}, "discovery")
        return self._resources[target]

    async def get(self, target: Target, name: str, namespace: str | None = None) -> Object:
        """Return one object."""
        return await self.request("GET", (await self.resolve(target)).path(namespace, name))

    async def list(
        self,
        target: Target,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> Listing:
        """Return all objects, of one namespace or of all, that match the selectors; each with its kind."""
        resource = await self.resolve(target)
        query = query_of(labelSelector=labels, fieldSelector=fields)
        body = await self.request("GET", resource.path(namespace), query=query)
        kind = str(body["kind"]).removesuffix("List")
        items = [{"apiVersion": body["apiVersion"], "kind": kind, **item} for item in body["items"] or ()]
        return Listing(items, body["metadata"]["resourceVersion"])

    async def create(
        self,
        obj: Object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        name: str | None = None,
    ) -> Object:
        """Create the object (or POST to a subresource of `name`) where it says itself that it belongs."""
        resource, namespace, _ = await self._place(obj, namespace)
        return await self.request("POST", resource.path(namespace, name, subresource), body=obj)

    async def replace(self, obj: Object, *, subresource: str | None = None) -> Object:
        """PUT the object; a stale resourceVersion in it is a ClientError 409."""
        resource, namespace, name = await self._place(obj, None)
        return await self.request("PUT", resource.path(namespace, name, subresource), body=obj)

    async def patch(
        self,
        target: Target,
        name: str,
        patch: Object | Objects,
        namespace: str | None = None,
        *,
        kind: PatchKind = "merge",
        subresource: str | None = None,
        manager: str | None = None,
        force: bool = False,
    ) -> Object:
        """Patch one object. `apply` needs a manager; `force` takes fields over from other managers."""
        resource = await self.resolve(target)
        query = query_of(fieldManager=manager, force="true" if force else None)
        path = resource.path(namespace, name, subresource)
        return await self.request("PATCH", path, query=query, body=patch, content_type=PATCH_TYPES[kind])

    async def delete(
        self, target: Target, name: str, namespace: str | None = None, *, options: Object | None = None
    ) -> Object:
        """Delete one object; options: gracePeriodSeconds, propagationPolicy, preconditions."""
        return await self.request("DELETE", (await self.resolve(target)).path(namespace, name), body=options)

    async def evict(self, namespace: str, pod: str, *, options: Object | None = None) -> Object:
        """Evict the pod; ClientError 429 where a PodDisruptionBudget says no."""
        metadata = {"name": pod, "namespace": namespace}
        body: Object = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        if options:
            body["deleteOptions"] = options
        return await self.request("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body=body)

    async def watch(
        self,
        target: Target,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        seconds: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield (ADDED|MODIFIED|DELETED|BOOKMARK, object) until the server ends the watch.

        ClientError 410: the version is too old, list again. Dropped connections are aiohttp.ClientError.
        """
        resource = await self.resolve(target)
        query = query_of(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=labels,
            fieldSelector=fields,
            timeoutSeconds=None if seconds is None else str(seconds),
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_TIMEOUT_S)
        url = self._server + resource.path(namespace)
        async with self._http().get(url, params=query, timeout=timeout) as answer:
            await _raise_for(answer, f"watch {url}")
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ClientError(int(event["object"].get("code", 500)), event["object"], f"watch {url}")
                yield event["type"], event["object"]

    async def follow(
        self,
        target: Target,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the present objects as ADDED and then every change, for ever.

        Lists again after a 410 and reconnects after a drop; what went meanwhile is yielded as DELETED.
        """
        seen: dict[str, Object] = {}
        version: str | None = None
        while True:
            try:
                if version is None:
                    listing = await self.list(target, namespace, labels=labels, fields=fields)
                    for event in _differences(seen, listing.items):
                        yield event
                    version = listing.resource_version
                watching = self.watch(
                    target, namespace, resource_version=version, labels=labels, fields=fields
                )
                async with contextlib.aclosing(watching) as events:
                    async for kind, obj in events:
                        version = obj["metadata"]["resourceVersion"]
                        if kind != "BOOKMARK":
                            _remember(seen, kind, obj)
                            yield kind, obj
            except (aiohttp.ClientError, TimeoutError, ClientError) as error:
                if isinstance(error, ClientError):
                    version = None
                    if error.code in {401, 403, 404}:
                        raise
                await asyncio.sleep(RECONNECT_S)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request and return its JSON answer. Answers from 400 on raise ClientError."""
        headers = {"Content-Type": content_type} if body is not None else {}
        data = None if body is None else json.dumps(body).encode()
        url = self._server + path
        async with self._http().request(method, url, params=query, data=data, headers=headers) as answer:
            await _raise_for(answer, f"{method} {path}")
            result: Object = await answer.json(content_type=None)
            return result

    async def _place(self, obj: Object, namespace: str | None) -> tuple[Resource, str | None, str]:
        resource = await self.resolve((obj["apiVersion"], obj["kind"]))
        metadata = obj.get("metadata", {})
        return resource, namespace or metadata.get("namespace"), metadata.get("name", "")

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, timeout=timeout, read_bufsize=2**24
            )
        return self._session


def _named(config: Object, section: str, name: str) -> Object:
    for entry in config[section]:
        if entry["name"] == name:
            found: Object = entry
            return found
    raise ValueError(f"kubeconfig: no entry {name!r} in {section}; check current-context")


def _tls_context(cluster: Object, user: Object) -> ssl.SSLContext | bool:
    if cluster["server"].startswith("http://"):
        return False
    context = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as folder:  # load_cert_chain reads files only
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
            key.write_bytes(base64.b64decode(user["client-key-data"]))
            context.load_cert_chain(certificate, key)
    elif "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context


def query_of(**values: str | None) -> dict[str, str]:
    """A query of what is said; None is not."""
    return {key: value for key, value in values.items() if value is not None}


async def _raise_for(answer: aiohttp.ClientResponse, what: str) -> None:
    if answer.status < 400:
        return
    text = await answer.text()
    try:
        body = json.loads(text)
    except ValueError:
        body = {"message": text}
    raise ClientError(answer.status, body if isinstance(body, dict) else {"message": text}, what)


def _remember(seen: dict[str, Object], kind: str, obj: Object) -> None:
    if kind == "DELETED":
        seen.pop(obj["metadata"]["uid"], None)
    else:
        seen[obj["metadata"]["uid"]] = obj


def _differences(seen: dict[str, Object], items: Objects) -> Events:
    """Bring `seen` up to the new list and return what a watcher would have been told meanwhile."""
    present = {item["metadata"]["uid"]: item for item in items}
    events: Events = [("DELETED", obj) for uid, obj in seen.items() if uid not in present]
    for uid, item in present.items():
        before = seen.get(uid)
        if before is None:
            events.append(("ADDED", item))
        elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            events.append(("MODIFIED", item))
    seen.clear()
    seen.update(present)
    return events
