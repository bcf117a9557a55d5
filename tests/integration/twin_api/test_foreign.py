"""How a twin settles on a cluster that is not its own, one act at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from knowngood.twin import foreign, objects, seed
from knowngood.twin.behaviours.kube import NODE
from knowngood.twin.client import Client
from knowngood.twin.values import Object

from .conftest import Twin

SEED = seed.parse(
    {
        "schema": 1,
        "nodes": [{"name": "theirs-1", "role": "gpu", "gpus": 8}],
        "gpuOperator": {"version": "26.7.0", "namespace": "gpu"},
    }
)
SPACE = ("v1", "Namespace")


def node() -> Object:
    return objects.node_object(SEED, SEED.nodes[0])


def use(twin: Twin, act: Callable[[foreign.AuditedClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with foreign.AuditedClient.from_kubeconfig(twin.kubeconfig, "twin") as client:
            await asyncio.wait_for(act(client), 20)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _nothing_left(twin: Twin) -> None:
    twin.http("DELETE", "/api/v1/nodes/theirs-1")


def test_a_node_has_no_address_but_the_one_that_was_given() -> None:
    """An invented one may be somebody's, to whom the API server would send exec and its certificate."""
    nowhere = foreign.placed(node(), "", {})["status"]
    assert (nowhere["addresses"], nowhere["daemonEndpoints"]) == ([], {})
    here = foreign.placed(node(), "192.0.2.7", {"theirs-1": 4711})["status"]
    assert here["addresses"] == [{"type": "InternalIP", "address": "192.0.2.7"}]
    assert here["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 4711}}


def test_a_409_on_the_first_status_is_a_newer_state_and_not_there_already(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(client: foreign.AuditedClient) -> None:
        plain = client.replace

        async def overtaken(obj: Object, *, subresource: str | None = None) -> Object:
            """A controller labels the new node before its status is written."""
            monkeypatch.setattr(client, "replace", plain)
            await client.patch(NODE, "theirs-1", {"metadata": {"labels": {"theirs": "1"}}})
            return await plain(obj, subresource=subresource)

        monkeypatch.setattr(client, "replace", overtaken)
        await foreign.bring(client, [foreign.placed(node(), "", {})])
        found = await client.get(NODE, "theirs-1")
        assert found["status"]["capacity"]["nvidia.com/gpu"] == "0"
        assert found["metadata"]["labels"]["theirs"] == "1"

    use(twin, act)


def test_what_is_there_stays_and_a_node_that_was_left_unfinished_is_finished(twin: Twin) -> None:
    async def act(client: foreign.AuditedClient) -> None:
        kept = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept", "labels": {"a": "b"}}}
        await client.create(kept)
        half = {name: value for name, value in node().items() if name != "status"}
        half["metadata"] = {"name": "theirs-1", "labels": {"whose": "another"}}
        await client.create(half)
        again = {**kept, "metadata": {"name": "kept", "labels": {"a": "c"}}}
        await foreign.bring(client, [again, foreign.placed(node(), "192.0.2.7", {"theirs-1": 1})])
        assert (await client.get(SPACE, "kept"))["metadata"]["labels"]["a"] == "b"
        found = await client.get(NODE, "theirs-1")
        assert found["metadata"]["labels"] == {"whose": "another"}
        assert "capacity" in found["status"]
        await foreign.bring(client, [foreign.placed(node(), "192.0.2.8", {"theirs-1": 2})])
        moved = (await client.get(NODE, "theirs-1"))["status"]
        assert moved["addresses"][0]["address"] == "192.0.2.8", "the kubelet is where it is now"

    use(twin, act)


def test_nobody_works_on_a_bare_api_server(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "PROBE_S", 0.3)

    async def act(client: foreign.AuditedClient) -> None:
        await foreign.bring(client, [objects.namespace("twin-system")])
        assert await foreign.owned(client) == frozenset()
        left = [o for kind in ("Deployment", "DaemonSet") for o in await _all(client, "apps/v1", kind)]
        assert left == [], "the probes are gone"

    use(twin, act)


async def _all(client: Client, version: str, kind: str) -> list[Object]:
    return (await client.list((version, kind), "twin-system")).items


def test_our_own_writes_are_recorded_as_the_api_server_would(twin: Twin, namespace: str) -> None:
    records: list[Object] = []

    async def act(client: foreign.AuditedClient) -> None:
        client.audited = records.append
        kind = ("v1", "ConfigMap")
        metadata = {"name": "ours", "namespace": namespace}
        await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        await client.patch(kind, "ours", {"data": {"a": "1"}}, namespace)
        await client.get(kind, "ours", namespace)
        await client.delete(kind, "ours", namespace)

    use(twin, act)
    theirs = [one for one in twin.log if (one["namespace"], one["name"]) == (namespace, "ours")]
    fields = ("verb", "apiVersion", "kind", "namespace", "name", "userAgent", "subresource", "removed")
    assert [[one[f] for f in fields] for one in records] == [[one[f] for f in fields] for one in theirs]


def test_the_probe_is_not_ours_to_keep(tmp_path: Path) -> None:
    """Every probe asks for nothing at all."""
    for probe in foreign._probes().values():
        spec = probe["spec"]
        assert spec.get("replicas", 0) == 0
        if probe["kind"] in {"Pod", "DaemonSet"}:
            pod = spec if probe["kind"] == "Pod" else spec["template"]["spec"]
            assert pod["nodeSelector"], "suits no node"
        if probe["kind"] == "Job":
            assert spec["suspend"] is True
