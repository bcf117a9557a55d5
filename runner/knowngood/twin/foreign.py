"""A cluster that is not ours, for `twin up --on`: what we bring along, who works there already, what we wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import aiohttp

from knowngood.twin import faults
from knowngood.twin.api import meta
from knowngood.twin.api.attributes import Attributes, of_request
from knowngood.twin.behaviours.kube import kind_of, name_of, namespace_of, service_account
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.client import Client, ClientError
from knowngood.twin.values import Object

Audited = Callable[[Object], None]

RETRY_S = 0.1
TRIES = 100
PROBE_S = 5.0  # real controllers answer in well under a second
PROBE = "twin-probe"
_LATER = frozenset({404, 429, 500, 503, 504})  # a kind not served yet, a server that is busy
_POD: Object = {
    "nodeSelector": {"twin.knowngood.dev/nowhere": "true"},
    "containers": [{"name": "probe", "image": "registry.example.com/none:1"}],
}


class AuditedClient(Client):
    """Tells of each write that was accepted, in the words of the API server's own audit."""

    audited: Audited = staticmethod(lambda _record: None)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request and return its JSON answer."""
        answer = await super().request(method, path, query=query, body=body, content_type=content_type)
        if method != "GET":
            self.audited(self._record(of_request(method, path, query or {}), body, answer))
        return answer

    def _record(self, act: Attributes, body: Any, answer: Object) -> Object:
        shown = answer if answer.get("metadata", {}).get("uid") else {}
        kinds = {(one.group, one.plural): kind for kind, one in self._resources.items()}
        api_version, kind = kinds.get((act.group, act.resource), ("", act.resource))
        evicts = act.subresource == "eviction"
        metadata = shown.get("metadata", {})
        return {
            "time": meta.now_micro(),
            "verb": "evict" if evicts else act.verb,
            "apiVersion": shown.get("apiVersion", api_version),
            "kind": shown.get("kind", kind),
            "namespace": act.namespace,
            "name": act.name or metadata.get("name", ""),
            "uid": metadata.get("uid", ""),
            "user": "",
            "userAgent": "twin",
            "subresource": "" if evicts else act.subresource,
            "removed": act.verb == "delete" and "deletionTimestamp" not in metadata,
            "object": shown,
            "request": body,
        }


def placed(obj: Object, address: str, ports: Mapping[str, int]) -> Object:
    """A node of ours as another cluster may have it: with the address of its kubelet, or with none at all.

    An invented address may be somebody's: the API server would send exec and logs there, with its certificate.
    """
    if obj["kind"] != "Node":
        return obj
    status = {**obj["status"], "addresses": [], "daemonEndpoints": {}}
    if port := ports.get(name_of(obj)):
        status["addresses"] = [{"type": "InternalIP", "address": address}]
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": port}}
    return {**obj, "status": status}


async def bring(client: Client, objs: Iterable[Object]) -> None:
    """Create definitions and objects, with the accounts of their namespaces; what is there already stays."""
    for obj in objs:
        await _bring_one(client, obj)
        if obj["kind"] == "Namespace":
            await _bring_one(client, service_account("default", name_of(obj)))


async def _bring_one(client: Client, obj: Object) -> None:
    status = obj.get("status")
    body = {name: value for name, value in obj.items() if name != "status"}
    try:
        live = await _patiently(lambda: client.create(body))
    except ClientError as error:
        if error.code != 409:
            raise
        live = await client.get(kind_of(obj), name_of(obj), namespace_of(obj) or None)
        if obj["kind"] != "Node":
            return
        # One that an earlier twin left: our kubelets are elsewhere now, and perhaps it was never finished.
        ours = {name: obj["status"][name] for name in ("addresses", "daemonEndpoints")}
        status = {**obj["status"], **live.get("status", {}), **ours}
    if status is not None and obj["kind"] != "Namespace":
        await _write_status(client, live, status)


async def _write_status(client: Client, live: Object, status: Object) -> None:
    """Others write to a new object too: a 409 means a newer state, not that the status is there."""
    while True:
        try:
            await _patiently(partial(client.replace, {**live, "status": status}, subresource="status"))
        except ClientError as error:
            if error.code != 409:
                raise
            live = await client.get(kind_of(live), name_of(live), namespace_of(live) or None)
        else:
            return


async def _patiently(call: Callable[[], Awaitable[Object]]) -> Object:
    for _ in range(TRIES):
        try:
            return await call()
        except ClientError as error:
            if error.code not in _LATER:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(RETRY_S)
    return await call()


async def owned(client: Client) -> frozenset[str]:
    """Return which of our controllers' kinds have somebody who works on them: asked by an object of each.

    Every probe asks for nothing: no replicas, no node that would suit, a suspended Job.
    """
    probes = _probes()
    made = {name: await _made(client, probe) for name, probe in probes.items()}
    found: set[str] = set()
    end = time.monotonic() + PROBE_S
    while len(found) < len(probes) and time.monotonic() < end:
        for name in set(probes) - found:
            live = await _patiently(partial(client.get, kind_of(made[name]), PROBE, faults.NAMESPACE))
            if _is_seen(live):
                found.add(name)
        await asyncio.sleep(RETRY_S)
    options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
    for probe in made.values():
        await _gone(client, probe, options)
    if "deployment-controller" in found:  # of the same controller manager, and not to be asked without a node
        found.add(NodeLifecycle.name)
    return frozenset(found)


async def _gone(client: Client, probe: Object, options: Object) -> None:
    try:
        await client.delete(kind_of(probe), PROBE, faults.NAMESPACE, options=options)
    except ClientError as error:
        if error.code != 404:
            raise


async def _made(client: Client, probe: Object) -> Object:
    try:
        return await _patiently(partial(client.create, probe))
    except ClientError as error:
        if error.code != 409:  # left by a twin that was killed
            raise
        return await client.get(kind_of(probe), PROBE, faults.NAMESPACE)


def _probes() -> dict[str, Object]:
    labels = {"app": PROBE}
    template = {"metadata": {"labels": labels}, "spec": _POD}
    selected = {"selector": {"matchLabels": labels}, "template": template}
    job = {"template": {"spec": {**_POD, "restartPolicy": "Never"}}, "suspend": True}
    specs: dict[str, tuple[str, str, Object]] = {
        "deployment-controller": ("apps/v1", "Deployment", {**selected, "replicas": 0}),
        "replicaset-controller": ("apps/v1", "ReplicaSet", {**selected, "replicas": 0}),
        "statefulset-controller": (
            "apps/v1",
            "StatefulSet",
            {**selected, "replicas": 0, "serviceName": PROBE},
        ),
        "daemonset-controller": ("apps/v1", "DaemonSet", selected),
        "job-controller": ("batch/v1", "Job", job),
        Scheduler.name: ("v1", "Pod", _POD),
    }
    metadata = {"name": PROBE, "namespace": faults.NAMESPACE}
    return {
        name: {"apiVersion": version, "kind": kind, "metadata": dict(metadata), "spec": spec}
        for name, (version, kind, spec) in specs.items()
    }


def _is_seen(live: Object) -> bool:
    """Whether a controller has written into the status what only it writes."""
    status = live.get("status") or {}
    if live["kind"] == "Job":
        return bool(status)
    if live["kind"] == "Pod":
        return any(one["type"] == "PodScheduled" for one in status.get("conditions") or ())
    return bool(status.get("observedGeneration"))
