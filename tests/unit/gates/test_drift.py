"""What runs is what the release says, and nothing is left over; each deviation is seen for itself."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.model.matrix import Profile
from knowngood.model.mover import Mark
from knowngood.model.node import NOT_LOADED, Leftover

from .conftest import BOOT, DRIVER, gate, healthy, request, verdict

DRIFT = gate("drift")
EXPECT = {"nvidia-driver": DRIVER, "kernel-module-type": "open", "rdma-mode": "dma-buf", "openshift": "4.18"}


def versions(**changes: str) -> dict[str, str]:
    return {**healthy().versions, **{k.replace("_", "-"): v for k, v in changes.items()}}


SCHEMES = {"rhcos-kernel": "kernel", "doca-ofed": "doca-ofed", "nvidia-driver": "nvidia-driver"}


def judged(expect: dict[str, str] = EXPECT, **changes: Any) -> tuple[str, str]:
    test = DRIFT.test_versions_are_the_releases
    return verdict(test, state=healthy(**changes), expect=expect, judgement=request(schemes=SCHEMES))[:2]


def test_the_release_passes() -> None:
    assert judged()[0] == "pass"


@pytest.mark.parametrize(
    ("component", "running"),
    [
        ("nvidia-driver", "595.91.07"),
        ("nvidia-user-space", "595.91.07"),
        ("nvidia-user-space", f"{DRIVER}, 595.91.07"),
        ("gsp-firmware", "595.91.07"),
        ("kernel-module-type", "proprietary"),
        ("rdma-mode", "nvidia-peermem"),
    ],
)
def test_each_part_that_is_another_fails(component: str, running: str) -> None:
    verdict_, reason = judged(versions=versions(**{component: running}))
    assert verdict_ == "fail"
    assert running in reason


@pytest.mark.parametrize(
    ("component", "declared", "running", "expected"),
    [
        ("rhcos-kernel", "5.14.0-427.el9_4", "5.14.0-427.109.1.el9_4.x86_64", "pass"),
        ("rhcos-kernel", "5.14.0-427.el9_4", "5.14.0-570.12.1.el9_6.x86_64", "fail"),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04-1.1.0", "pass"),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04-0.8.6", "fail"),
        ("nvidia-driver", DRIVER, f"{DRIVER}.1", "fail"),
    ],
)
def test_a_node_may_say_more_or_less_but_nothing_else(
    component: str, declared: str, running: str, expected: str
) -> None:
    verdict_, reason = judged(
        {**EXPECT, component: declared}, versions={**healthy().versions, component: running}
    )
    assert verdict_ == expected
    assert expected == "pass" or running in reason


@pytest.mark.parametrize(
    "component", ["nvidia-driver", "nvidia-user-space", "rdma-mode", "kernel-module-type"]
)
def test_each_part_that_cannot_be_read_is_inconclusive(component: str) -> None:
    kept = {k: v for k, v in healthy().versions.items() if k != component}
    assert judged(versions=kept, marks={}) == ("inconclusive", f"can't read {component}")


def test_a_log_that_speaks_of_another_load_fails() -> None:
    assert judged(marks={"nvidia-driver": Mark("595.91.07", BOOT, 90.0)})[0] == "fail"


def settled(profile: Profile, baseline: Any = None, **changes: Any) -> tuple[str, str]:
    state = healthy(**changes)
    return verdict(
        DRIFT.test_operands_work_and_nothing_is_parked,
        node="gpu-1",
        states_at_rest={"gpu-1": state},
        profile=profile,
        baseline=baseline,
    )[:2]


def test_operands_at_rest_pass(profile: Profile) -> None:
    assert settled(profile)[0] == "pass"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operands": {"nvidia-operator-validator": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"allocatable": {"nvidia.com/gpu": "7"}}, "7 of 8 GPUs"),
        ({"allocatable": {}}, "0 of 8 GPUs"),
        ({"gpus": ("0000:00:00.0",)}, "the driver has 1 GPUs"),
        ({"labels": {**healthy().labels, "nvidia.com/cuda.driver-version.full": "1.2.3"}}, "1.2.3"),
        ({"labels": {}}, "says driver nothing"),
        (
            {"labels": {**healthy().labels, "nvidia.com/gpu.deploy.dcgm": "paused-for-driver-upgrade"}},
            "dcgm is parked",
        ),
        (
            {"labels": {**healthy().labels, "nvidia.com/gpu.deploy.x": "true_paused-for-mig-change"}},
            "x is parked",
        ),
        (
            {"labels": {**healthy().labels, "nvidia.com/gpu-driver-upgrade-state": "drain-required"}},
            "drain-required",
        ),
        (
            {"annotations": {"nvidia.com/gpu-driver-upgrade.driver-wait-for-safe-load": "true"}},
            "safe-load is left over",
        ),
        ({"ready": False}, "not Ready"),
    ],
)
def test_each_thing_out_of_place_fails(profile: Profile, changes: dict[str, Any], words: str) -> None:
    verdict_, reason = settled(profile, **changes)
    assert (verdict_, words in reason) == ("fail", True), reason


def test_an_operand_that_is_gone_since_the_baseline_fails(profile: Profile) -> None:
    before = {"operands": {"nvidia-device-plugin-daemonset": "ready", "nvidia-dcgm-exporter": "ready"}}
    assert settled(profile, before) == ("fail", "nvidia-dcgm-exporter is gone")


def test_no_operand_at_all_is_inconclusive(profile: Profile) -> None:
    assert settled(profile, operands={})[0] == "inconclusive"


def test_a_node_that_can_not_be_read_at_rest_is_inconclusive(profile: Profile) -> None:
    assert settled(profile, reachable=False)[0] == "inconclusive"


MAINTENANCE, QUARANTINE = "knowngood.dev/maintenance=r1:NoSchedule", "knowngood.dev/quarantine=r1:NoSchedule"


@pytest.mark.parametrize(
    ("claimed", "changes", "expected"),
    [
        (False, {}, "pass"),
        (False, {"taints": ("nvidia.com/gpu=:NoSchedule",)}, "pass"),
        (False, {"taints": (MAINTENANCE,)}, "fail"),
        (False, {"unschedulable": True}, "fail"),
        (False, {"annotations": {"knowngood.dev/claim": "r0/1"}}, "fail"),
        (False, {"taints": (QUARANTINE,)}, "fail"),
        (True, {"taints": (MAINTENANCE,), "unschedulable": True}, "pass"),
        (True, {"taints": (MAINTENANCE,)}, "fail"),
        (True, {"unschedulable": True}, "fail"),
        (True, {"taints": (MAINTENANCE, QUARANTINE), "unschedulable": True}, "fail"),
    ],
)
def test_taints_and_cordon_follow_the_claim(claimed: bool, changes: dict[str, Any], expected: str) -> None:
    found = verdict(
        DRIFT.test_taints_and_cordon_are_as_they_should_be,
        node="gpu-1",
        state=healthy(**changes),
        judgement=request(claimed=claimed),
    )
    assert found[0] == expected, found[1]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([], "pass"),
        ([Leftover("job", "knowngood/probe-1", "of r1", "r1")], "fail"),
        ([Leftover("job", "knowngood/probe-1", "of g0", "g0")], "pass"),  # a nightly gate at work
        ([Leftover("parked-operand", "gpu-1", "x")], "fail"),
        ([Leftover("parked-operand", "gpu-10", "x")], "pass"),
        ([Leftover("lease", "knowngood/knowngood", "ran out")], "pass"),
    ],
)
def test_leftovers_of_this_node_and_jobs_of_this_run_fail(left: list[Leftover], expected: str) -> None:
    asked = request(run="r1")
    found = verdict(DRIFT.test_nothing_is_left_over, node="gpu-1", leftovers=left, judgement=asked)
    assert found[0] == expected


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ({"rpcrdma": "srcversion A", "mlx5_core": "26.04-1.1.0"}, ["mlx5_core", "rpcrdma"], "pass"),
        ({"rpcrdma": NOT_LOADED, "mlx5_core": "26.04-1.1.0"}, ["mlx5_core", "rpcrdma"], "fail"),
        ({"nvidia_peermem": NOT_LOADED}, ["nvidia_peermem"], "pass"),
        ({"rpcrdma": NOT_LOADED}, None, "pass"),
        (None, ["mlx5_core"], "inconclusive"),
        (None, None, "pass"),
    ],
    ids=["as before", "stays out", "a setting's own", "nothing before", "unread", "never read"],
)
def test_a_module_that_was_there_must_be_there(
    now: dict[str, str] | None, before: list[str] | None, expected: str
) -> None:
    state = healthy(inventory={} if now is None else {"modules": now})
    baseline = None if before is None else {"modules": before}
    test = DRIFT.test_the_modules_beside_the_drivers_are_still_there
    assert verdict(test, state=state, baseline=baseline)[0] == expected
