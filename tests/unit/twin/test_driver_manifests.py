"""The driver DaemonSets: what changes their digest, their name, their containers."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.behaviours.driver import version_of
from knowngood.twin.behaviours.driver_manifests import (
    Surroundings,
    driver_daemon_set,
    policy_daemon_set,
    refusal,
)
from knowngood.twin.behaviours.gpu_manifests import DIGEST_ENV, operand_daemon_sets
from knowngood.twin.behaviours.kube import digest, labels_of, name_of
from knowngood.twin.behaviours.node_pools import Pool
from knowngood.twin.values import Object

POOL = Pool("rhcos", "4.18", "418.94.1-0")
AROUND = Surroundings("gpu", "4.18", frozenset({POOL.build}), "26.7.0")
CLAIMED = {"key": "knowngood.dev/claimed", "operator": "Exists", "effect": "NoSchedule"}
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
GDS = {"enabled": True, "repository": "m", "image": "nvidia-fs", "version": "2.28.2"}


def made(pool: Pool = POOL, uid: str = "1", **spec: Any) -> Object:
    """The DaemonSet of ring-0 with these fields beside the usual ones."""
    usual = {"repository": "m", "image": "driver", "version": "580.1", "kernelModuleType": "open"}
    driver = {"metadata": {"name": "ring-0", "uid": uid}, "spec": {**usual, **spec}}
    return driver_daemon_set(driver, pool, AROUND)


def seen(daemon_set: Object) -> str:
    """Its DRIVER_CONFIG_DIGEST."""
    env = daemon_set["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(next(e["value"] for e in env if e["name"] == DIGEST_ENV))


def containers(daemon_set: Object) -> dict[str, str]:
    """Images by container."""
    return {c["name"]: c["image"] for c in daemon_set["spec"]["template"]["spec"]["containers"]}


@pytest.mark.parametrize(
    "spec",
    [
        {"rdma": {"enabled": False, "useHostMofed": False}},
        {"tolerations": [CLAIMED]},
        {"labels": {"team": "x"}},
        {"nodeSelector": {"a": "b"}},
    ],
)
def test_what_loads_nothing_else_has_the_same_digest(spec: dict[str, Any]) -> None:
    assert seen(made(**spec)) == seen(made()) == seen(made(uid="2"))


@pytest.mark.parametrize(
    "spec",
    [
        {"version": "595.1"},
        {"kernelModuleType": "proprietary"},
        {"kernelModuleType": "auto"},
        {"rdma": {"enabled": True}},
        {"gds": GDS},
        {"gdrcopy": {**GDS, "image": "gdrdrv"}},
        {"env": [{"name": "EXTRA", "value": "1"}]},
        {"manager": {"repository": "m", "image": "k8s-driver-manager", "version": "v0.13.0"}},
        {"pool": Pool("rhcos", "4.18", "another")},
    ],
)
def test_what_loads_something_else_has_another_digest(spec: dict[str, Any]) -> None:
    assert seen(made(**spec)) != seen(made())


def test_the_policys_own_driver_has_another_digest_and_the_policys_tolerations() -> None:
    driver = {"repository": "m", "image": "driver", "version": "580.1", "kernelModuleType": "open"}
    policy = {"spec": {"driver": driver, "daemonsets": {"tolerations": [CLAIMED]}}}
    found = policy_daemon_set(policy, POOL, AROUND)
    assert name_of(found) == f"nvidia-driver-daemonset-{POOL.build}"
    assert seen(found) != seen(made())
    assert found["spec"]["template"]["spec"]["tolerations"] == [CLAIMED]
    assert found["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_a_drivers_tolerations_are_added_and_the_operands_are_replaced() -> None:
    assert made(tolerations=[CLAIMED])["spec"]["template"]["spec"]["tolerations"] == [GPU_TAINT, CLAIMED]
    for own, kept in (([CLAIMED], [CLAIMED]), ([], [GPU_TAINT])):
        operands = operand_daemon_sets({"spec": {"daemonsets": {"tolerations": own}}}, "gpu", "26.7.0")
        assert {digest(o["spec"]["template"]["spec"]["tolerations"]) for o in operands} == {digest(kept)}


def test_the_name_is_by_the_objects_uid_and_the_pool() -> None:
    names = {name_of(made()), name_of(made(uid="2")), name_of(made(Pool("rhcos", "4.18", "another")))}
    assert len(names) == 3
    assert name_of(made(version="595.1")) == name_of(made())


def test_a_build_without_a_toolkit_image_gets_the_drivers_own() -> None:
    found = made(Pool("rhcos", "4.18", "another"))
    assert containers(found)["openshift-driver-toolkit-ctr"] == containers(found)["nvidia-driver-ctr"]
    assert labels_of(found)["openshift.driver-toolkit.rhcos-image-missing"] == "true"
    assert containers(made())["openshift-driver-toolkit-ctr"] != containers(made())["nvidia-driver-ctr"]


def test_outside_openshift_there_is_no_toolkit() -> None:
    found = made(Pool("ubuntu", "22.04"))
    assert containers(found) == {"nvidia-driver-ctr": "m/driver:580.1-ubuntu22.04"}


def test_what_is_loaded_beside_the_driver_has_a_container_of_its_own() -> None:
    more: dict[str, Any] = {
        "rdma": {"enabled": True},
        "gds": GDS,
        "gdrcopy": {**GDS, "image": "gdrdrv", "version": "v2"},
    }
    assert set(containers(made(**more))) - set(containers(made())) == {
        "nvidia-peermem-ctr",
        "nvidia-fs-ctr",
        "nvidia-gdrcopy-ctr",
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"gds": GDS, "kernelModuleType": "open"}, ""),
        ({"gds": GDS, "kernelModuleType": "proprietary"}, "only supported with NVIDIA OpenRM"),
        ({"gds": GDS}, "only supported with NVIDIA OpenRM"),
        ({"gds": GDS, "kernelModuleType": "open", "usePrecompiled": True}, "pre-compiled"),
        ({"gds": {"enabled": False}, "kernelModuleType": "proprietary"}, ""),
    ],
)
def test_direct_storage_is_refused_without_open_modules_or_with_precompiled_ones(
    spec: dict[str, Any], words: str
) -> None:
    assert (words in refusal(spec)) if words else refusal(spec) == ""


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("mirror.example.com:5000/nvidia/driver:580.173.02-rhcos4.18", "580.173.02"),
        ("m/driver:580-5.14.0-427.el9_4.x86_64-rhcos4.18", "580"),
        ("m/driver@sha256:00", "sha256:00"),
    ],
)
def test_a_driver_pod_knows_its_version_by_its_image(image: str, version: str) -> None:
    assert version_of(image) == version
