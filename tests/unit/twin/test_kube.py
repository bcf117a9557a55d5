"""Selectors, tolerations and quantities, as Kubernetes defines them."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.behaviours import kube


@pytest.mark.parametrize(
    ("expression", "labels", "expected"),
    [
        ({"operator": "In", "values": ["a", "b"]}, {"k": "a"}, True),
        ({"operator": "In", "values": ["a"]}, {}, False),
        ({"operator": "NotIn", "values": ["a"]}, {}, True),
        ({"operator": "NotIn", "values": ["a"]}, {"k": "a"}, False),
        ({"operator": "Exists"}, {"k": ""}, True),
        ({"operator": "DoesNotExist"}, {"k": ""}, False),
        ({"operator": "Gt", "values": ["5"]}, {"k": "6"}, True),
        ({"operator": "Lt", "values": ["5"]}, {"k": "x"}, False),
        ({"operator": "Like", "values": ["5"]}, {"k": "5"}, False),
    ],
)
def test_expressions(expression: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    assert kube.matches({"matchExpressions": [{"key": "k", **expression}]}, labels) is expected


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not kube.matches(None, {"a": "b"})
    assert kube.matches({}, {"a": "b"})


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], expected: bool) -> None:
    assert kube.tolerates([toleration], {"key": "k", "value": "v", "effect": "NoSchedule"}) is expected


def test_requests_count_devices_over_all_containers_and_leave_cpu_out() -> None:
    container = {
        "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "2"}, "limits": {"nvidia.com/gpu": "2"}}
    }
    assert kube.requests({"containers": [container, container]}) == {"nvidia.com/gpu": 4}


@pytest.mark.parametrize(("text", "number"), [("8", 8), (8, 8), ("1k", 1000), ("1.5", 1), ("x", 0)])
def test_quantities(text: str | int, number: int) -> None:
    assert kube.quantity(text) == number


def test_downward_api_fields() -> None:
    pod = {
        "metadata": {"name": "p", "labels": {"a/b": "c"}},
        "spec": {"nodeName": "gpu-1"},
    }
    paths = ("metadata.name", "metadata.labels['a/b']", "spec.nodeName", "status.podIP")
    assert [kube.field_value(pod, path) for path in paths] == ["p", "c", "gpu-1", ""]


def test_a_condition_that_does_not_change_keeps_its_time() -> None:
    old = [{"type": "Ready", "status": "True", "lastTransitionTime": "then"}]
    same = kube.merge_conditions(old, [kube.condition("Ready", status=True)])
    other = kube.merge_conditions(old, [kube.condition("Ready", status=False)])
    assert same[0]["lastTransitionTime"] == "then"
    assert other[0]["lastTransitionTime"] != "then"
