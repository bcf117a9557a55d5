"""Selectors, JSON paths, ages, queries, budgets behind their spec."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.api import durations, json_path, rules, selectors
from knowngood.twin.api.cluster import Actor, Cluster, Options
from knowngood.twin.api.deletion import Deletion
from knowngood.twin.api.disruption import Disruption
from knowngood.twin.api.errors import ApiError
from knowngood.twin.api.requests import flag, form_of, parse_path
from knowngood.twin.api.resources import Resources
from knowngood.twin.api.writes import Writes

Object = dict[str, Any]
ME = Actor("me")


@pytest.mark.parametrize("text", ["a=b c", "a in b", "(", "a=b,,", "=b"])
def test_a_broken_selector_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        selectors.parse_labels(text)
    assert refused.value.code == 400


def test_selector_objects() -> None:
    expression = {"key": "tier", "operator": "NotIn", "values": ["db"]}
    matches = selectors.from_object({"matchLabels": {"app": "a"}, "matchExpressions": [expression]})
    assert matches({"app": "a"})
    assert not matches({"app": "a", "tier": "db"})
    assert not matches({"tier": "web"})
    assert selectors.from_object({})({}), "an empty selector selects everything"
    assert not selectors.from_object(None)({}), "none selects nothing"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.version", ["1"]),
        (".items[0].name", ["a"]),
        (".items[*].name", ["a", "b"]),
        ('.items[?(@.name=="b")].value', [2]),
        (".metadata.annotations.example\\.com/x", ["y"]),
        (".metadata.annotations['example.com/x']", ["y"]),
        (".items[7].name", []),
        (".spec.version.deeper", []),
    ],
)
def test_json_paths(path: str, expected: list[Any]) -> None:
    obj = {
        "spec": {"version": "1"},
        "items": [{"name": "a"}, {"name": "b", "value": 2}],
        "metadata": {"annotations": {"example.com/x": "y"}},
    }
    assert json_path.find_all(obj, path) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (3600, "60m"),
        (7 * 3600 + 60, "7h1m"),
        (30 * 3600, "30h"),
        (3 * 86400 + 3600, "3d1h"),
        (20 * 86400, "20d"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert durations.human(seconds) == text


@pytest.mark.parametrize(("value", "is_set"), [("true", True), ("True", True), ("1", True), ("", True)])
def test_flags_are_read_as_go_reads_them(value: str, is_set: bool) -> None:
    assert flag({"watch": value}, "watch") is is_set
    assert not flag({"watch": "False"}, "watch")
    assert not flag({"watch": "0"}, "watch")
    assert not flag({}, "watch")


def test_the_first_form_that_can_be_served_counts() -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert form_of(f"{table},application/json") == "table"
    assert form_of(f"application/json;as=Table;v=v1beta1;g=meta.k8s.io,{table}") == "table"
    assert form_of("application/vnd.kubernetes.protobuf,application/json") == "object"
    assert form_of("*/*") == "object"


def test_paths_name_resources() -> None:
    resources = Resources()
    pod = parse_path("/api/v1/namespaces/a/pods/p/log", resources)
    assert (pod.resource.kind, pod.namespace, pod.name, pod.subresource) == ("Pod", "a", "p", "log")
    namespace = parse_path("/api/v1/namespaces/a/status", resources)
    assert (namespace.resource.kind, namespace.name, namespace.subresource) == ("Namespace", "a", "status")
    assert parse_path("/apis/apps/v1/daemonsets", resources).namespace == ""
    for path in ("/api/v1/pods/p", "/api/v1/namespaces/a/nodes", "/api/v1/namespaces/a/pods/p/bogus", "/x"):
        with pytest.raises(ApiError) as refused:
            parse_path(path, resources)
        assert refused.value.code == 404


def test_a_budget_not_yet_processed_asks_to_come_back() -> None:
    """Between a budget's change and its controller's next look, a real server answers with Retry-After."""
    cluster = Cluster()
    writes, disruption = Writes(cluster), Disruption(cluster, Deletion(cluster))

    def seed(obj: Object) -> None:
        resource = cluster.resources.of_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None
        writes.seed(resource, obj, ME)

    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    seed(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "a", "labels": {"app": "a"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i:1"}]},
            "status": ready,
        }
    )
    seed(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "b", "namespace": "a"},
            "spec": {"minAvailable": 0, "selector": {}},
        }
    )
    pods = cluster.resources.of_kind("v1", "Pod")
    assert pods is not None
    with pytest.raises(ApiError) as refused:
        disruption.evict(pods, "a", "p", {}, ME, Options())
    assert (refused.value.code, refused.value.headers) == (429, {"Retry-After": "10"})
    disruption.refresh("a")
    assert not disruption.evict(pods, "a", "p", {}, ME, Options()).removed


@pytest.mark.parametrize("key", ["state", ".hidden", "_", "a" * 253, "ca.crt"])
def test_a_config_maps_key_may_be_long(key: str) -> None:
    assert rules.check_object({"kind": "ConfigMap", "data": {key: "x"}}) == []


@pytest.mark.parametrize("key", [".", "..", "..data", "a/b", "a" * 254, ""])
@pytest.mark.parametrize("field", ["data", "binaryData"])
def test_a_config_maps_key_is_no_path(key: str, field: str) -> None:
    (found,) = rules.check_object({"kind": "ConfigMap", field: {key: "eA=="}})
    assert "config key" in found["message"]
