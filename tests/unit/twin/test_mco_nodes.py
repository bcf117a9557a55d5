"""Who may be out in a pool, and what the pool says."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.behaviours.mco_nodes import (
    CURRENT,
    DESIRED,
    STATE,
    ZONE,
    allowed_out,
    candidates,
    is_unavailable,
    pool_of,
    status_of,
)
from knowngood.twin.values import Object

OLD, NEW = "rendered-old", "rendered-new"


def pool(name: str = "worker", config: str = NEW, **spec: Any) -> Object:
    selector = {"matchLabels": {f"role/{name}": ""}}
    told = {"configuration": {"name": config}, "nodeSelector": selector, **spec}
    return {"metadata": {"name": name, "generation": 7}, "spec": told}


def node(
    name: str,
    current: str = OLD,
    desired: str = "",
    state: str = "Done",
    *,
    cordoned: bool = False,
    ready: str = "True",
    labels: dict[str, str] | None = None,
) -> Object:
    said = {CURRENT: current, DESIRED: desired or current, STATE: state}
    return {
        "metadata": {"name": name, "annotations": said, "labels": labels or {}},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def names(nodes: list[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in nodes]


@pytest.mark.parametrize(
    ("one", "out"),
    [
        (node("a"), False),
        (node("a", cordoned=True), True),
        (node("a", ready="Unknown"), True),
        (node("a", OLD, NEW), True),
        (node("a", state="Working"), True),
        (node("a", OLD, NEW, "Degraded"), False),
    ],
)
def test_whoever_cordoned_a_node_it_counts_as_out(one: Object, out: bool) -> None:
    assert is_unavailable(one) is out


@pytest.mark.parametrize(
    ("said", "count", "number"), [(1, 10, 1), ("25%", 10, 2), ("5%", 10, 1), (0, 10, 1), ("100%", 3, 3)]
)
def test_max_unavailable_is_never_none(said: int | str, count: int, number: int) -> None:
    assert allowed_out(pool(maxUnavailable=said), count) == number


def test_as_many_are_told_as_may_be_out_and_nobody_while_another_is() -> None:
    nodes = [node("c"), node("a"), node("b")]
    assert names(candidates(pool(), nodes)) == ["a"]
    assert names(candidates(pool(maxUnavailable=2), nodes)) == ["a", "b"]
    assert candidates(pool(), [*nodes, node("d", NEW, cordoned=True)]) == []
    assert names(candidates(pool(maxUnavailable=2), [*nodes, node("d", NEW, cordoned=True)])) == ["a"]


def test_a_cordoned_node_is_skipped_even_where_there_is_room() -> None:
    nodes = [node("a", cordoned=True), node("b"), node("c", NEW)]
    assert names(candidates(pool(maxUnavailable=3), nodes)) == ["b"]


def test_one_whose_daemon_gave_up_on_this_config_takes_a_place() -> None:
    broken = node("a", OLD, NEW, "Degraded")
    assert candidates(pool(), [broken, node("b")]) == []
    assert names(candidates(pool(maxUnavailable=2), [broken, node("b"), node("c")])) == ["b"]


def test_zones_go_one_after_the_other_and_those_without_last() -> None:
    nodes = [node("a"), node("b", labels={ZONE: "z2"}), node("c", labels={ZONE: "z1"})]
    assert names(candidates(pool(maxUnavailable=3), nodes)) == ["c", "b", "a"]


def test_a_node_belongs_to_the_control_plane_then_to_a_custom_pool_then_to_the_workers() -> None:
    pools = [pool("worker"), pool("canary"), pool("master")]
    both = {"role/worker": "", "role/canary": ""}
    assert pool_of(node("a", labels=both), pools) == "canary"
    assert pool_of(node("a", labels={**both, "role/master": ""}), pools) == "master"
    assert pool_of(node("a", labels={"role/worker": ""}), pools) == "worker"
    assert pool_of(node("a"), pools) == ""


def told(status: Object, kind: str) -> str:
    row = next(c for c in status["conditions"] if c["type"] == kind)
    return f"{row['status']} {row['message']}".strip()


def test_a_pool_is_updated_when_all_are_done_and_work() -> None:
    status = status_of(pool(), [node("a", NEW), node("b", NEW)])
    assert told(status, "Updated") == f"True All nodes are updated with MachineConfig {NEW}"
    assert status["configuration"] == {"name": NEW}
    status = status_of(pool(), [node("a", NEW), node("b", NEW, cordoned=True)])
    assert told(status, "Updated") == "False", "a cordon at rest is enough"
    assert (status["updatedMachineCount"], status["readyMachineCount"]) == (2, 1)
    assert "configuration" not in status


def test_a_paused_pool_says_that_it_is_not_updating_even_while_a_node_is() -> None:
    nodes = [node("a", OLD, NEW, "Working", cordoned=True), node("b")]
    assert told(status_of(pool(), nodes), "Updating") == f"True All nodes are updating to MachineConfig {NEW}"
    paused = f"False Pool is paused; will not update to MachineConfig {NEW}"
    assert told(status_of(pool(paused=True), nodes), "Updating") == paused


def test_a_broken_node_makes_its_pool_degraded() -> None:
    status = status_of(pool(), [node("a", OLD, NEW, "Degraded")])
    assert told(status, "Degraded") == "True"
    assert told(status, "NodeDegraded") == "True 1 nodes are reporting degraded status on sync"
