"""Lists, selectors, pages and the forms of an answer."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from .conftest import Object, Twin

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PodMaker = Callable[..., Object]


def names(answer: Object) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.fixture
def pods(twin: Twin, namespace: str, pod: PodMaker) -> str:
    """The path of three pods: a and b on node n1, c nowhere."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    for name, spec in (("a", {"nodeName": "n1"}), ("b", {"nodeName": "n1"}), ("c", {})):
        twin.create(path, pod(name, **spec))
    return path


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=a", ["a"]),
        ("app==a", ["a"]),
        ("app!=a", ["b", "c"]),
        ("app in (a, b)", ["a", "b"]),
        ("app notin (a,b)", ["c"]),
        ("app,app!=b", ["a", "c"]),
        ("!app", []),
        ("other!=x", ["a", "b", "c"]),
    ],
)
def test_label_selectors(twin: Twin, pods: str, selector: str, expected: list[str]) -> None:
    assert names(twin.get(f"{pods}?labelSelector={quote(selector)}")) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("spec.nodeName=n1", ["a", "b"]),
        ("spec.nodeName=", ["c"]),
        ("metadata.name=b", ["b"]),
        ("status.phase!=Pending", []),
        ("spec.nodeName=n1,metadata.name!=a", ["b"]),
    ],
)
def test_field_selectors(twin: Twin, pods: str, selector: str, expected: list[str]) -> None:
    assert names(twin.get(f"{pods}?fieldSelector={quote(selector)}")) == expected


def test_an_unknown_field_selector_is_refused(twin: Twin, pods: str) -> None:
    assert twin.http("GET", f"{pods}?fieldSelector=spec.bogus=1").status == 400


def test_pages_show_one_moment(twin: Twin, pods: str, pod: PodMaker) -> None:
    first = twin.get(f"{pods}?limit=2")
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    twin.create(pods, pod("d"))
    twin.http("DELETE", f"{pods}/c")
    second = twin.get(f"{pods}?limit=2&continue={first['metadata']['continue']}")
    assert names(second) == ["c"]
    assert "continue" not in second["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_continue_token_that_makes_no_sense_is_a_bad_request_and_an_old_one_expired(
    twin: Twin, pods: str
) -> None:
    bad = twin.http("GET", f"{pods}?limit=2&continue=old")
    assert (bad.status, bad.body["reason"]) == (400, "BadRequest")
    token = twin.get(f"{pods}?limit=2")["metadata"]["continue"]
    twin.in_loop(twin.server._handler.lists._snapshots.clear)
    old = twin.http("GET", f"{pods}?limit=2&continue={token}")
    assert (old.status, old.body["reason"]) == (410, "Expired")


def test_a_list_has_a_kind_and_a_version(twin: Twin, pods: str) -> None:
    answer = twin.get(pods)
    assert (answer["kind"], answer["apiVersion"]) == ("PodList", "v1")
    newest = max(int(item["metadata"]["resourceVersion"]) for item in answer["items"])
    assert int(answer["metadata"]["resourceVersion"]) >= newest


def test_tables_carry_columns_and_rows(twin: Twin, pods: str) -> None:
    table = twin.http("GET", pods, Accept=TABLE).body
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
    assert table["rows"][0]["cells"][:3] == ["a", "0/1", "Pending"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_metadata_alone_can_be_asked_for(twin: Twin, pods: str) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    answer = twin.http("GET", pods, Accept=accept).body
    assert answer["kind"] == "PartialObjectMetadataList"
    assert {tuple(sorted(item)) for item in answer["items"]} == {("apiVersion", "kind", "metadata")}


def test_what_is_not_served_is_not_found(twin: Twin) -> None:
    for path in ("/apis/nobody.example/v1", "/apis/nobody.example/v1/things", "/api/v1/things", "/nothing"):
        assert twin.http("GET", path).status == 404, path


def test_an_event_is_shown_in_both_of_its_groups(twin: Twin, namespace: str) -> None:
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
        "reason": "Tested",
        "message": "seen",
        "type": "Normal",
    }
    twin.create(f"/api/v1/namespaces/{namespace}/events", body)
    new = twin.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events/e")
    assert (new["note"], new["regarding"]["name"]) == ("seen", "p")
    selected = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name=p"
    assert names(twin.get(selected)) == ["e"]


def test_the_kubelets_journal_is_reached_through_the_node(twin: Twin) -> None:
    twin.create("/api/v1/nodes", {"metadata": {"name": "n1"}})
    twin.create("/api/v1/nodes", {"metadata": {"name": "down"}})
    answer = twin.http("GET", "/api/v1/nodes/n1/proxy/logs/journal?boot=0&output=json&grep=NVRM")
    assert answer.body == {"node": "n1", "boot": "0", "output": "json", "grep": "NVRM"}
    assert twin.http("GET", "/api/v1/nodes/down/proxy/logs/journal").status == 503
    assert twin.http("GET", "/api/v1/nodes/absent/proxy/logs/journal").status == 404
    assert twin.http("GET", "/api/v1/nodes/n1/proxy/logs/kern.log").status == 200
    assert twin.http("GET", "/api/v1/nodes/n1/proxy/logs/other.log").status == 404
