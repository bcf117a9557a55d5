"""A taint that a NIC policy does not tolerate is refused before a run: its operator would take the pods away."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.planner.readiness.tolerating import NIC_LABEL, against_nodes

UPDATING = {"key": "UpdateInProgress", "effect": "PreferNoSchedule"}


def policy(kind: str = "NicNodePolicy", **spec: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": "ring-0"},
        "spec": {"ofedDriver": {}, "nodeSelector": {"ring": "0"}, **spec},
    }


def node(*taints: dict[str, str], ring: str = "0", nic: str = "true") -> dict[str, Any]:
    labels = {"ring": ring, NIC_LABEL: nic}
    return {"metadata": {"name": "gpu-1", "labels": labels}, "spec": {"taints": list(taints)}}


def found(obj: dict[str, Any], *nodes: dict[str, Any]) -> list[str]:
    return [str(finding) for finding in against_nodes(obj, nodes)]


def test_a_taint_that_only_prefers_counts_too() -> None:
    (told,) = found(policy(), node(UPDATING))
    assert "gpu-1 has the taint UpdateInProgress:PreferNoSchedule, which it does not tolerate" in told


@pytest.mark.parametrize(
    "tolerations",
    [
        [{"operator": "Exists"}],
        [{"key": "UpdateInProgress", "operator": "Exists"}],
        [{"key": "UpdateInProgress", "value": "", "effect": "PreferNoSchedule"}],
    ],
)
def test_what_is_tolerated_is_not_told(tolerations: list[dict[str, str]]) -> None:
    assert not found(policy(tolerations=tolerations), node(UPDATING))
    assert found(policy(tolerations=[{**tolerations[0], "effect": "NoExecute"}]), node(UPDATING))


@pytest.mark.parametrize(
    ("obj", "at"),
    [
        (policy(), node(UPDATING, ring="1")),
        (policy(), node(UPDATING, nic="false")),
        (policy(), node({"key": "nvidia.com/gpu", "effect": "NoSchedule"})),
        (policy(), node({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})),
        (policy("NVIDIADriver"), node(UPDATING)),
        ({**policy(), "spec": {}}, node(UPDATING)),
    ],
    ids=["another ring", "no NIC", "the GPUs' own", "a cordon's", "another kind", "no NIC driver"],
)
def test_other_nodes_taints_and_objects_are_passed(obj: dict[str, Any], at: dict[str, Any]) -> None:
    assert not found(obj, at)
