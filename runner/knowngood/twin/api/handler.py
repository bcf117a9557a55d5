"""From an HTTP request to its answer: who asks, what for, in which form."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from knowngood.twin.api import alertmanager, auth, bodies, catalogd, discovery, meta, openapi, scale, streams
from knowngood.twin.api.cluster import Actor, Cluster, Options, Outcome
from knowngood.twin.api.collector import Collector
from knowngood.twin.api.deletion import DeleteOptions, Deletion
from knowngood.twin.api.disruption import Disruption
from knowngood.twin.api.errors import bad_request, method_not_allowed
from knowngood.twin.api.escalation import Escalation
from knowngood.twin.api.kubelet import KubeletBackend
from knowngood.twin.api.lists import Lists, Page, matcher, render
from knowngood.twin.api.pod_writes import bind
from knowngood.twin.api.rbac import Authorizer
from knowngood.twin.api.requests import Target, flag, form_of, number, parse_path, write_options
from knowngood.twin.api.store import Stored, encode
from knowngood.twin.api.tables import partial, table
from knowngood.twin.api.watches import Watch
from knowngood.twin.api.writes import Writes
from knowngood.twin.values import Object

Answer = Awaitable[web.StreamResponse]

_HEALTH = frozenset({"/healthz", "/readyz", "/livez"})
# Kinds that a finished DELETE answers with the object instead of a Status.
RETURNED = frozenset({"Pod", "Service", "ServiceAccount", "PersistentVolumeClaim", "ResourceQuota"})


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    request: web.BaseRequest
    target: Target
    actor: Actor
    body: Any

    @property
    def options(self) -> Options:
        """The options of a write."""
        return write_options(self.request.query, self.actor.agent)


class Handler:
    """Answers every request to one cluster."""

    def __init__(self, cluster: Cluster, tokens: auth.Tokens, version: str) -> None:
        self.cluster = cluster
        self.tokens = tokens
        self.authorizer = Authorizer(cluster)
        self._version = encode(discovery.version_document(version))
        self.kubelet: KubeletBackend | None = None
        self._alertmanager = alertmanager.Alertmanager()
        self.catalogd = catalogd.Catalogd()
        self.writes = Writes(cluster)
        self.writes.guard = Escalation(self.authorizer).check
        self.deletion = Deletion(cluster)
        self.disruption = Disruption(cluster, self.deletion)
        self.collector = Collector(cluster, self.writes, self.deletion, self.disruption)
        self.lists = Lists(cluster)
        self._openapi = openapi.OpenApi(cluster.resources)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer; ApiError for every refusal."""
        path = request.path.rstrip("/")
        if path in _HEALTH:
            return web.Response(text="ok")
        if path == "/version":
            return _json(self._version)
        actor = self.tokens.identify(request.headers.get("Authorization", ""))
        actor = auth.impersonated(actor, request, self.authorizer)
        # Before anything is looked for: who may not ask is not told what is there.
        self.authorizer.check_request(actor, request.method, path, request.query)
        if request.method == "GET" and (document := self._document(path, request)) is not None:
            return document
        target = parse_path(path, self.cluster.resources)
        content_type = request.headers.get("Content-Type", "")
        body = bodies.decode(await request.read(), content_type)
        # A copy: admission drops what a kind does not know from the body itself.
        actor = replace(actor, agent=request.headers.get("User-Agent", ""), sent=meta.copy(body))
        return await self._route(Call(request, target, actor, body))

    def _document(self, path: str, request: web.BaseRequest) -> web.Response | None:
        if path == "/openapi/v2":
            return web.Response(body=b"", headers={"Content-Type": openapi.V2_TYPE})
        if path == "/openapi/v3":
            return _json(encode(self._openapi.index()))
        if path.startswith("/openapi/v3/"):
            return _json(self._openapi.document(path.removeprefix("/openapi/v3/")))
        found = discovery.document(path, self.cluster.resources, request.headers.get("Accept", ""))
        if found is None:
            return None
        document, content_type = found
        return web.Response(body=encode(document), headers={"Content-Type": content_type})

    async def _route(self, call: Call) -> web.StreamResponse:
        target, method = call.target, call.request.method
        if target.subresource and target.subresource != "status":
            return await self._subresource(call)
        if method in {"GET", "HEAD"}:
            return await self._read(call)
        if method == "POST" and not target.name:
            return self._create(call)
        if method == "PUT" and target.name:
            return self._written(
                call,
                self.writes.replace(
                    target.resource,
                    target.namespace,
                    target.name,
                    call.body,
                    call.actor,
                    call.options,
                    target.subresource,
                ),
            )
        if method == "PATCH" and target.name:
            return self._patch(call)
        if method == "DELETE" and not target.subresource:
            return self._delete(call) if target.name else self._delete_collection(call)
        raise method_not_allowed()

    async def _read(self, call: Call) -> web.StreamResponse:
        target, query = call.target, call.request.query
        if not target.resource.persisted:
            raise method_not_allowed()
        form = form_of(call.request.headers.get("Accept", ""))
        include = query.get("includeObject", "")

        def show(stored: Stored) -> bytes:
            if form == "table":
                metadata = {"resourceVersion": str(stored.version)}
                return encode(table(target.resource, [stored], metadata, include))
            return encode(partial(stored.obj)) if form == "partial" else stored.encoded

        if flag(query, "watch"):
            return await Watch(self.cluster, self.lists, target, query).serve(call.request, show)
        if target.name:
            return _json(show(self.cluster.find(target.resource, target.namespace, target.name)))
        page = self.lists.page(target, query)
        if form == "table":
            return _json(encode(table(target.resource, page.items, _list_metadata(page), include)))
        if form == "partial":
            items = [partial(item.obj) for item in page.items]
            shown = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return _json(encode({**shown, "metadata": _list_metadata(page), "items": items}))
        return _json(render(target.resource, page, f"{target.resource.kind}List"))

    def _create(self, call: Call) -> web.Response:
        target = call.target
        if not target.resource.persisted:
            if not isinstance(call.body, dict):
                raise bad_request("the body of the request is not an object")
            call.body.setdefault("apiVersion", target.resource.api_version)
            call.body.setdefault("kind", target.resource.kind)
            answer = auth.answer_review(self.authorizer, self.tokens, call.body, call.actor)
            return _json(encode(answer), status=201)
        if target.resource.namespaced and not target.namespace:
            raise method_not_allowed()
        outcome = self.writes.create(target.resource, target.namespace, call.body, call.actor, call.options)
        return self._written(call, outcome)

    def _patch(self, call: Call) -> web.Response:
        target = call.target
        content_type = call.request.headers.get("Content-Type", "").partition(";")[0].strip()
        outcome = self.writes.patch(
            target.resource,
            target.namespace,
            target.name,
            (content_type, call.body),
            call.actor,
            call.options,
            target.subresource,
        )
        return self._written(call, outcome)

    def _written(self, call: Call, outcome: Outcome) -> web.Response:
        form = form_of(call.request.headers.get("Accept", ""))
        if form == "table":
            metadata = {"resourceVersion": str(outcome.stored.version)}
            body = encode(table(call.target.resource, [outcome.stored], metadata))
        else:
            body = encode(partial(outcome.stored.obj)) if form == "partial" else outcome.stored.encoded
        response = _json(body, status=201 if outcome.created else 200)
        for warning in outcome.warnings:
            quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    def _delete_options(self, call: Call) -> DeleteOptions:
        body = call.body or {}
        if not isinstance(body, dict):
            raise bad_request("the body of the request is not a DeleteOptions object")
        query = call.request.query
        body = dict(body)
        grace = number(query, "gracePeriodSeconds")
        if grace is not None:
            body.setdefault("gracePeriodSeconds", grace)
        if query.get("propagationPolicy"):
            body.setdefault("propagationPolicy", query["propagationPolicy"])
        if "orphanDependents" in query:
            body.setdefault("orphanDependents", flag(query, "orphanDependents"))
        return DeleteOptions.read(body, call.options)

    def _delete(self, call: Call) -> web.Response:
        target = call.target
        outcome = self.deletion.delete(
            target.resource, target.namespace, target.name, call.actor, self._delete_options(call)
        )
        if not outcome.removed or target.resource.kind in RETURNED:
            return _json(outcome.stored.encoded)
        details: Object = {
            "name": target.name,
            "group": target.resource.group,
            "kind": target.resource.plural,
            "uid": outcome.stored.obj["metadata"]["uid"],
        }
        return _json(encode(success({key: value for key, value in details.items() if value})))

    def _delete_collection(self, call: Call) -> web.Response:
        target, options = call.target, self._delete_options(call)
        items = self.lists.select(target, matcher(target.resource, call.request.query))
        for item in items:
            metadata = item.obj["metadata"]
            self.deletion.delete(
                target.resource, metadata.get("namespace", ""), metadata["name"], call.actor, options
            )
        page = Page(items, self.cluster.store.version)
        return _json(render(target.resource, page, f"{target.resource.kind}List"))

    async def _subresource(self, call: Call) -> web.StreamResponse:
        routes: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("GET", "log"): self._log,
            ("GET", "exec"): self._exec,
            ("POST", "exec"): self._exec,
            ("GET", "proxy"): self._proxy,
            ("POST", "proxy"): self._proxy,
            ("DELETE", "proxy"): self._proxy,
            ("POST", "eviction"): self._evict,
            ("POST", "binding"): self._bind,
            ("POST", "token"): self._token,
            ("PUT", "finalize"): self._finalize,
            ("GET", "scale"): self._scale,
            ("PUT", "scale"): self._scale,
            ("PATCH", "scale"): self._scale,
        }
        route = routes.get((call.request.method, call.target.subresource))
        if route is None:
            raise method_not_allowed()
        return await route(call)

    def _object(self, call: Call) -> Object:
        target = call.target
        return self.cluster.find(target.resource, target.namespace, target.name).obj

    async def _log(self, call: Call) -> web.StreamResponse:
        return await streams.logs(call.request, call.target, self._object(call), self.kubelet)

    async def _exec(self, call: Call) -> web.StreamResponse:
        return await streams.execute(call.request, call.target, self._object(call), self.kubelet)

    async def _proxy(self, call: Call) -> web.StreamResponse:
        target, method = call.target, call.request.method
        if target.resource.plural == "services":
            service = self.cluster.find(target.resource, target.namespace, alertmanager.bare(target.name)).obj
            if (service["metadata"].get("labels") or {}).get(alertmanager.NAME_LABEL) == catalogd.NAME:
                return self.catalogd.answer(method, target.rest, call.request.query)
            return self._alertmanager.answer(method, target.rest, service, call.body)
        self._object(call)
        if method != "GET":
            raise method_not_allowed()
        return await streams.node_proxy(call.request, target, self.kubelet)

    async def _evict(self, call: Call) -> web.StreamResponse:
        target = call.target
        self.disruption.evict(
            target.resource, target.namespace, target.name, call.body or {}, call.actor, call.options
        )
        return _json(encode(success({})), status=201)

    async def _bind(self, call: Call) -> web.StreamResponse:
        bind(self.cluster, call.target, call.body or {}, call.actor, call.options)
        return _json(encode(success({})), status=201)

    async def _token(self, call: Call) -> web.StreamResponse:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **(call.body or {})}
        return _json(encode(self.tokens.request(self._object(call), body)), status=201)

    async def _finalize(self, call: Call) -> web.StreamResponse:
        stored = self.cluster.find(call.target.resource, "", call.target.name)
        obj: Object = json.loads(stored.encoded)
        obj["spec"] = (call.body or {}).get("spec", {})
        self.deletion.store_or_finish(call.target.resource, obj, call.actor)
        return _json(encode(obj))

    async def _scale(self, call: Call) -> web.StreamResponse:
        stored = self.cluster.find(call.target.resource, call.target.namespace, call.target.name)
        if call.request.method != "GET":
            content_type = call.request.headers.get("Content-Type", "").partition(";")[0].strip()
            wanted = scale.wanted(call.target.resource, stored.obj, call.body, content_type)
            obj = scale.scaled(call.target.resource, stored, wanted)
            stored = self.writes.update(
                call.target.resource, stored, obj, call.actor, call.options, verb="update"
            ).stored
        return _json(encode(scale.show(call.target.resource, stored.obj)))


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})


def success(details: Object) -> Object:
    """The Status of what is done and leaves nothing to show."""
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return status | ({"details": details} if details else {})


def _list_metadata(page: Page) -> Object:
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.token:
        metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
    return metadata
