"""What each behaviour is given: the API with retries, the cache, the machines, scaled time, faults, events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from knowngood.twin.api.kubelet import KubeletBackend
from knowngood.twin.behaviours.cache import Cache
from knowngood.twin.behaviours.kube import APPLICATION, Kind, deleting, kind_of, name_of, namespace_of, uid_of
from knowngood.twin.client import Client, ClientError, PatchKind
from knowngood.twin.events import EventLog
from knowngood.twin.faults import Fault, FaultBook
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object
from knowngood.twin.world import World

log = logging.getLogger("twin")

RETRY_S = 0.2
FEW_NODES = 20
SUM_EACH_S = 0.0005  # real seconds a node
FaultHandler = Callable[[Fault, str], Coroutine[Any, Any, None]]
"""What a fault does on a node ("" where none is meant)."""
RETRIED_CODES = {500, 502, 503, 504}
MAY_NOT_GO = frozenset({429, 500})
"""Answers to an eviction: a budget says no, or two budgets hold the pod."""


class Clock:
    """Scaled durations. In a hurry (while the cluster settles) nothing takes time."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.hurry = True

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` of the cluster's time pass."""
        await asyncio.sleep(self.real(seconds))

    async def pause(self, seconds: float) -> None:
        """Like sleep, but never less than 20 real milliseconds: for waits that look again."""
        await asyncio.sleep(max(self.real(seconds), 0.02))

    def real(self, seconds: float) -> float:
        """How many real seconds that many of the cluster's are."""
        return 0.0 if self.hurry else seconds / self.scale


class Api:
    """The client with the behaviours' manners: an unreachable server is waited for, answers go to the cache."""

    def __init__(self, client: Client, cache: Cache) -> None:
        self.client = client
        self._cache = cache

    async def create(self, obj: Object) -> Object:
        """Create the object and note it."""
        answer = await _patiently(lambda: self.client.create(obj))
        self._cache.note(answer)
        return answer

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """Read one object as it is now, not as the cache has it; None where there is none."""
        try:
            return await _patiently(lambda: self.client.get(kind, name, namespace or None))
        except ClientError as error:
            if error.code != 404:
                raise
            return None

    async def ensure(self, obj: Object) -> None:
        """Create the object unless one of its name is there."""
        try:
            await self.create(obj)
        except ClientError as error:
            if error.code != 409:
                raise

    async def patch(
        self, obj: Object, patch: Any, *, kind: PatchKind = "merge", subresource: str | None = None
    ) -> Object:
        """Patch that very object; ClientError 404 when it is gone."""
        answer = await _patiently(
            lambda: self.client.patch(
                kind_of(obj),
                name_of(obj),
                patch,
                namespace_of(obj) or None,
                kind=kind,
                subresource=subresource,
            )
        )
        self._cache.note(answer)
        return answer

    async def status(self, obj: Object, status: Object) -> Object | None:
        """Merge into the object's status; None when it is gone or replaced by another of its name."""
        patch = {"metadata": {"uid": uid_of(obj)}, "status": status}
        # Application has no status subresource: Argo CD writes the whole object.
        subresource = None if kind_of(obj) == APPLICATION else "status"
        try:
            return await self.patch(obj, patch, subresource=subresource)
        except ClientError as error:
            if error.code in {404, 409, 422}:
                return None
            raise

    async def delete(self, obj: Object, *, grace: int | None = None) -> None:
        """Delete that very object (by uid), and what it owns; one that is gone is fine."""
        # Named, because Jobs would leave their pods behind.
        options: Object = {"preconditions": {"uid": uid_of(obj)}, "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        kind, namespace = kind_of(obj), namespace_of(obj) or None
        try:
            answer = await _patiently(
                lambda: self.client.delete(kind, name_of(obj), namespace, options=options)
            )
        except ClientError as error:
            if error.code not in {404, 409}:
                raise
            return
        if grace == 0 or not (answer.get("metadata") and deleting(answer)):
            self._cache.forget(obj)
        elif answer.get("kind") != "Status":
            self._cache.note({"apiVersion": kind[0], "kind": kind[1], **answer})

    async def evict(self, pod: Object) -> None:
        """Evict that very pod; ClientError of a code in MAY_NOT_GO where budgets forbid it."""
        options = {"preconditions": {"uid": uid_of(pod)}}
        await _patiently(
            lambda: self.client.evict(namespace_of(pod), name_of(pod), options=options), final=MAY_NOT_GO
        )

    async def bind(self, pod: Object, node: str) -> None:
        """Bind a pod to a node, as the scheduler does."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        path = f"/api/v1/namespaces/{namespace_of(pod)}/pods/{name_of(pod)}/binding"
        await _patiently(lambda: self.client.request("POST", path, body=binding))


async def _patiently(call: Callable[[], Awaitable[Object]], final: Collection[int] = ()) -> Object:
    """Ask until there is an answer; `final`: codes that are one here."""
    while True:
        try:
            return await call()
        except ClientError as error:
            if error.code not in RETRIED_CODES or error.code in final:
                raise
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(RETRY_S)


async def _nobody(node: str, _cause: str, _seconds: float) -> None:
    raise LookupError(f"this twin has no machines to reboot: {node}")


@dataclass
class Twin:
    """Shared by all behaviours."""

    seed: Seed
    client: Client
    cache: Cache
    api: Api
    clock: Clock
    world: World
    events: EventLog
    faults: FaultBook
    python_path: str
    pods_dir: Any
    os: tuple[str, str]  # the driver image's OS tag, NFD's OSTREE_VERSION
    served: set[Kind]  # optional kinds that this cluster has
    without: frozenset[str] = frozenset()  # controllers that real ones play, by name
    set_outage: Callable[[bool], None] | None = None
    host_ip: Callable[[str], str] = lambda _node: ""  # of a node; "" where it has no address
    fire: Callable[[str, str], None] = lambda _when, _node: None  # sets off faults; see faulty.py
    handlers: dict[str, FaultHandler] = field(default_factory=dict)  # of faults that a behaviour sets off
    enders: dict[str, FaultHandler] = field(default_factory=dict)  # what they do when the fault is cleared
    operators: dict[str, str] = field(default_factory=dict)  # those of OLM: package -> version that runs
    releases: set[str] = field(
        default_factory=set
    )  # of OpenShift, that this cluster has begun: their toolkits are there
    openshift: str = ""  # the newest that is complete
    release: Callable[[str], None] = lambda _version: (
        None
    )  # another OpenShift's configs are rendered from now on
    reboot: Callable[[str, str, float], Awaitable[None]] = _nobody  # node, cause, seconds; see nodes.py
    kubelet: KubeletBackend | None = None  # exec, logs and journal, as the API server is given them
    causes: dict[str, str] = field(default_factory=dict)  # pod uid -> why a controller deleted it
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def operator_version(self, name: str, otherwise: str) -> str:
        """Which version of an operator runs: what OLM installed, "" while that is gone; `otherwise` without OLM."""
        found = [version for package, version in self.operators.items() if package.startswith(name)]
        return found[0] if found else otherwise

    def tenant_of(self, namespace: str) -> str:
        """Whose namespace it is; "" for the platform's."""
        return next((t.name for t in self.seed.tenants if t.namespace == namespace), "")

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something beside; a failure is logged, never lost."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def stop(self) -> None:
        """Cancel everything spawned."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed: %s", task.get_name(), error, exc_info=error)


class Controller:
    """Works on keys one after the other; a key that comes again while it waits is worked on once.

    A failed reconcile is repeated with a growing pause.
    """

    name = "controller"
    watches: tuple[Kind, ...] = ()

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.cache = twin.cache
        self.api = twin.api
        self._waiting: dict[Any, None] = {}
        self._wake = asyncio.Event()
        self._failures: dict[Any, int] = {}
        self._soon: set[Any] = set()

    async def start(self) -> None:
        """Watch, then work for ever in a task."""
        await self.cache.ensure(*self.watches)
        self.listen()
        self.twin.spawn(self._work(), self.name)

    def listen(self) -> None:
        """Register callbacks and enqueue what is there already."""
        raise NotImplementedError

    async def reconcile(self, key: Any) -> None:
        """Bring one key to what it should be. Level-triggered: reads the cache, not the event."""
        raise NotImplementedError

    def enqueue(self, key: Any) -> None:
        """Work on this key soon."""
        self._waiting[key] = None
        self._wake.set()

    def enqueue_later(self, key: Any, real_seconds: float) -> None:
        """Work on this key after that many real seconds."""
        asyncio.get_running_loop().call_later(real_seconds, self.enqueue, key)

    def enqueue_soon(self, key: Any) -> None:
        """Work on this key once for many changes: at once on a small cluster, after a moment on a large one.

        For sums over all nodes, which would else be made anew for each of them.
        """
        nodes = len(self.twin.seed.nodes)
        if nodes <= FEW_NODES:
            self.enqueue(key)
        elif key not in self._soon:
            self._soon.add(key)
            asyncio.get_running_loop().call_later(nodes * SUM_EACH_S, self._sooner, key)

    def _sooner(self, key: Any) -> None:
        self._soon.discard(key)
        self.enqueue(key)

    def every(self, kind: Kind, key: Callable[[Object], Any], *, soon: bool = False) -> None:
        """Enqueue key(obj) on each change of a kind, and for each object there already; None is ignored.

        `soon`: once for many changes, as `enqueue_soon`.
        """

        def changed(_event: str, obj: Object) -> None:
            found = key(obj)
            if found is not None:
                (self.enqueue_soon if soon else self.enqueue)(found)

        self.cache.listen(kind, changed)
        for obj in self.cache.all(kind):
            changed("ADDED", obj)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            try:
                await self.reconcile(key)
                self._failures.pop(key, None)
            except Exception as error:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                quiet = isinstance(error, ClientError) and error.code in {404, 409}
                log.log(logging.DEBUG if quiet else logging.WARNING, "%s %s: %s", self.name, key, error)
                self.enqueue_later(key, min(0.05 * 2**failures, 5.0))
