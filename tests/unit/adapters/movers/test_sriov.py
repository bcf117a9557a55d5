"""Virtual functions: what the operator's objects say of a node, and how long it may wait for its turn."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.cluster.actors import SRIOV_API, SRIOV_CURRENT, SRIOV_DESIRED, elsewhere
from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers import sriov_state
from knowngood.adapters.movers.sriov_state import POLICIES, POOLS, STATES

NODE = {"metadata": {"name": "gpu-1", "labels": {"ring": "0", "zone": "a"}}}


def cluster(*pools: dict[str, Any]) -> FakeKube:
    """A cluster with these pool configurations."""
    kube = FakeKube()
    kube.collections |= {POOLS, POLICIES, STATES, "nodemaintenances"}
    for number, spec in enumerate(pools):
        kube.put(
            path(SRIOV_API, POOLS, f"p{number}", "x"), {"metadata": {"name": f"p{number}"}, "spec": spec}
        )
    return kube


def pool(most: int | str | None = None, **selector: Any) -> dict[str, Any]:
    spec = {"nodeSelector": selector or {"matchLabels": {"ring": "0"}}}
    return spec if most is None else {**spec, "maxUnavailable": most}


def port(address: str, count: int, *policies: str, resource: str = "rail") -> dict[str, Any]:
    groups = [{"policyName": name, "resourceName": resource} for name in policies]
    return {"pciAddress": address, "numVfs": count, "vfGroups": groups}


def state(
    *ports: dict[str, Any], sync: str = "Succeeded", wants: str = "Idle", has: str = "Idle"
) -> dict[str, Any]:
    said = {SRIOV_DESIRED: wants, SRIOV_CURRENT: has}
    metadata = {"name": "gpu-1", "annotations": said}
    return {"metadata": metadata, "spec": {"interfaces": [*ports]}, "status": {"syncStatus": sync}}


@pytest.mark.parametrize(
    ("pools", "nodes", "before"),
    [
        ((), 1, 0),
        ((), 4, 3),
        ((pool(),), 4, 0),
        ((pool(2),), 5, 2),
        ((pool(8),), 4, 0),
        ((pool("50%"),), 4, 3),
        ((pool(3, matchLabels={"ring": "1"}),), 4, 3),
        ((pool(4), pool(1)), 4, 3),
    ],
)
def test_a_ring_waits_for_as_many_turns_as_its_pool_makes_of_it(
    pools: tuple[dict[str, Any], ...], nodes: int, before: int
) -> None:
    assert sriov_state.turns_before(cluster(*pools), NODE, nodes) == before


@pytest.mark.parametrize(
    ("operator", "values", "selects"),
    [
        ("In", ["a", "b"], True),
        ("In", ["b"], False),
        ("NotIn", ["b"], True),
        ("NotIn", ["a"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_a_pool_selects_by_expressions_too(operator: str, values: list[str], selects: bool) -> None:
    one = {"key": "zone", "operator": operator, "values": values}
    found = sriov_state.pools_of(NODE, [{"metadata": {"name": "p"}, "spec": pool(matchExpressions=[one])}])
    assert bool(found) is selects


def test_ports_are_those_of_the_policies_that_select_the_node() -> None:
    kube = cluster()
    for name, count, ring in (("ours", 8, "0"), ("storage", 4, "0"), ("other-ring", 8, "1")):
        spec = {"numVfs": count, "nodeSelector": {"ring": ring}}
        kube.put(path(SRIOV_API, POLICIES, name, "x"), {"metadata": {"name": name}, "spec": spec})
    assert sriov_state.of_node(kube, NODE) == {"ours": "8", "storage": "4"}
    there = state(port("0000:1c:00.0", 8, "ours"), port("0000:2e:00.0", 4, "storage", resource="nfs"))
    assert sriov_state.ports(there, ["ours"]) == {"0000:1c:00.0": ("rail", 8)}
    assert sriov_state.resources(there) == {"rail", "nfs"}


def test_another_policy_on_the_same_port_is_told_and_one_on_another_port_is_not() -> None:
    there = state(port("0000:1c:00.0", 8, "ours", "neighbour"), port("0000:2e:00.0", 4, "storage"))
    assert sriov_state.others_on(there, "ours") == {"neighbour"}


@pytest.mark.parametrize(
    ("sync", "wants", "has", "says"),
    [
        ("Succeeded", "Idle", "Idle", ""),
        ("InProgress", "Idle", "Idle", "is InProgress"),
        ("Succeeded", "Drain_Required", "Idle", "wants Drain_Required, is Idle"),
        ("Succeeded", "Idle", "DrainComplete", "is DrainComplete"),
        ("", "Idle", "Idle", "is not told"),
    ],
)
def test_a_node_is_left_once_it_succeeded_and_its_drain_is_over(
    sync: str, wants: str, has: str, says: str
) -> None:
    said = sriov_state.at_work(state(sync=sync, wants=wants, has=has))
    assert (says in said) if says else said == ""


def test_who_is_drained_for_functions_is_busy_elsewhere() -> None:
    kube = cluster()
    kube.put(path(SRIOV_API, STATES, "gpu-1", "x"), state(wants="Drain_Required"))
    assert elsewhere(kube) == {"gpu-1": "SR-IOV state Drain_Required"}
    kube.put(path(SRIOV_API, STATES, "gpu-1", "x"), state())
    assert elsewhere(kube) == {}
