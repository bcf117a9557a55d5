"""A list of one node's pods looks at that node's pods only, and is what looking at all would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.twin.api.direct import Direct
from knowngood.twin.api.server import ApiServer

Object = dict[str, Any]

CORE = "/api/v1"


@pytest.fixture
def direct(tmp_path: Path) -> Direct:
    """Pods a and b on n1, c on n2, d on none; of two namespaces."""
    found = ApiServer(tmp_path).direct("t")
    for namespace, name, node in (
        ("default", "b", "n1"),
        ("kube-public", "a", "n1"),
        ("default", "c", "n2"),
        ("default", "d", ""),
    ):
        pods = f"{CORE}/namespaces/{namespace}/pods"
        spec: Object = {"containers": [{"name": "main", "image": "registry.example/app:1"}]}
        found.answer("POST", pods, {}, {"metadata": {"name": name}, "spec": spec}, "")
        if node:
            binding = {"target": {"kind": "Node", "name": node}}
            found.answer("POST", f"{pods}/{name}/binding", {}, binding, "")
    return found


def listed(direct: Direct, fields: str, path: str = f"{CORE}/pods") -> list[str]:
    found = direct.answer("GET", path, {"fieldSelector": fields}, None, "")
    return [item["metadata"]["name"] for item in found["items"]]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("spec.nodeName=n1", ["b", "a"]),
        ("spec.nodeName==n2", ["c"]),
        ("spec.nodeName=n1,metadata.namespace=default", ["b"]),
        ("spec.nodeName=n1,status.phase=Running", []),
        ("spec.nodeName=elsewhere", []),
        ("spec.nodeName!=n1", ["c", "d"]),
        ("spec.nodeName=", ["d"]),
    ],
)
def test_pods_of_a_node_are_those_bound_to_it(direct: Direct, fields: str, names: list[str]) -> None:
    assert listed(direct, fields) == names


def test_a_pod_that_is_gone_is_on_no_node(direct: Direct) -> None:
    direct.answer("DELETE", f"{CORE}/namespaces/default/pods/b", {}, {"gracePeriodSeconds": 0}, "")
    assert listed(direct, "spec.nodeName=n1") == ["a"]
    assert listed(direct, "spec.nodeName=n1", f"{CORE}/namespaces/default/pods") == []


def test_pods_of_other_nodes_are_not_looked_at(direct: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet's readers ask node by node: each answer must not cost the whole fleet."""
    monkeypatch.setattr("knowngood.twin.api.store.Store.items", lambda *_: pytest.fail("all were listed"))
    assert listed(direct, "spec.nodeName=n2") == ["c"]
