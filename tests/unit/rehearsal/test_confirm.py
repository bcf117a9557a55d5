"""The oracle's word counts: whatever contradicts a claim is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from knowngood.rehearsal.confirm import done, restored, unproven

OLD, NEW = "580.173.02", "595.91.07"


def snapshot(version: str = OLD) -> dict[str, Any]:
    def node(module: str) -> dict[str, Any]:
        return {
            "module": module,
            "userSpace": [module],
            "labels": {"v": module},
            "annotations": {},
            "taints": [],
            "unschedulable": False,
            "allocatable": {"nvidia.com/gpu": "8"} if module else {},
        }

    nodes = {"gpu-1": node(version), "gpu-2": node(version), "cp-1": node("")}
    return {"nodes": nodes, "ours": {"jobs": [], "pods": []}, "declared": {}}


def test_done_is_confirmed_where_every_node_runs_it_and_nothing_else_has_changed() -> None:
    assert not done(snapshot(OLD), snapshot(NEW), ("gpu-1", "gpu-2"), NEW)


def test_a_node_that_still_runs_the_old_driver_contradicts_done() -> None:
    after = snapshot(NEW)
    after["nodes"]["gpu-2"]["module"] = OLD
    assert done(snapshot(OLD), after, ("gpu-1", "gpu-2"), NEW) == (f"gpu-2 runs {OLD}, not {NEW}",)


@pytest.mark.parametrize(
    ("node", "key", "value"),
    [
        ("gpu-1", "unschedulable", True),
        ("gpu-1", "allocatable", {"nvidia.com/gpu": "7"}),
        ("gpu-1", "taints", ["knowngood.dev/maintenance=r1:NoSchedule"]),
        ("cp-1", "labels", {"v": "other"}),
        ("cp-1", "module", NEW),
    ],
)
def test_whatever_else_changed_contradicts_done(node: str, key: str, value: object) -> None:
    after = snapshot(NEW)
    after["nodes"][node][key] = value
    assert any(line.startswith(f"{node}:") for line in done(snapshot(OLD), after, ("gpu-1", "gpu-2"), NEW))


def test_jobs_and_claims_that_are_left_contradict_both() -> None:
    after = copy.deepcopy(snapshot(OLD))
    after["ours"]["jobs"] = ["probe-1"]
    after["nodes"]["gpu-1"]["annotations"] = {"knowngood.dev/claim": "r1/1"}
    found = restored((), after)
    assert "jobs probe-1 is left" in found
    assert any("knowngood.dev/claim" in line for line in found)


def test_restored_needs_the_oracles_comparison_to_be_empty() -> None:
    assert not restored((), snapshot())
    assert restored(("nodes.gpu-1.module: a -> b",), snapshot()) == ("nodes.gpu-1.module: a -> b",)


def test_a_node_outside_the_canary_that_ever_ran_the_new_driver_is_named() -> None:
    history = {"nodes": {n: {"drivers": [{"version": OLD}, {"version": NEW}]} for n in ("gpu-1", "gpu-3")}}
    assert unproven(history, NEW, ("gpu-1", "gpu-2")) == (f"gpu-3 ran {NEW}, which nothing had proven",)
