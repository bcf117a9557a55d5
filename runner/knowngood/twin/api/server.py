"""The API server as one object: state, TLS, tokens and the listening socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from knowngood.twin.api import auth, bootstrap
from knowngood.twin.api.bodies import MAX_BODY
from knowngood.twin.api.catalogd import Catalogd
from knowngood.twin.api.cluster import Actor, Cluster
from knowngood.twin.api.direct import Direct
from knowngood.twin.api.discovery import DEFAULT_VERSION
from knowngood.twin.api.errors import ApiError, internal
from knowngood.twin.api.handler import Handler
from knowngood.twin.api.kubelet import KubeletBackend
from knowngood.twin.api.rbac import MASTERS
from knowngood.twin.api.remote import RemoteKubelets
from knowngood.twin.api.store import encode
from knowngood.twin.api.tally import Tally
from knowngood.twin.api.tls import LOOPBACK, Authority, new_authority
from knowngood.twin.api.webhooks import Webhook
from knowngood.twin.values import Object

EventLog = Callable[[Object], None]

_log = logging.getLogger(__name__)

HOST = LOOPBACK
AUTHENTICATION = "extension-apiserver-authentication"
SEED = Actor("system:seed", "seed")
SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
SHUTDOWN_S = 1.0
CLOSING_TURNS = 10  # of the loop: an aborted TLS connection lets go of its socket a few turns later


class ApiServer:
    """A Kubernetes API server in this process; each start makes a new CA and new tokens.

    The uid of kube-system, the cluster's identity, is made with the object: never the same twice. `version`
    is what /version says; the schemas are those of Kubernetes 1.34 whatever it is.
    """

    def __init__(
        self, state_dir: Path, *, event_log: EventLog | None = None, version: str = DEFAULT_VERSION
    ) -> None:
        self._state_dir = state_dir
        self._cluster = Cluster(event_log)
        self.tally = Tally()
        self._tokens = auth.Tokens(self._cluster)
        self._handler = Handler(self._cluster, self._tokens, version)
        self._outage = False
        self._authority: Authority | None = None
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._collector: asyncio.Task[None] | None = None
        self._port = 0
        self._direct: list[Direct] = []
        for name in SYSTEM_NAMESPACES:
            self.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            account = {"name": "default", "namespace": name}
            self.seed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        for role in bootstrap.roles():
            self.seed(role)

    @property
    def kubelet(self) -> KubeletBackend | None:
        """Who answers for the nodes; until it is set, exec, logs and the journal say that nobody does."""
        return self._handler.kubelet

    @kubelet.setter
    def kubelet(self, backend: KubeletBackend | None) -> None:
        self._handler.kubelet = backend

    @property
    def catalogd(self) -> Catalogd:
        """What serves the catalogs of OLM v1."""
        return self._handler.catalogd

    @property
    def outage(self) -> bool:
        """Whether the API is out: while True, open connections are cut and new requests dropped."""
        return self._outage

    @outage.setter
    def outage(self, out: bool) -> None:
        self._outage = out
        for direct in self._direct if out else ():
            direct.cut()
        if out and self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    def install_crd(self, crd: Object) -> None:
        """Serve the kind of a CustomResourceDefinition (apiextensions.k8s.io/v1)."""
        self.seed({name: value for name, value in crd.items() if name != "status"})

    def seed(self, obj: Object) -> Object:
        """Store an object as it is, status and uid included, and return it as stored.

        Raises ApiError where it is no valid object of a served kind. A Namespace that is there already
        takes the seed's labels and annotations.
        """
        resource = self._cluster.resources.of_kind(obj["apiVersion"], obj["kind"])
        if resource is None:
            message = f"the twin serves no kind {obj['kind']} in {obj['apiVersion']}; install its CRD first"
            raise ApiError(404, "NotFound", message)
        if resource.kind == "Namespace" and obj["metadata"]["name"] in SYSTEM_NAMESPACES:
            found = self._cluster.store.get(resource.key, "", obj["metadata"]["name"])
            if found is not None:
                return self._relabel(found.obj, obj)
        return self._handler.writes.seed(resource, obj, SEED).stored.obj

    def find(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object as it is stored, without a request; None where there is none."""
        resource = self._cluster.resources.of_kind(api_version, kind)
        stored = None if resource is None else self._cluster.store.get(resource.key, namespace, name)
        return None if stored is None else stored.obj

    def ask(self, api_version: str, kind: str, webhook: Webhook) -> None:
        """Ask this webhook from now on before an object of the kind is created or changed."""
        self._cluster.webhooks[api_version, kind] = webhook

    def direct(self, user: str) -> Direct:
        """Return a way for who lives in this process, who may do everything. An outage breaks its watches."""
        known = self._tokens.identify(f"Bearer {self._tokens.issue(user, (MASTERS,))}")
        self._direct.append(Direct(self._handler, replace(known, agent=user)))
        return self._direct[-1]

    def _relabel(self, present: Object, wanted: Object) -> Object:
        metadata = dict(present["metadata"])
        for field in ("labels", "annotations"):
            if wanted["metadata"].get(field):
                metadata[field] = {**metadata.get(field, {}), **wanted["metadata"][field]}
        return self._cluster.store.put("/namespaces", {**present, "metadata": metadata}).obj

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface; port 0 takes a free one."""
        self._authority = new_authority(self._state_dir)
        if self._handler.kubelet is None:
            self._handler.kubelet = RemoteKubelets(self._cluster, self._authority.client)
        self._publish_authority()
        self._handler.collector.certificate = self._authority.certificate.decode()
        self._handler.collector.furnish_all()
        self._server = web.Server(
            self._serve, request_factory=_new_request, handler_cancellation=True, access_log=None
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port, ssl_context=self._authority.context)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._collector = asyncio.create_task(self._handler.collector.run(), name="collector")

    def _publish_authority(self) -> None:
        """Say whose certificates this server carries when it meets a kubelet."""
        assert self._authority is not None  # noqa: S101 (made just now)
        bundle = {"client-ca-file": self._authority.certificate.decode()}
        metadata = {"name": AUTHENTICATION, "namespace": "kube-system"}
        self.seed({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": bundle})

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._collector is not None:
            self._collector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collector
        if self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0)

    def kubeconfig(self, user: str = auth.ADMIN, groups: tuple[str, ...] = (MASTERS,)) -> Object:
        """Return a kubeconfig with a new token for the user, by default of those who may do everything.

        The server must have been started.
        """
        if self._authority is None:
            raise RuntimeError("the API server has no address before start()")
        certificate = base64.b64encode(self._authority.certificate).decode()
        server = {"server": f"https://{HOST}:{self._port}", "certificate-authority-data": certificate}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "twin", "cluster": server}],
            "users": [{"name": user, "user": {"token": self._tokens.issue(user, groups)}}],
            "contexts": [{"name": "twin", "context": {"cluster": "twin", "user": user}}],
            "current-context": "twin",
        }

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._outage:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        answer = await self._answer(request)
        self.tally.count(request, answer)
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._handler.answer(request)
        except ApiError as error:
            return _refusal(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s %s", request.method, request.path)
            return _refusal(internal(f"{type(error).__name__}: {error}"))


def _new_request(*parts: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=2 * MAX_BODY)


def _refusal(error: ApiError) -> web.Response:
    headers = {"Content-Type": "application/json", **error.headers}
    return web.Response(body=encode(error.status()), status=error.code, headers=headers)
