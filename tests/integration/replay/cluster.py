"""A small twin in this process, at the pace of a test: an API server, the behaviours asked for, and a script.

The script stands for the kubelets, as it did in the recordings: a bound pod runs and is ready after a moment, a
deleted one ends after a shorter one. So nothing here shows a driver being loaded; other tests do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.integration.replay.normal import Fields, Recorder

from knowngood.twin import crds, up
from knowngood.twin.api.server import ApiServer
from knowngood.twin.api.store import Change
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import POD, condition, deleting, node_of, uid_of
from knowngood.twin.client import Client
from knowngood.twin.events import EventLog
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object

CRASHED = 11  # times: so often that nobody hopes any more
READY_S, ENDED_S = 0.1, 0.05
POLL_S = 0.02
CALM_POLLS = 12  # so many looks without news: a machine that stalls stalls the twin as well
PATIENCE_S = 60.0


class Replay:
    """A cluster to play edits on, and what became of it."""

    def __init__(self, twin: Twin, client: Client, recorder: Recorder, kubelets: Script) -> None:
        self.twin = twin
        self.client = client
        self.recorder = recorder
        self.kubelets = kubelets

    async def calm(self, polls: int = CALM_POLLS) -> None:
        """Wait until nothing has happened for a while."""
        async with asyncio.timeout(PATIENCE_S):
            quiet, before = 0, -1
            while quiet < polls:
                await asyncio.sleep(POLL_S)
                now = self.recorder.news()
                quiet = quiet + 1 if now == before and not self.kubelets.busy else 0
                before = now


class Script:
    """Runs pods in name only. `unready` and `crashing` say of which pods it must not, or no longer, be true; `late` of
    which it has not begun when the next thing happens to them.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._begun: set[str] = set()
        self._ending: set[str] = set()
        self.busy = 0
        self.unready: Callable[[Object], bool] = lambda _pod: False
        self.late: Callable[[Object], bool] = lambda _pod: False
        self.crashing: Callable[[Object], bool] = lambda _pod: False

    async def start(self) -> None:
        """Follow all pods."""
        await self._twin.cache.ensure(POD)
        self._twin.cache.listen(POD, self._changed)
        for pod in self._twin.cache.all(POD):
            self._changed("ADDED", pod)

    async def look_again(self) -> None:
        """Make what runs say what `unready` and `crashing` now say of it."""
        for pod in self._twin.cache.all(POD):
            if uid_of(pod) in self._begun and not deleting(pod):
                await self._twin.api.status(pod, self._status(pod))

    def _changed(self, event: str, pod: Object) -> None:
        uid = uid_of(pod)
        if event == "DELETED":
            return
        if deleting(pod) and uid not in self._ending:
            self._ending.add(uid)
            self._spawn(self._end(pod))
        elif node_of(pod) and uid not in self._begun and not deleting(pod) and not self.late(pod):
            self._begun.add(uid)
            self._spawn(self._begin(pod))

    def _spawn(self, work: Any) -> None:
        self.busy += 1
        self._twin.spawn(work, "script").add_done_callback(lambda _task: self._done())

    def _done(self) -> None:
        self.busy -= 1

    async def _begin(self, pod: Object) -> None:
        await asyncio.sleep(READY_S)
        if uid_of(pod) not in self._ending:
            await self._twin.api.status(pod, self._status(pod))

    async def _end(self, pod: Object) -> None:
        await asyncio.sleep(ENDED_S)
        await self._twin.api.delete(pod, grace=0)

    def _status(self, pod: Object) -> Object:
        broken = self.crashing(pod)
        ready = not broken and not self.unready(pod)
        state: Object = {"waiting": {"reason": "CrashLoopBackOff"}} if broken else {"running": {}}
        told = {"imageID": "", "ready": ready, "restartCount": CRASHED if broken else 0, "state": state}
        return {
            "phase": "Running",
            "conditions": [condition("Ready", ready)],
            "containerStatuses": [
                {"name": c["name"], "image": c["image"], **told} for c in pod["spec"]["containers"]
            ],
        }


@contextlib.asynccontextmanager
async def raised(
    folder: Path,
    plan: Seed,
    controllers: Sequence[type[Controller]],
    kinds: Mapping[str, Fields],
    *,
    there: Sequence[Object] = (),
    definitions: Sequence[Object] = (),
    scale: float = 600.0,
) -> AsyncIterator[Replay]:
    """The cluster with these objects and definitions beside the twin's own, at rest and recorded."""
    async with contextlib.AsyncExitStack() as stack:
        events = EventLog(folder / "events.jsonl")
        stack.callback(events.close)
        server = ApiServer(folder)
        for definition in (*crds.all_crds(openshift=bool(plan.openshift)), *definitions):
            server.install_crd(definition)
        for obj in there:
            server.seed(obj)
        recorder = Recorder(kinds, plan.gpu_operator.namespace)

        def changed(change: Change) -> None:
            recorder.note(change)

        server._cluster.store.subscribe(changed)
        await server.start()
        stack.push_async_callback(server.stop)
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(server.kubeconfig("twin")), encoding="utf-8")
        client = Client.from_kubeconfig(file, "replay")
        stack.push_async_callback(client.close)
        twin = up._twin(up.Options(plan, folder, file, time_scale=scale), client, events, server)
        stack.push_async_callback(twin.cache.stop)
        stack.push_async_callback(twin.stop)
        kubelets = Script(twin)
        await kubelets.start()
        for controller in controllers:
            await controller(twin).start()
        twin.clock.hurry = False
        replay = Replay(twin, client, recorder, kubelets)
        await replay.calm()
        yield replay
