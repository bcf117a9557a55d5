"""Watches: where they start, what they show, how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest

from knowngood.twin.api import store

from .conftest import Object, Twin

PodMaker = Callable[..., Object]
Events = Iterator[Object]


@contextmanager
def watching(twin: Twin, path: str, accept: str = "application/json") -> Iterator[Events]:
    """Open a watch; the events come as they are read."""
    with closing(twin.connect()) as connection:
        joint = "&" if "?" in path else "?"
        headers = {"Authorization": f"Bearer {twin.token}", "Accept": accept}
        connection.request("GET", f"{path}{joint}watch=True", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        yield (json.loads(line) for line in answer)


def told(events: Events, count: int) -> list[tuple[str, str]]:
    """Return the next events as (type, name)."""
    found = [next(events) for _ in range(count)]
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


def test_a_watch_without_a_version_begins_with_what_is_there(
    twin: Twin, namespace: str, pod: PodMaker
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("a"))
    with watching(twin, path) as events:
        assert told(events, 1) == [("ADDED", "a")]
        twin.create(path, pod("b"))
        twin.patch(f"{path}/a", {"metadata": {"labels": {"x": "y"}}})
        twin.http("DELETE", f"{path}/b")
        assert told(events, 2) == [("ADDED", "b"), ("MODIFIED", "a")]
        assert told(events, 2) == [("MODIFIED", "b"), ("DELETED", "b")]


def test_a_watch_resumes_where_it_was_left(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("a"))
    version = twin.get(path)["metadata"]["resourceVersion"]
    twin.create(path, pod("b"))
    twin.http("DELETE", f"{path}/a")
    with watching(twin, f"{path}?resourceVersion={version}") as events:
        assert told(events, 3) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_deleted_object_carries_the_version_of_its_deletion(
    twin: Twin, namespace: str, pod: PodMaker
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    created = twin.create(path, pod("a"))
    with watching(twin, path) as events:
        next(events)
        twin.http("DELETE", f"{path}/a")
        gone = next(one for one in events if one["type"] == "DELETED")["object"]["metadata"]
    assert int(gone["resourceVersion"]) > int(created["metadata"]["resourceVersion"])


def test_versions_outside_the_history_are_told_to_list_again(twin: Twin, namespace: str) -> None:
    """Also those of another twin that served the same port before."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    twin.create(path, {"metadata": {"name": "busy"}})
    old = twin.get(path)["metadata"]["resourceVersion"]
    resource_path = f"{path}/busy"
    for number in range(store.HISTORY + 1):
        assert twin.in_loop(partial(_touch, twin, namespace, number))
    assert twin.get(resource_path)["data"]["n"] == str(store.HISTORY)
    for version in (old, "1", "999999999"):
        with watching(twin, f"{path}?resourceVersion={version}") as events:
            event = next(events)
            assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
            assert next(events, None) is None, "the watch ends"


def _touch(twin: Twin, namespace: str, value: int) -> bool:
    """Change the config map from inside: two thousand requests would take seconds."""
    held = twin.server._cluster.store
    found = held.get("/configmaps", namespace, "busy")
    assert found is not None
    held.put("/configmaps", {**found.obj, "metadata": dict(found.obj["metadata"]), "data": {"n": str(value)}})
    return True


def test_entering_and_leaving_a_selector_are_added_and_deleted(
    twin: Twin, namespace: str, pod: PodMaker
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("a"))
    with watching(twin, f"{path}?labelSelector=ring%3D0") as events:
        for ring in ("0", "0", "1"):
            labels = {"ring": ring, "again": twin.get(path)["metadata"]["resourceVersion"]}
            twin.patch(f"{path}/a", {"metadata": {"labels": labels}})
        assert told(events, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_field_selector_holds_for_watches_too(twin: Twin, namespace: str, pod: PodMaker) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    with watching(twin, f"{path}?fieldSelector=metadata.name%3Db") as events:
        twin.create(path, pod("a"))
        twin.create(path, pod("b"))
        assert told(events, 1) == [("ADDED", "b")]


@pytest.mark.parametrize(("seconds", "told"), [(1, []), (3, ["BOOKMARK", "ADDED"])])
def test_a_watch_ends_with_or_without_a_bookmark(
    twin: Twin, namespace: str, seconds: int, told: list[str]
) -> None:
    """One comes two seconds before the end, where there is time for it; what follows is told after it."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    version = twin.get(path)["metadata"]["resourceVersion"]
    query = f"resourceVersion={version}&timeoutSeconds={seconds}&allowWatchBookmarks=true"
    found = []
    with watching(twin, f"{path}?{query}") as events:
        for event in events:
            found.append(event["type"])
            if event["type"] == "BOOKMARK":
                assert int(event["object"]["metadata"]["resourceVersion"]) >= int(version)
                twin.create(path, {"metadata": {"name": "late"}})
    assert found == told


def test_initial_events_end_with_a_marked_bookmark(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with watching(twin, f"{path}?{query}") as events:
        assert next(events)["type"] == "ADDED"
        bookmark = next(events)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_can_be_a_table(twin: Twin, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with watching(twin, path, "application/json;as=Table;v=v1;g=meta.k8s.io") as events:
        shown = next(events)["object"]
    assert (shown["kind"], shown["rows"][0]["cells"][0]) == ("Table", "kube-root-ca.crt")
