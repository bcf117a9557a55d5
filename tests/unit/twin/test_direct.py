"""Who lives in the API server's process is handed the stored objects themselves; they never change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knowngood.twin.api.direct import Direct
from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.server import ApiServer

Object = dict[str, Any]

MERGE, JSON, STRATEGIC = (
    f"application/{name}+json" for name in ("merge-patch", "json-patch", "strategic-merge-patch")
)
PODS, SECRETS, NODES = (
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/nodes",
)


@pytest.fixture
def direct(tmp_path: Path) -> Direct:
    """A way to a server that listens nowhere."""
    return ApiServer(tmp_path).direct("behaviour")


def a_pod(name: str) -> Object:
    containers = [{"name": "main", "image": "registry.example/app:1", "resources": {"limits": {"cpu": "1"}}}]
    return {"metadata": {"name": name, "labels": {"a": "1"}}, "spec": {"containers": containers}}


def make(direct: Direct, path: str, body: Object) -> Object:
    return direct.answer("POST", path, {}, body, "application/json")


@pytest.mark.parametrize(
    ("path", "body", "subresource", "content_type", "patch"),
    [
        (PODS, a_pod("x"), "status", MERGE, {"status": {"phase": "Running"}}),
        (PODS, a_pod("x"), "", MERGE, {"metadata": {"labels": {"a": None, "b": "2"}}}),
        (PODS, a_pod("x"), "", JSON, [{"op": "add", "path": "/metadata/labels/b", "value": "2"}]),
        (PODS, a_pod("x"), "", STRATEGIC, {"metadata": {"annotations": {"b": "2"}}}),
        (SECRETS, {"metadata": {"name": "x"}, "data": {"a": "MQ=="}}, "", MERGE, {"stringData": {"a": "2"}}),
        (NODES, {"metadata": {"name": "x"}}, "", MERGE, {"spec": {"unschedulable": True}}),
    ],
)
def test_a_stored_object_stays_as_it_was_whatever_is_patched(
    direct: Direct, path: str, body: Object, subresource: str, content_type: str, patch: Any
) -> None:
    before = make(direct, path, body)
    as_it_was = json.dumps(before)
    after = direct.answer("PATCH", f"{path}/x/{subresource}".rstrip("/"), {}, patch, content_type)
    assert json.dumps(before) == as_it_was
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert direct.answer("GET", f"{path}/x", {}, None, "") is after


def test_binding_and_deleting_leave_what_was_stored_as_it_was(direct: Direct) -> None:
    before = make(direct, PODS, a_pod("x"))
    as_it_was = json.dumps(before)
    make(direct, f"{PODS}/x/binding", {"target": {"kind": "Node", "name": "n"}})
    bound = direct.answer("GET", f"{PODS}/x", {}, None, "")
    assert (bound["spec"]["nodeName"], bound["status"]["conditions"][0]["status"]) == ("n", "True")
    as_bound = json.dumps(bound)
    gone = direct.answer("DELETE", f"{PODS}/x", {}, {"gracePeriodSeconds": 5}, "application/json")
    assert "deletionTimestamp" in gone["metadata"]
    assert (json.dumps(before), json.dumps(bound)) == (as_it_was, as_bound)


def test_a_status_keeps_the_specification_that_is_stored_and_not_a_copy_of_it(direct: Direct) -> None:
    before = make(direct, PODS, a_pod("x"))
    sent = {"spec": {"nodeName": "elsewhere"}, "status": {"phase": "Running"}}
    after = direct.answer("PATCH", f"{PODS}/x/status", {}, sent, MERGE)
    assert after["spec"] is before["spec"]
    assert after["status"]["phase"] == "Running"


def test_what_no_behaviour_asks_for_is_refused(direct: Direct) -> None:
    make(direct, PODS, a_pod("x"))
    for method, path in (("DELETE", PODS), ("POST", f"{PODS}/x/token"), ("GET", "/api/v1/unheard")):
        with pytest.raises(ApiError):
            direct.answer(method, path, {}, {}, "application/json")
