"""A twin with a few behaviours only: the API server, the cache, the controllers that a test names.

Pods have no kubelet: a new one is Running and Ready a moment after it was made, as in the recordings. With `runs` the
twin's own kubelets run them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from knowngood.twin import events, faults, objects, seed, up
from knowngood.twin.api.server import ApiServer
from knowngood.twin.behaviours.backend import Backend
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.faulty import Faults
from knowngood.twin.behaviours.kube import NAMESPACE, NODE, POD, Kind, condition, deleting, node_of
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.nodes import Machines
from knowngood.twin.client import Client
from knowngood.twin.events import EventLog
from knowngood.twin.values import Object

Story = Callable[["Play"], Awaitable[None]]
Cast = Callable[[Twin], Sequence[Controller]]
PATIENCE_S = 20.0
SPACE = "nvidia-gpu-operator"
DOCUMENT: Mapping[str, Any] = {
    "schema": 1,
    "cluster": "small",
    "kubernetes": "v1.31.9",
    "openshift": "4.18.52",
    "nodes": [],
    "gpuOperator": {"version": "26.3.2", "namespace": SPACE},
}


class Play:
    """What a story sees: a client, the twin, and what was written to an object since the start."""

    def __init__(self, twin: Twin, client: Client, state: Path) -> None:
        self.twin = twin
        self.client = client
        self._state = state
        self.history: list[tuple[str, Object]] = []

    async def until(self, what: str, holds: Callable[[], Any], patience: float = PATIENCE_S) -> None:
        """Wait for a condition on the cache."""
        try:
            async with asyncio.timeout(patience):
                while not holds():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"never came: {what}") from None

    async def quiet(self, seconds: float = 0.15) -> None:
        """Wait until nothing was written for so long: for what must not happen there is no other condition."""
        seen = -1
        while seen != len(self.history):
            seen = len(self.history)
            await asyncio.sleep(seconds)

    def get(self, kind: Kind, name: str, space: str = SPACE) -> Object:
        """An object that must be there."""
        found = self.twin.cache.get(kind, name, space)
        assert found is not None, f"{kind[1]} {space}/{name}"
        return found

    def said(self, kind: Kind, name: str, *path: str) -> list[Any]:
        """The values that a field went through, each named once in a row."""
        values: list[Any] = []
        for _, obj in self.history:
            if (obj["kind"], obj["metadata"]["name"]) == (kind[1], name):
                value: Any = obj
                for part in path:
                    value = (value or {}).get(part)
                if value is not None and values[-1:] != [value]:
                    values.append(value)
        return values

    def events(self, event: str) -> list[events.Event]:
        """The twin's own event log."""
        return [row for row in events.read(self._state / "events.jsonl") if row["event"] == event]

    async def fault(self, name: str, node: str = "", **params: str) -> None:
        """Inject a fault and wait until the twin knows it."""
        made = await self.client.create(faults.to_config_map(faults.make(name, node, params)))
        uid = made["metadata"]["uid"]
        await self.until(f"{name} is known", lambda: uid in self.twin.faults.uids())

    async def clear(self) -> None:
        """End all faults."""
        kind: Kind = ("v1", "ConfigMap")
        for obj in (await self.client.list(kind, faults.NAMESPACE, labels=faults.LABEL)).items:
            await self.client.delete(kind, obj["metadata"]["name"], faults.NAMESPACE)
        await self.until("no fault is left", lambda: not self.twin.faults.uids())

    def watch(self, *kinds: Kind) -> None:
        """Remember every state of these kinds."""
        for kind in kinds:
            self.twin.cache.listen(kind, lambda event, obj: self.history.append((event, obj)))


@contextlib.asynccontextmanager
async def raised(
    folder: Path,
    cast: Cast,
    scale: float,
    kinds: Sequence[Kind],
    document: Mapping[str, Any],
    *,
    runs: bool = False,
) -> AsyncIterator[Play]:
    """An API server with what the seed says, and these controllers."""
    state = folder / "state"
    state.mkdir()
    parsed = seed.parse({**DOCUMENT, **document})
    options = up.Options(parsed, state, folder / "kubeconfig", time_scale=scale)
    async with contextlib.AsyncExitStack() as stack:
        log = EventLog(state / "events.jsonl")
        stack.callback(log.close)
        server = ApiServer(state)
        for crd in up.crds_of(parsed):
            server.install_crd(crd)
        for obj in objects.all_objects(parsed):
            server.seed(obj)
        server.catalogd.catalogs = parsed.olm_v1.catalogs if parsed.olm_v1 else {}
        await server.start(0)
        stack.push_async_callback(server.stop)
        config = up._private(options.kubeconfig, server.kubeconfig("twin"))
        client = await stack.enter_async_context(Client.from_kubeconfig(config, "twin"))
        twin = up._twin(options, client, log, server)
        twin.clock.hurry = False
        stack.push_async_callback(twin.cache.stop)
        stack.push_async_callback(twin.stop)
        play = Play(twin, client, state)
        await twin.cache.ensure(NODE, POD, NAMESPACE, *kinds)
        play.watch(*kinds)
        twin.world.boot()
        kubelets = Kubelets(twin, up.special_program)
        twin.kubelet = server.kubelet = Backend(kubelets)
        lifecycle = NodeLifecycle(twin)
        await lifecycle.start()
        machines = Machines(twin, kubelets, lifecycle)
        twin.reboot = machines.reboot
        await machines.start()
        await Faults(twin, kubelets, machines).start()
        if runs:
            up.ask_webhooks(twin, server)
            await kubelets.start()
        else:
            _run_pods(twin)
        for controller in cast(twin):
            await controller.start()
        yield play


def _run_pods(twin: Twin) -> None:
    """New pods run and deleted ones end, without a scheduler or a kubelet."""

    async def run(pod: Object) -> None:
        await asyncio.sleep(0.01)
        status = {"phase": "Running", "conditions": [condition("Ready", status=True)]}
        await twin.api.status(pod, status)

    def changed(event: str, pod: Object) -> None:
        if event != "DELETED" and deleting(pod):
            twin.spawn(twin.api.delete(pod, grace=0), "end of a pod")
        elif event == "ADDED" and not pod["metadata"].get("deletionTimestamp"):
            twin.spawn(run(pod), f"pod on {node_of(pod)}")

    twin.cache.listen(POD, changed)


def play(
    folder: Path,
    story: Story,
    cast: Cast,
    scale: float = 300.0,
    kinds: Sequence[Kind] = (),
    *,
    runs: bool = False,
    **document: Any,
) -> None:
    """Tell the story on a cluster with these controllers; `document`: top-level keys of its seed."""

    async def run() -> None:
        async with raised(folder, cast, scale, kinds, document, runs=runs) as made:
            await story(made)

    asyncio.run(run())
