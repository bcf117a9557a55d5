"""The server as a whole: identity, tokens, outages, odd requests."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.server import ApiServer

from .conftest import Object, Twin

PodMaker = Callable[..., Object]


def test_each_start_is_another_cluster(tmp_path: Path) -> None:
    """So that no kubeconfig of a rehearsal can pass for the pinned cluster."""

    async def identity() -> tuple[str, str, str]:
        server = ApiServer(tmp_path)
        await server.start()
        config = server.kubeconfig()
        await server.stop()
        found = server.find("v1", "Namespace", "", "kube-system")
        assert found is not None
        authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
        return found["metadata"]["uid"], authority, config["users"][0]["user"]["token"]

    first, second = asyncio.run(identity()), asyncio.run(identity())
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert not list(tmp_path.iterdir()), "no key is left behind"


def test_only_tokens_of_this_server_are_let_in(twin: Twin) -> None:
    for header in ("Bearer wrong", "Basic YWRtaW46YWRtaW4="):
        answer = twin.http("GET", "/api/v1/nodes", Authorization=header)
        assert (answer.status, answer.body["reason"]) == (401, "Unauthorized")


def test_the_certificate_is_the_authoritys_own(twin: Twin) -> None:
    address = twin.config["clusters"][0]["cluster"]["server"].removeprefix("https://")
    connection = http.client.HTTPSConnection(address, timeout=5)
    with closing(connection), pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/version")


def test_health_and_version_need_no_token(twin: Twin) -> None:
    for path in ("/healthz", "/readyz", "/livez"):
        assert twin.http("GET", path, Authorization="").body == "ok"
    assert twin.http("GET", "/version/", Authorization="").body["gitVersion"].startswith("v1.")


@pytest.fixture
def outage(twin: Twin) -> Iterator[Callable[[bool], None]]:
    """Switches the API off and on."""

    def switch(out: bool) -> None:
        twin.in_loop(lambda: setattr(twin.server, "outage", out))

    yield switch
    switch(False)


def test_an_outage_cuts_connections_and_drops_requests(twin: Twin, outage: Callable[[bool], None]) -> None:
    with closing(twin.connect()) as connection:
        headers = {"Authorization": f"Bearer {twin.token}"}
        connection.request("GET", "/api/v1/nodes?watch=true", headers=headers)
        watching = connection.getresponse()
        outage(True)
        with pytest.raises((ConnectionError, http.client.IncompleteRead, ssl.SSLError)):
            watching.read()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected, ssl.SSLError)):
        twin.http("GET", "/healthz")
    outage(False)
    assert twin.http("GET", "/healthz").body == "ok"


def test_bodies_that_are_no_objects_are_bad_requests(twin: Twin) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    for body in (b"{", b"[]", b"3", b'{"kind":"Secret"}', b'{"metadata":3}', b'{"metadata":{"labels":3}}'):
        answer = twin.http("POST", path, body)
        assert answer.status in {400, 422}, (body, answer.body)
        assert answer.body["kind"] == "Status"
    assert twin.http("POST", path, b"x", "text/csv").status == 415
    assert twin.http("POST", path, b"x" * 3_200_000).status == 413


def test_verbs_that_make_no_sense_are_not_allowed(twin: Twin) -> None:
    for method, path in (
        ("POST", "/api/v1/pods"),
        ("PUT", "/api/v1/nodes"),
        ("DELETE", "/api/v1/nodes/n/status"),
    ):
        assert twin.http(method, path, {}).status == 405, (method, path)


def test_a_seed_is_checked_like_any_object(tmp_path: Path) -> None:
    server = ApiServer(tmp_path)
    node = server.seed(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"phase": "x"}}
    )
    assert node["status"] == {"phase": "x"}, "status included"
    for wrong in (
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m"}, "bogus": 1},
        {"apiVersion": "v1", "kind": "Unheard", "metadata": {"name": "m"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
    ):
        with pytest.raises(ApiError):
            server.seed(wrong)


def test_discovery_says_the_same_in_both_forms(twin: Twin) -> None:
    plain = {
        (group["name"], entry["name"])
        for group in twin.get("/apis")["groups"]
        for entry in twin.get(f"/apis/{group['preferredVersion']['groupVersion']}")["resources"]
        if "/" not in entry["name"]
    }
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = twin.http("GET", "/apis", Accept=accept)
    aggregated = {
        (group["metadata"]["name"], entry["resource"])
        for group in answer.body["items"]
        for entry in group["versions"][0]["resources"]
    }
    assert plain == aggregated
    assert ("apps", "daemonsets") in plain


def test_every_kind_can_be_validated_before_it_is_sent(twin: Twin) -> None:
    """kubectl asks OpenAPI whether the server takes `fieldValidation`, kind by kind."""
    kinds = set()
    for path in twin.get("/openapi/v3")["paths"].values():
        document = twin.get(path["serverRelativeURL"].partition("?")[0])
        assert json.dumps(document).count("$defs") == 0
        for item in document["paths"].values():
            if "patch" in item:
                kinds.add(item["patch"]["x-kubernetes-group-version-kind"]["kind"])
                parameters = {one["name"] for one in item["patch"]["parameters"]}
                assert "fieldValidation" in parameters
    assert {"Pod", "Node", "DaemonSet", "CustomResourceDefinition", "Lease"} <= kinds
