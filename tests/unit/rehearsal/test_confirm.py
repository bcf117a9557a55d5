"""The oracle's word counts: whatever contradicts a claim is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from knowngood.rehearsal.confirm import done, lived, restored, together, unproven

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


def history(drains: int, drivers: list[str], nic: list[str]) -> dict[str, Any]:
    rows = {"mlx5_core": [{"version": v} for v in nic]}
    return {
        "nodes": {"gpu-1": {"drains": drains, "drivers": [{"version": v} for v in drivers], "modules": rows}}
    }


BOTH = ("mlx5_core", "nvidia")


def test_what_a_node_lived_through_is_told_in_words() -> None:
    told = lived(history(1, [OLD, NEW, OLD], ["1", "2", "1"]), BOTH, ("gpu-1",))
    assert told == (f"gpu-1: drained once; mlx5_core 1 → 2 → 1; nvidia {OLD} → {NEW} → {OLD}",)


@pytest.mark.parametrize(
    ("drains", "drivers", "nic", "against"),
    [
        (1, [OLD, NEW, OLD], ["1", "2", "1"], ""),
        (2, [OLD, NEW, OLD], ["1", "2", "1"], "gpu-1 was drained 2 times, not once"),
        (1, [OLD], ["1", "2", "1"], f"gpu-1: nvidia did not move once and back: {OLD}"),
        (1, [OLD, NEW, OLD], ["1", "2"], "gpu-1: mlx5_core did not move once and back: 1, 2"),
        (
            1,
            [OLD, OLD, OLD],
            ["1", "2", "1"],
            f"gpu-1: nvidia did not move once and back: {OLD}, {OLD}, {OLD}",
        ),
    ],
)
def test_several_came_together_only_with_one_drain_forth_and_back(
    drains: int, drivers: list[str], nic: list[str], against: str
) -> None:
    assert "\n".join(together(history(drains, drivers, nic), BOTH, ("gpu-1",))) == against
