"""The behaviours' own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from knowngood.twin.client import Client, ClientError, Resource

from .conftest import Object, Twin

MAP = ("v1", "ConfigMap")


def config_map(name: str, namespace: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def use(twin: Twin, act: Callable[[Client], Awaitable[None]]) -> None:
    """Run the test's own coroutine with a client."""

    async def run() -> None:
        async with Client.from_kubeconfig(twin.kubeconfig, user_agent="behaviour") as client:
            await asyncio.wait_for(act(client), 20)

    asyncio.run(run())


def test_reads_and_writes(twin: Twin, namespace: str) -> None:
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
        (item,) = (await client.list(MAP, namespace)).items
        assert item["data"] == {"x": "2", "y": "3", "z": "4"}
        assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
        await client.delete(Resource("", "v1", "configmaps", namespaced=True), "a", namespace)
        with pytest.raises(ClientError) as gone:
            await client.get(MAP, "a", namespace)
        assert gone.value.code == 404

    use(twin, act)
    assert {one["userAgent"] for one in twin.log if one["namespace"] == namespace} == {"behaviour"}


def test_subresources_and_evictions(twin: Twin, namespace: str, pod: Callable[..., Object]) -> None:
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

    use(twin, act)


def test_an_unknown_kind_is_a_client_error(twin: Twin) -> None:
    async def act(client: Client) -> None:
        for target in (("v1", "Unheard"), ("nobody.example/v1", "Thing")):
            with pytest.raises(ClientError) as unknown:
                await client.get(target, "x")
            assert unknown.value.code == 404

    use(twin, act)


@asynccontextmanager
async def outage(twin: Twin) -> AsyncIterator[None]:
    """Take the API away for the block."""
    await asyncio.to_thread(_switch, twin, True)
    yield
    await asyncio.to_thread(_switch, twin, False)


def _switch(twin: Twin, out: bool) -> None:
    twin.in_loop(lambda: setattr(twin.server, "outage", out))


def test_following_survives_an_outage(twin: Twin, namespace: str) -> None:
    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace))
        events = client.follow(MAP, namespace)
        assert await _next(events) == ("ADDED", "a")
        async with outage(twin):
            await asyncio.to_thread(_write_from_inside, twin, namespace)
        assert await _next(events) == ("ADDED", "b")
        await client.delete(MAP, "a", namespace)
        assert await _next(events) == ("DELETED", "a")
        await events.aclose()

    use(twin, act)


def test_following_lists_again_when_its_version_is_too_old(
    twin: Twin, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deleted meanwhile is told too."""

    async def act(client: Client) -> None:
        await client.create(config_map("a", namespace))
        await client.create(config_map("b", namespace))
        events = client.follow(MAP, namespace)
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

    use(twin, act)


async def _expired() -> AsyncIterator[tuple[str, Object]]:
    yield "BOOKMARK", {"metadata": {"resourceVersion": "1"}}
    raise ClientError(410, {"reason": "Expired"}, "watch")


async def _next(events: AsyncIterator[tuple[str, Object]]) -> tuple[str, str]:
    kind, obj = await anext(events)
    return kind, obj["metadata"]["name"]


def _write_from_inside(twin: Twin, namespace: str) -> None:
    """Create a config map without the API, as something else did during the outage."""
    twin.in_loop(lambda: twin.server.seed(config_map("b", namespace)))
