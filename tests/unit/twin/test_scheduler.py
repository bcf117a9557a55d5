"""The scheduler asks what changed, not every node about every pod; and what it tells a pod stays true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import pytest

from knowngood.twin.behaviours.cache import Cache
from knowngood.twin.behaviours.context import Api, Twin
from knowngood.twin.behaviours.kube import NODE, POD, name_of, node_of
from knowngood.twin.behaviours.rooms import Room
from knowngood.twin.behaviours.scheduler import ALL, Scheduler
from knowngood.twin.client import Client, Listing
from knowngood.twin.values import Object

GPU = "nvidia.com/gpu"
FLEET = 200


def node(name: str, gpus: int = 8, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"allocatable": {GPU: str(gpus)}},
    }


def pod(name: str, gpus: int = 8, on: str = "", **spec: Any) -> Object:
    container: Object = {"name": "c", "resources": {"limits": {GPU: str(gpus)}} if gpus else {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-11-28T00:00:00Z",
        },
        "spec": {"containers": [container], **({"nodeName": on} if on else {}), **spec},
        "status": {"phase": "Running" if on else "Pending"},
    }


class FakeClient(Client):
    """Objects in a dictionary; what is written goes to the cache as a watch would bring it."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = {(o["kind"], name_of(o)): o for o in objects}
        self.cache: Cache
        self.version = 1
        self.told: list[str] = []

    async def list(self, target: Any, namespace: str | None = None, **_: Any) -> Listing:
        return Listing([self.stamped(o) for o in self.objects.values() if o["kind"] == target[1]], "1")

    async def watch(self, *_: Any, **__: Any) -> AsyncGenerator[tuple[str, Object], None]:
        await asyncio.Event().wait()
        yield "", {}

    def stamped(self, obj: Object) -> Object:
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        self.objects[obj["kind"], name_of(obj)] = {**obj, "metadata": metadata}
        return self.objects[obj["kind"], name_of(obj)]

    def put(self, obj: Object) -> None:
        self.cache.note(self.stamped(obj))

    async def patch(self, target: Any, name: str, patch: Any, *_: Any, **__: Any) -> Object:
        old = self.objects[target[1], name]
        self.told.append(name)
        return self.stamped({**old, "status": {**old["status"], **patch["status"]}})

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Object:
        """A binding."""
        old = self.objects["Pod", body["metadata"]["name"]]
        self.put({**old, "spec": {**old["spec"], "nodeName": body["target"]["name"]}})
        return {}


class Stage:
    """A scheduler over a fake client; each `pass_` does what is due."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        client.cache = self.cache = Cache(client)
        twin = cast(Any, type("T", (), {"cache": self.cache, "api": Api(client, self.cache)})())
        self.scheduler = Scheduler(cast(Twin, twin))

    async def pass_(self) -> None:
        while self.scheduler._waiting:
            self.scheduler._waiting.clear()
            await self.scheduler.reconcile(ALL)

    def where(self) -> dict[str, str]:
        return {name_of(p): node_of(p) for p in self.cache.all(POD)}

    def message(self, name: str) -> str:
        found = self.cache.get(POD, name, "n")
        assert found is not None
        return str(found["status"]["conditions"][0]["message"])


def play(objects: list[Object], story: Callable[[Stage], Awaitable[None]]) -> None:
    async def go() -> None:
        stage = Stage(FakeClient(objects))
        try:
            await stage.cache.ensure(NODE, POD, ("scheduling.run.ai/v2alpha2", "PodGroup"))
            stage.scheduler.listen()
            await stage.pass_()
            await story(stage)
        finally:
            await stage.cache.stop()

    asyncio.run(go())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes that were asked whether a pod fits, each time."""
    found: list[str] = []
    real = Room.why_not

    def why_not(self: Room, demand: Any) -> str | None:
        found.append(self.name)
        return real(self, demand)

    monkeypatch.setattr(Room, "why_not", why_not)
    return found


def test_a_change_that_gives_no_room_asks_that_node_only(asked: list[str]) -> None:
    """Two hundred full nodes and three hundred pods that wait: once 60,000 questions at each change."""
    nodes = [node(f"gpu-{i}") for i in range(FLEET)]
    full = [pod(f"full-{i}", on=f"gpu-{i}") for i in range(FLEET)]
    waiting = [pod(f"waits-{i}") for i in range(300)]

    async def story(stage: Stage) -> None:
        asked.clear()
        stage.client.told.clear()
        heartbeat = node("gpu-7")
        heartbeat["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        stage.client.put(heartbeat)
        await stage.pass_()
        assert asked == []
        stage.client.put(node("gpu-7", gpus=9))  # still one too few free
        await stage.pass_()
        assert set(asked) == {"gpu-7"}
        assert stage.client.told == []

    play([*nodes, *full, *waiting], story)


def test_a_node_that_gets_free_takes_one_and_the_others_are_not_asked_again(asked: list[str]) -> None:
    nodes = [node(f"gpu-{i}") for i in range(FLEET)]
    full = [pod(f"full-{i}", on=f"gpu-{i}") for i in range(FLEET)]
    waiting = [pod(f"waits-{i}") for i in range(300)]

    async def story(stage: Stage) -> None:
        asked.clear()
        stage.cache.forget(stage.client.objects["Pod", "full-7"])
        await stage.pass_()
        assert [n for p, n in stage.where().items() if p.startswith("waits") and n] == ["gpu-7"]
        assert len(asked) < 4 * FLEET

    play([*nodes, *full, *waiting], story)


def test_the_words_for_a_pod_follow_what_hinders_it() -> None:
    """Full, then cordoned: whoever reads the pod is told what is so now."""
    only: Any = {"nodeSelector": {"kubernetes.io/hostname": "gpu-1"}}

    async def story(stage: Stage) -> None:
        assert "1 Insufficient nvidia.com/gpu" in stage.message("waits")
        stage.client.put(node("gpu-1", unschedulable=True))
        await stage.pass_()
        assert "1 node(s) were unschedulable" in stage.message("waits")
        stage.cache.forget(stage.client.objects["Pod", "full"])
        stage.client.put(node("gpu-1"))
        await stage.pass_()
        assert stage.where()["waits"] == "gpu-1"

    play([node("gpu-1"), node("gpu-2"), pod("full", on="gpu-1"), pod("waits", **only)], story)


def test_devices_are_counted_once_however_often_a_pod_is_told_of() -> None:
    async def story(stage: Stage) -> None:
        assert stage.where() == {"a": "gpu-1", "b": "gpu-1", "c": ""}
        bound = stage.client.objects["Pod", "a"]
        stage.client.put({**bound, "status": {"phase": "Running"}})
        await stage.pass_()
        stage.client.put({**bound, "status": {"phase": "Succeeded"}})
        await stage.pass_()
        assert stage.where()["c"] == "gpu-1"

    play([node("gpu-1"), pod("a", 4), pod("b", 4), pod("c", 4)], story)


def test_a_pod_that_may_run_on_one_node_only_asks_no_other(asked: list[str]) -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-3"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}

    async def story(stage: Stage) -> None:
        assert stage.where() == {"probe": "gpu-3"}
        assert set(asked) == {"gpu-3"}

    nodes = [node(f"gpu-{i}") for i in range(FLEET)]
    play([*nodes, pod("probe", 0, affinity={"nodeAffinity": required})], story)
