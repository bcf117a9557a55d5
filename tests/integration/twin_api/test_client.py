"""The behaviours' own client: through a socket, and in the server's process. Both must see the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from knowngood.twin.client import Client, ClientError, Resource
from knowngood.twin.local import LocalClient

from .conftest import Object, Twin

Act = Callable[[Client], Awaitable[None]]
Use = Callable[[Act], None]

MAP = ("v1", "ConfigMap")
OURS = "metadata.name!=kube-root-ca.crt"


def config_map(name: str, namespace: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


@pytest.fixture(params=["socket", "process"])
def use(twin: Twin, request: pytest.FixtureRequest) -> Use:
    """Runs the test's own coroutine with a client of the one kind or the other."""

    async def through_a_socket(act: Act) -> None:
        async with Client.from_kubeconfig(twin.kubeconfig, user_agent="behaviour") as client:
            await asyncio.wait_for(act(client), 20)

    async def in_the_process(act: Act) -> None:
        async with LocalClient(twin.server, "behaviour") as client:
            await asyncio.wait_for(act(client), 20)

    if request.param == "socket":
        return lambda act: asyncio.run(through_a_socket(act))
    return lambda act: asyncio.run_coroutine_threadsafe(in_the_process(act), twin.loop).result(30)


def test_reads_and_writes(twin: Twin, namespace: str, use: Use) -> None:
    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace, x="1"))
        found = await client.get(MAP, "a", namespace)
        await client.replace({**found, "data": {"x": "2"}})
        with pytest.raises(ClientError) as stale:
            await client.replace(found)
        assert (stale.value.code, stale.value.reason) == (409, "Conflict")
        await client.patch(MAP, "a", {"data": {"y": "3"}}, namespace)
        applied = config_map("a", namespace, z="4")
        await client.patch(MAP, "a", applied, namespace, kind="apply", manager="argo", force=True)
        (item,) = (await client.list(MAP, namespace, fields=OURS)).items
        assert item["data"] == {"x": "2", "y": "3", "z": "4"}
        assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
        await client.delete(Resource("", "v1", "configmaps", namespaced=True), "a", namespace)
        with pytest.raises(ClientError) as gone:
            await client.get(MAP, "a", namespace)
        assert gone.value.code == 404

    use(act)
    ours = [one for one in twin.log if (one["namespace"], one["name"]) == (namespace, "a")]
    assert {one["userAgent"] for one in ours} == {"behaviour"}


def test_subresources_and_evictions(namespace: str, pod: Callable[..., Object], use: Use) -> None:
    async def act(client: Client) -> None:
        body = {"apiVersion": "v1", "kind": "Pod", **pod("p")}
        await client.create(body, namespace)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "p"},
            "target": {"kind": "Node", "name": "n1"},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/p/binding"
        await client.request("POST", path, body=binding)
        status = {"status": {"phase": "Running"}}
        patched = await client.patch(("v1", "Pod"), "p", status, namespace, subresource="status")
        assert (patched["spec"]["nodeName"], patched["status"]["phase"]) == ("n1", "Running")
        await client.evict(namespace, "p", options={"preconditions": {"uid": patched["metadata"]["uid"]}})
        marked = await client.get(("v1", "Pod"), "p", namespace)
        assert "deletionTimestamp" in marked["metadata"]

    use(act)


def test_an_unknown_kind_is_a_client_error(use: Use) -> None:
    async def act(client: Client) -> None:
        for target in (("v1", "Unheard"), ("nobody.example/v1", "Thing")):
            with pytest.raises(ClientError) as unknown:
                await client.get(target, "x")
            assert unknown.value.code == 404

    use(act)


@asynccontextmanager
async def outage(twin: Twin) -> AsyncIterator[None]:
    """Take the API away for the block."""
    await asyncio.to_thread(_switch, twin, True)
    yield
    await asyncio.to_thread(_switch, twin, False)


def _switch(twin: Twin, out: bool) -> None:
    twin.in_loop(lambda: setattr(twin.server, "outage", out))


def test_following_survives_an_outage(twin: Twin, namespace: str, use: Use) -> None:
    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace))
        events = client.follow(MAP, namespace, fields=OURS)
        assert await _next(events) == ("ADDED", "a")
        async with outage(twin):
            await asyncio.to_thread(_write_from_inside, twin, namespace)
        assert await _next(events) == ("ADDED", "b")
        await client.delete(MAP, "a", namespace)
        assert await _next(events) == ("DELETED", "a")
        await events.aclose()

    use(act)


def test_following_lists_again_when_its_version_is_too_old(
    namespace: str, monkeypatch: pytest.MonkeyPatch, use: Use
) -> None:
    """What was deleted meanwhile is told too."""

    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace))
        await client.create(config_map("b", namespace))
        events = client.follow(MAP, namespace, fields=OURS)
        assert {await _next(events), await _next(events)} == {("ADDED", "a"), ("ADDED", "b")}
        plain, calls = client.watch, []

        def expired_once(*arguments: object, **options: object) -> object:
            calls.append(options)
            if len(calls) == 1:
                return _expired()
            return plain(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(client, "watch", expired_once)
        await client.delete(MAP, "a", namespace)
        assert await _next(events) == ("DELETED", "a")
        await client.create(config_map("c", namespace))
        assert await _next(events) == ("ADDED", "c")
        assert len(calls) == 2
        await events.aclose()

    use(act)


def test_what_a_behaviour_sends_is_its_own_afterwards(namespace: str, use: Use) -> None:
    """A template that is used again, and changed, does not change what was made of it."""

    async def act(client: Client) -> None:
        template = config_map("a", namespace, x="1")
        await client.create(template)
        template["data"]["x"] = "2"
        patch = {"metadata": {"labels": {"of": "mine"}}}
        await client.patch(MAP, "a", patch, namespace)
        patch["metadata"]["labels"]["of"] = "another"
        found = await client.get(MAP, "a", namespace)
        assert (found["data"], found["metadata"]["labels"]) == ({"x": "1"}, {"of": "mine"})
        assert "uid" not in template["metadata"]

    use(act)


def test_what_is_deleted_is_answered_alike(namespace: str, pod: Callable[..., Object], use: Use) -> None:
    """A pod that goes is shown, of all else it is said that it is gone; a wrong uid is refused."""

    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace))
        await client.create({"apiVersion": "v1", "kind": "Pod", **pod("p")}, namespace)
        with pytest.raises(ClientError) as other:
            await client.delete(MAP, "a", namespace, options={"preconditions": {"uid": "another"}})
        assert other.value.code == 409
        assert (await client.delete(MAP, "a", namespace))["kind"] == "Status"
        assert (await client.delete(("v1", "Pod"), "p", namespace))["kind"] == "Pod"

    use(act)


def test_during_an_outage_nothing_is_answered_and_open_watches_end(
    twin: Twin, namespace: str, use: Use
) -> None:
    async def act(client: Client) -> None:
        version = (await client.list(MAP, namespace)).resource_version
        watching = client.watch(MAP, namespace, resource_version=version)
        await client.create(config_map("a", namespace))
        assert await _next(watching) == ("ADDED", "a")
        waiting = asyncio.ensure_future(anext(watching))
        async with outage(twin):
            with pytest.raises((aiohttp.ClientError, StopAsyncIteration)):
                await waiting
            with pytest.raises(aiohttp.ClientError):
                await client.get(MAP, "a", namespace)
        await client.get(MAP, "a", namespace)

    use(act)


async def _expired() -> AsyncIterator[tuple[str, Object]]:
    yield "BOOKMARK", {"metadata": {"resourceVersion": "1"}}
    raise ClientError(410, {"reason": "Expired"}, "watch")


async def _next(events: AsyncIterator[tuple[str, Object]]) -> tuple[str, str]:
    kind, obj = await anext(events)
    return kind, obj["metadata"]["name"]


def _write_from_inside(twin: Twin, namespace: str) -> None:
    """Create a config map without the API, as something else did during the outage."""
    twin.in_loop(lambda: twin.server.seed(config_map("b", namespace)))
