"""The oracle's judgement on made-up snapshots and events."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.oracle_judge import differences, history

NODE: dict[str, Any] = {"module": "580", "labels": {"a": "b"}, "taints": []}
BEFORE: dict[str, Any] = {
    "time": "1",
    "nodes": {"gpu-1": NODE},
    "fleet": {
        "operators": {"gpu/gpu-operator.v26.3.2": "Succeeded"},
        "pools": {"worker": "moving to rendered-1"},
    },
    "ours": {"jobs": []},
    "declared": {"f.yaml": {"spec.version": "580"}},
    "loads": {"gpu-1": {"monotonic": "1"}},
    "workloads": {"Deployment vision/serve": "4 of 4"},
}


def changed(**sections: Any) -> dict[str, Any]:
    """The same cluster, with sections replaced."""
    return {**BEFORE, **sections}


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (changed(time="2"), []),
        (changed(loads={}), []),
        (changed(nodes={"gpu-1": {**NODE, "module": "595"}}), ["nodes.gpu-1.module: 580 -> 595"]),
        (changed(nodes={"gpu-1": {**NODE, "labels": {}}}), ["nodes.gpu-1.labels.a: gone, was b"]),
        (changed(fleet={**BEFORE["fleet"], "pools": {"worker": "paused to rendered-1"}}),
         ["fleet.pools.worker: moving to rendered-1 -> paused to rendered-1"]),
        (changed(ours={"jobs": ["x"]}), ["ours.jobs: [] -> ['x']"]),
        (changed(declared={}), ["declared.f.yaml: gone, was {'spec.version': '580'}"]),
        (changed(nodes={}), [f"nodes.gpu-1: gone, was {NODE}"]),
    ],
)  # fmt: skip
def test_each_difference_is_a_line(after: dict[str, Any], lines: list[str]) -> None:
    assert differences(BEFORE, after) == lines


def test_what_neither_tells_is_not_equal() -> None:
    silent = {name: rows for name, rows in BEFORE.items() if name != "nodes"}
    assert differences(silent, silent) == ["nodes: not told by both"]


def test_loads_and_workloads_count_where_asked() -> None:
    after = changed(loads={"gpu-1": {"monotonic": "2"}}, workloads={"Deployment vision/serve": "3 of 4"})
    assert len(differences(BEFORE, after, ["loads"])) == 1
    assert len(differences(BEFORE, after, ["loads", "workloads"])) == 2


def log(*rows: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of gpu-1, one second apart; "settled" has no node."""
    return [
        {"time": f"t{i}", "node": "" if event == "settled" else node, "event": event, **more}
        for i, (node, event, more) in enumerate(rows)
    ]


def test_out_of_service_lasts_from_the_first_reason_to_the_end_of_the_last() -> None:
    taint = {"taint": "k=v:NoSchedule"}
    soft = {"taint": "k=v:PreferNoSchedule"}
    found = history(
        log(
            ("gpu-1", "module-loaded", {"version": "580"}),
            ("", "settled", {}),
            ("gpu-1", "tainted", soft),
            ("gpu-1", "tainted", taint),
            ("gpu-1", "cordoned", {}),
            ("gpu-1", "module-unloaded", {"version": "580"}),
            ("gpu-1", "uncordoned", {}),
            ("gpu-1", "module-loaded", {"version": "595"}),
            ("gpu-1", "untainted", taint),
        )
    )
    row = found["nodes"]["gpu-1"]
    assert row["out"] == [{"from": "t3", "to": "t8", "reason": "k=v:NoSchedule"}]
    assert row["drivers"] == [
        {"version": "580", "from": "t0", "to": "t5"},
        {"version": "595", "from": "t7", "to": ""},
    ]
    assert row["loads"] == 1, "the load before settling is not counted"


def test_a_boot_or_a_lost_node_ends_the_drivers_time() -> None:
    found = history(
        log(
            ("", "settled", {}),
            ("gpu-1", "module-loaded", {"version": "580"}),
            ("gpu-1", "node-down", {}),
            ("gpu-1", "booted", {}),
            ("gpu-1", "node-up", {}),
        )
    )
    row = found["nodes"]["gpu-1"]
    assert row["drivers"] == [{"version": "580", "from": "t1", "to": "t2"}]
    assert (row["boots"], row["out"]) == (1, [{"from": "t2", "to": "t4", "reason": "down"}])


def test_every_module_has_its_own_times_and_only_the_gpu_drivers_loads_are_counted() -> None:
    """A node without its NIC driver is out of service as one without its GPU driver is."""
    nic = {"module": "mlx5_core"}
    found = history(
        log(
            ("gpu-1", "module-loaded", {"module": "nvidia", "version": "580"}),
            ("gpu-1", "module-loaded", {**nic, "version": "25.10-1.2.2"}),
            ("", "settled", {}),
            ("gpu-1", "module-unloaded", {**nic, "version": "25.10-1.2.2"}),
            ("gpu-1", "module-loaded", {**nic, "version": "26.04-0.8.6"}),
            ("gpu-1", "node-down", {}),
        )
    )
    row = found["nodes"]["gpu-1"]
    assert row["drivers"] == [{"version": "580", "from": "t0", "to": "t5"}]
    assert row["modules"] == {
        "mlx5_core": [
            {"version": "25.10-1.2.2", "from": "t1", "to": "t3"},
            {"version": "26.04-0.8.6", "from": "t4", "to": "t5"},
        ]
    }
    assert row["out"][0] == {"from": "t3", "to": "t4", "reason": "no NIC driver"}
    assert row["loads"] == 0


def test_evictions_are_counted_by_tenant_and_once_as_a_drain() -> None:
    evicted = {"namespace": "vision", "tenant": "vision", "pod": "p"}
    found = history(
        log(
            ("", "settled", {}),
            ("gpu-1", "cordoned", {}),
            ("gpu-1", "pod-evicted", evicted),
            ("gpu-1", "pod-evicted", evicted),
            ("gpu-1", "uncordoned", {}),
            ("gpu-1", "cordoned", {}),
            ("gpu-1", "pod-evicted", {**evicted, "tenant": "llm"}),
            ("gpu-1", "driver-pod-deleted", {"cause": "deleted", "by": "someone"}),
            ("gpu-1", "fault-hit", {"fault": "xid-79"}),
        )
    )
    row = found["nodes"]["gpu-1"]
    assert (row["drains"], row["evictions"]) == (2, {"vision": 2, "llm": 1})
    assert found["evictions"] == {"vision": 2, "llm": 1}
    assert row["restarts"] == [{"time": "t7", "cause": "deleted", "by": "someone"}]
    assert row["faults"] == ["xid-79"]


def test_what_became_of_operators_since_the_cluster_settled_is_told_in_order() -> None:
    installed = {"operator": "gpu-operator.v26.7.0", "version": "26.7.0"}
    found = history(
        log(
            ("", "operator-installed", {"operator": "gpu-operator.v26.3.2"}),
            ("", "settled", {}),
            ("", "plan-approved", {"plan": "install-a"}),
            ("", "operator-installed", installed),
        )
    )
    assert found["fleet"] == [
        {"time": "t2", "event": "plan-approved", "plan": "install-a"},
        {"time": "t3", "event": "operator-installed", **installed},
    ]
    assert found["nodes"] == {}
