"""Objects that declare drivers and operands: what would spoil a run is told before it, by field, not by text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.finding import Finding
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT
from knowngood.model.verdict import Verdict
from knowngood.planner.readiness.declaring import against_moving, against_trusting
from knowngood.planner.readiness.image_fields import against_change
from knowngood.planner.readiness.selecting import OWNER_LABEL, against_kind, against_selection, owners

OURS = [{"key": key, "operator": "Exists"} for key in (MAINTENANCE_TAINT, QUARANTINE_TAINT)]
OFF = {"autoUpgrade": False}
GPU = {"key": "nvidia.com/gpu", "operator": "Exists"}
OLD, NEW = "580.173.02", "595.91.07"


def driver(name: str = "ring-0", **spec: Any) -> dict[str, Any]:
    spec = {"upgradePolicy": OFF, "tolerations": OURS, **spec}
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"name": name},
        "spec": spec,
    }


def policy(**spec: Any) -> dict[str, Any]:
    spec = {"driver": {"useNvidiaDriverCRD": True}, "daemonsets": {"tolerations": OURS}, **spec}
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "policy"},
        "spec": spec,
    }


def network(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mellanox.com/v1alpha1",
        "kind": "NicClusterPolicy",
        "metadata": {"name": "nic"},
        "spec": {"tolerations": OURS, **spec},
    }


UPGRADES = "autoUpgrade is on"
LACKS = "do not tolerate"


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        (driver(), []),
        (driver(upgradePolicy={}), [UPGRADES]),  # from 26.7 omitted means on
        (driver(upgradePolicy={"autoUpgrade": True}), [UPGRADES]),
        (driver(upgradePolicy=None), [UPGRADES]),
        (driver(tolerations=None), [LACKS]),
        (driver(tolerations=OURS[:1]), [LACKS]),
        (driver(tolerations=[{"operator": "Exists"}]), []),
        (driver(tolerations=[{"key": e["key"], "operator": "Equal", "value": "x"} for e in OURS]), [LACKS]),
        (driver(tolerations=[{**e, "effect": "NoExecute"} for e in OURS]), [LACKS]),
        (policy(), []),
        (policy(driver={"upgradePolicy": {"autoUpgrade": True}}), [UPGRADES]),
        (policy(driver={"upgradePolicy": {"autoUpgrade": True}, "enabled": False}), []),
        (policy(daemonsets={}), [LACKS]),
        (network(ofedDriver={}), []),
        (network(ofedDriver={"upgradePolicy": {"autoUpgrade": True}}), [UPGRADES]),
        (network(ofedDriver={}, tolerations=None), [LACKS]),
        (network(tolerations=None), []),  # it declares no driver
    ],
)
def test_auto_upgrade_is_off_and_our_taints_are_tolerated(obj: dict[str, Any], wanted: list[str]) -> None:
    found = list(against_moving(obj, ()))
    assert [f.verdict for f in found] == [Verdict.FAIL] * len(wanted)
    assert all(text in f.what for text, f in zip(wanted, found, strict=True))


def test_a_policys_tolerations_replace_the_operators_own_so_that_the_gpu_taint_must_be_among_them() -> None:
    (found,) = against_moving(policy(), {"nvidia.com/gpu"})
    assert "nvidia.com/gpu" in found.what
    assert not list(against_moving(policy(daemonsets={"tolerations": [*OURS, GPU]}), {"nvidia.com/gpu"}))
    assert not list(against_moving(driver(), {"nvidia.com/gpu"}))  # a driver's list is appended


def condition(kind: str, status: str, reason: str = "Any", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, **more}


CLEAN = [condition("Ready", "True"), condition("Error", "False", "Ready")]


@pytest.mark.parametrize(
    ("metadata", "status", "verdict"),
    [
        ({}, {"conditions": CLEAN}, None),
        ({}, {"conditions": [CLEAN[0]]}, None),
        (
            {},
            {"conditions": [condition("Ready", "False", "Error"), condition("Error", "True", "X")]},
            Verdict.FAIL,
        ),
        ({}, {"conditions": [*CLEAN, condition("ConflictingNodeSelector", "True")]}, Verdict.FAIL),
        ({}, {"conditions": [CLEAN[0], condition("Error", "True", "ReconcileFailed")]}, Verdict.FAIL),
        ({}, {"conditions": [condition("Ready", "False")]}, Verdict.FAIL),
        ({}, {"conditions": [condition("Ready", "Unknown")]}, Verdict.INCONCLUSIVE),
        ({}, {"state": "ready"}, None),
        ({}, {"state": "notReady"}, Verdict.FAIL),
        ({}, {}, Verdict.INCONCLUSIVE),
        ({"generation": 3}, {"observedGeneration": 2, "conditions": CLEAN}, Verdict.INCONCLUSIVE),
        (
            {"generation": 3},
            {"conditions": [{**c, "observedGeneration": 2} for c in CLEAN]},
            Verdict.INCONCLUSIVE,
        ),
        ({"generation": 3}, {"conditions": [{**c, "observedGeneration": 3} for c in CLEAN]}, None),
        ({"deletionTimestamp": "2026-08-22T03:00:00Z"}, {"conditions": CLEAN}, Verdict.FAIL),
    ],
)
def test_an_operator_has_taken_the_object_and_is_in_no_trouble_with_it(
    metadata: dict[str, Any], status: dict[str, Any], verdict: Verdict | None
) -> None:
    obj = driver()
    obj["metadata"] |= metadata
    found = list(against_trusting({**obj, "status": status}))
    assert [f.verdict for f in found] == ([verdict] if verdict else [])


RING_0, RING_1 = {"ring": "0"}, {"ring": "1"}
RINGS = [driver("ring-0", nodeSelector=RING_0), driver("ring-1", nodeSelector=RING_1)]
DEFAULT = driver("fallback", default=True)
NODES = {"gpu-1": RING_0, "gpu-2": RING_1}
DECLARED = {"gpu-1": "ring-0", "gpu-2": "ring-1"}


@pytest.mark.parametrize(
    ("labels", "drivers", "wanted"),
    [
        (RING_0, RINGS, ("ring-0",)),
        (RING_0, [*RINGS, DEFAULT], ("ring-0",)),  # a selective one beats the default
        ({}, [*RINGS, DEFAULT], ("fallback",)),
        ({}, RINGS, ()),
        (RING_0, [*RINGS, driver("all")], ("ring-0", "all")),  # neither selector nor default: every node
        (
            RING_0 | {"gpu": "h200"},
            [*RINGS, driver("h200", nodeSelector={"gpu": "h200"})],
            ("ring-0", "h200"),
        ),
        ({}, [DEFAULT, driver("second", default=True)], ("fallback", "second")),
    ],
)
def test_a_node_is_had_by_whom_the_operator_gives_it_to(
    labels: dict[str, str], drivers: list[dict[str, Any]], wanted: tuple[str, ...]
) -> None:
    assert owners(labels, drivers) == wanted


def selection(
    nodes: dict[str, dict[str, str]], drivers: list[dict[str, Any]], rings: dict[str, str] | None = None
) -> list[Finding]:
    return list(against_selection(nodes, drivers, DECLARED if rings is None else rings))


def test_one_object_a_node_the_one_that_git_names_is_no_finding() -> None:
    assert selection(NODES, RINGS) == []
    assert selection(NODES, [*RINGS, DEFAULT]) == []


def test_two_objects_on_one_node_are_named_with_the_node() -> None:
    (found,) = selection(NODES, [*RINGS, driver("intruder", nodeSelector=RING_0)])
    assert found.verdict is Verdict.FAIL
    assert "ring-0 and intruder" in found.where
    assert "gpu-1" in found.what


def test_a_default_object_without_the_flag_overlaps_every_ring() -> None:
    """As a chart leaves it; older operators call both ready, and nothing moves."""
    found = selection(NODES, [*RINGS, driver("default")])
    assert {f.where for f in found} == {"NVIDIADriver ring-0 and default", "NVIDIADriver ring-1 and default"}


def test_a_node_that_nobody_has_or_the_default_instead_of_its_ring_is_named() -> None:
    (nobody,) = selection(NODES | {"gpu-3": {}}, RINGS)
    assert (nobody.where, nobody.verdict) == ("node gpu-3", Verdict.FAIL)
    (fallen,) = selection(NODES | {"gpu-1": {}}, [*RINGS, DEFAULT])
    assert "fallback selects it" in fallen.what
    assert "declared by ring-0" in fallen.what


def test_a_default_object_with_a_selector_is_refused() -> None:
    (found,) = selection(NODES, [*RINGS, driver("fallback", default=True, nodeSelector={"a": "b"})])
    assert found.where == "NVIDIADriver fallback"


def test_the_operator_has_followed_a_nodes_label() -> None:
    """A node without owner that gets a ring label is ignored until another event: it stays on its old version."""
    owned = {n: labels | {OWNER_LABEL: DECLARED[n]} for n, labels in NODES.items()}
    assert selection(owned, RINGS) == []
    (late,) = selection(owned | {"gpu-2": RING_1}, RINGS)
    assert (late.where, late.passes) == ("node gpu-2", True)
    (other,) = selection(owned | {"gpu-2": RING_1 | {OWNER_LABEL: "fallback"}}, RINGS)
    assert "is of NVIDIADriver fallback" in other.what


def test_drivers_are_declared_by_the_kind_that_the_policy_lets_count() -> None:
    assert not list(against_kind([policy()], {"NVIDIADriver"}))
    assert not list(against_kind([], {"NVIDIADriver"}))
    (ignored,) = against_kind([policy(driver={})], {"NVIDIADriver"})
    assert "does not use NVIDIADriver" in ignored.what
    (other,) = against_kind([policy()], {"ClusterPolicy"})
    assert "come from NVIDIADriver" in other.what


def change(path: str = "spec.version") -> FieldChange:
    driver = ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "ring-0")
    return FieldChange("nvidia-driver", "f.yaml", path, driver, OLD, NEW)


WHOLE = {"version": OLD, "repository": "mirror.example.com/nvidia", "image": "driver"}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, ""),
        ({"repository": "mirror.example.com:5000/nvidia"}, ""),  # a port is no tag
        ({"image": "driver@sha256:0a1b"}, "names a digest"),
        (
            {"repository": "", "image": "mirror.example.com/nvidia/driver@sha256:0a1b"},
            "without spec.repository",
        ),
        ({"image": "driver:580.173.02-rhcos4.18"}, "names a tag"),
        ({"repository": f"mirror.example.com/nvidia/{OLD}"}, f"belongs to {OLD}"),
        ({"image": f"driver-{OLD}"}, f"belongs to {OLD}"),
        ({"image": f"driver-{OLD}1"}, ""),
        ({"image": ""}, "without spec.image"),
        ({"repository": None, "image": None}, "without spec.repository and spec.image"),
    ],
)
def test_a_version_moves_only_with_a_repository_and_an_image_that_name_no_release(
    fields: dict[str, Any], what: str
) -> None:
    found = list(against_change(driver(**(WHOLE | fields)), change()))
    assert bool(found) is bool(what)
    assert any(what in f.what for f in found) or not what
    assert all(f.verdict is Verdict.FAIL for f in found)


def test_a_repository_that_moves_along_may_belong_to_the_version_before() -> None:
    held = driver(**(WHOLE | {"repository": f"mirror.example.com/nvidia/{OLD}"}))
    assert list(against_change(held, change()))
    assert not list(against_change(held, change(), {"spec.version", "spec.repository"}))


def test_the_fields_of_a_part_are_looked_at_beside_its_version() -> None:
    obj = policy(driver={"version": OLD, "repository": "r"})
    (found,) = against_change(obj, change("spec.driver.version"))
    assert "without spec.driver.image" in found.what


def test_another_field_than_a_version_composes_no_image() -> None:
    assert not list(against_change(driver(kernelModuleType="open"), change("spec.kernelModuleType")))


def test_a_version_of_a_kind_that_we_do_not_know_is_not_told_to_be_all_right() -> None:
    other = {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "x"},
        "spec": {"version": OLD},
    }
    (found,) = against_change(other, change())
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_driver_that_is_switched_off_is_not_moved_by_its_version() -> None:
    """Drivers that came with the nodes: the run would wait for pods that nobody makes."""
    obj = policy(driver={"enabled": False, "version": OLD, "repository": "r", "image": "driver"})
    (found,) = against_change(obj, change("spec.driver.version"))
    assert (found.verdict, "spec.driver.enabled is false" in found.what) == (Verdict.FAIL, True)


@pytest.mark.parametrize(("after", "count"), [(NEW, 1), ("595", 0)])
def test_precompiled_drivers_are_named_by_their_branch(after: str, count: int) -> None:
    obj = driver(version="580", repository="r", image="driver", usePrecompiled=True)
    moved = replace(change(), before="580", after=after)
    assert len(list(against_change(obj, moved))) == count
