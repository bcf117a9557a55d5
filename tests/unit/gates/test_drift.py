"""What runs is what the release says, and nothing is left over; each deviation is seen for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.matrix.load import load
from knowngood.model.matrix import Profile
from knowngood.model.mover import Mark
from knowngood.model.node import NOT_LOADED, Leftover

from .conftest import BOOT, DRIVER, gate, healthy, request, verdict

DRIFT = gate("drift")
EXPECT = {"nvidia-driver": DRIVER, "kernel-module-type": "open", "rdma-mode": "dma-buf", "openshift": "4.18"}


def versions(**changes: str) -> dict[str, str]:
    return {**healthy().versions, **{k.replace("_", "-"): v for k, v in changes.items()}}


SCHEMES = {"rhcos-kernel": "kernel", "doca-ofed": "doca-ofed", "nvidia-driver": "nvidia-driver"}


REPORTED = {
    "doca-ofed": {"25.10-1.2.2": "25.10-1.2.8", "doca3.4.0-26.04-0.8.6.0-0": "doca3.4.0-26.04-0.8.6.0-0"}
}


def judged(expect: dict[str, str] = EXPECT, **changes: Any) -> tuple[str, str]:
    test = DRIFT.test_versions_are_the_releases
    asked = request(schemes=SCHEMES, reported=REPORTED)
    return verdict(test, state=healthy(**changes), expect=expect, judgement=asked)[:2]


def test_the_release_passes_and_what_was_not_compared_is_said() -> None:
    assert judged() == ("pass", "not compared here: openshift")
    assert judged({"nvidia-driver": DRIVER}) == ("pass", "")
    more = {**EXPECT, "gpu-operator": "26.7.0", "bmc": "7.20"}
    assert judged(more) == ("pass", "not compared here: bmc, gpu-operator, openshift")


@pytest.mark.parametrize(
    ("running", "expected", "words"),
    [
        ("25.10-1.2.8", "pass", ""),
        ("25.10-1.2.2", "pass", ""),
        ("25.10-9.9.9", "inconclusive", "reports 25.10-9.9.9, which no known package does"),
        ("26.04-0.8.6", "fail", "doca-ofed is 26.04-0.8.6, expected"),
    ],
    ids=["its package's", "another, known", "unknown", "another package's"],
)
def test_a_module_may_report_another_version_than_its_package(
    running: str, expected: str, words: str
) -> None:
    expect = {**EXPECT, "doca-ofed": "doca3.2.0-25.10-1.2.8.0-2"}
    found, why = judged(expect, versions=versions(doca_ofed=running))
    assert (found, words in why) == (expected, True), why
    other = {**EXPECT, "doca-ofed": "doca3.4.0-26.04-0.8.6.0-0"}
    assert (
        judged(other, versions=versions(doca_ofed=running))[0]
        == {
            "pass": "fail",  # it is the other package's
            "inconclusive": "inconclusive",
            "fail": "pass",
        }[expected]
    )


@pytest.mark.parametrize(
    ("component", "declared"),
    [("gds", "2.28.4"), ("bios", "2.6.3"), ("kubernetes", "1.34.3"), ("talos", "1.11.3")],
)
def test_each_component_that_a_node_shows_is_compared(component: str, declared: str) -> None:
    expect = {**EXPECT, component: declared}
    assert judged(expect, versions=versions(**{component: declared}))[0] == "pass"
    assert judged(expect, versions=versions(**{component: "0.0.1"}))[0] == "fail"
    assert judged(expect)[0] == "inconclusive"


def test_a_release_that_names_a_mig_layout_is_held_to_it() -> None:
    labels = {**healthy().labels, "nvidia.com/mig.config": "all-1g.18gb"}
    assert judged({**EXPECT, "mig-config": "all-1g.18gb"}, labels=labels)[0] == "pass"
    assert judged({**EXPECT, "mig-config": "all-disabled"}, labels=labels)[0] == "fail"
    assert judged({**EXPECT, "mig-config": "all-disabled"})[0] == "pass"
    assert (
        judged({**EXPECT, "gpu-sharing": "four"}, labels={"nvidia.com/device-plugin.config": "four"})[0]
        == "pass"
    )
    assert judged({**EXPECT, "gpu-sharing": "four"})[0] == "fail"


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


def test_a_driver_that_can_not_be_read_is_compared_with_nothing() -> None:
    """Neither what the log says was loaded, nor the user space where no release says what it should be."""
    kept = {k: v for k, v in healthy().versions.items() if k != "nvidia-driver"}
    for expect in (EXPECT, {"kernel-module-type": "open"}):
        assert judged(expect, versions=kept) == ("inconclusive", "can't read nvidia-driver")
    assert judged({"kernel-module-type": "open"}, versions=versions(nvidia_user_space="1.2.3"))[0] == "fail"


def test_a_gpu_whose_uuid_the_kernel_does_not_tell_has_its_place_alone(profile: Profile) -> None:
    test = DRIFT.test_operands_work_and_nothing_is_parked
    given = {"node": "gpu-1", "states_at_rest": {"gpu-1": healthy()}, "profile": profile, "baseline": None}
    assert verdict(test, **given)[2].measured["places"] == dict.fromkeys(healthy().gpus, "")


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
        (False, {"unschedulable": True}, "inconclusive"),
        (False, {"unschedulable": True, "taints": (MAINTENANCE,)}, "fail"),
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


def mig(*counts: int, **labels: str) -> dict[str, Any]:
    """A node with so many MIG devices on its first GPUs."""
    instances = {
        f"gpu{i}": " ".join(f"gi{n} gi{n}/ci0" for n in range(count)) for i, count in enumerate(counts)
    }
    own = {key.replace("__", ".").replace("_", "-"): value for key, value in labels.items()}
    return {
        "inventory": {"mig": {**{f"gpu{i}": "" for i in range(8)}, **instances}},
        "labels": {**healthy().labels, **{f"nvidia.com/{key}": value for key, value in own.items()}},
    }


ALL, MIXED = {"mig__strategy": "single"}, {"mig__strategy": "mixed"}
SLICES, HALVES = "nvidia.com/mig-1g.18gb", "nvidia.com/mig-3g.71gb"


def counted(**counts: int) -> dict[str, str]:
    names = {"slices": SLICES, "halves": HALVES, "gpu": "nvidia.com/gpu", "shared": "nvidia.com/gpu.shared"}
    return {names[key]: str(count) for key, count in counts.items()}


COUNTS = {"mig-1g__18gb__count": "14", "mig-3g__71gb__count": "2"}


@pytest.mark.parametrize(
    ("changes", "allocatable", "expected"),
    [
        (mig(), counted(gpu=8), "pass"),
        (mig(gpu__replicas="4"), counted(gpu=32), "pass"),
        (mig(gpu__replicas="4"), counted(gpu=31), "fail"),
        (mig(gpu__replicas="4"), counted(gpu=8), "fail"),
        (mig(), counted(gpu=32), "fail"),
        (mig(gpu__replicas="4", gpu__sharing_strategy="time-slicing"), counted(gpu=0, shared=32), "pass"),
        (mig(gpu__replicas="4", gpu__sharing_strategy="time-slicing"), counted(gpu=0, shared=31), "fail"),
        (mig(gpu__replicas="4", gpu__sharing_strategy="mps"), counted(gpu=32), "pass"),
        (mig(*[7] * 8, **ALL), counted(gpu=56), "pass"),
        (mig(*[7] * 7, 6, **ALL), counted(gpu=56), "fail"),
        (mig(*[7] * 8, **ALL), counted(gpu=55), "fail"),
        (mig(*[7] * 8, gpu__replicas="2", **ALL), counted(gpu=112), "pass"),
        (mig(7, 7, 2, **MIXED, **COUNTS), counted(slices=14, halves=2, gpu=5), "pass"),
        (mig(7, 7, 2, **MIXED, **COUNTS), counted(slices=13, halves=2, gpu=5), "fail"),
        (mig(7, 7, 2, **MIXED, **COUNTS), counted(slices=14, gpu=5), "fail"),
        (mig(7, 7, 2, **MIXED, **COUNTS), counted(slices=14, halves=2, gpu=8), "fail"),
        (mig(7, 6, 2, **MIXED, **COUNTS), counted(slices=14, halves=2, gpu=5), "fail"),
        (
            mig(7, 7, 2, mig_1g__18gb__replicas="2", **MIXED, **COUNTS),
            counted(slices=28, halves=2, gpu=5),
            "pass",
        ),
        (
            mig(7, 7, 2, mig_1g__18gb__replicas="2", mig_1g__18gb__sharing_strategy="mps", **MIXED, **COUNTS),
            {**counted(halves=2, gpu=5), "nvidia.com/mig-1g.18gb.shared": "28"},
            "pass",
        ),
        (mig(gpu__workload__config="vm-vgpu"), counted(gpu=0), "inconclusive"),
        (mig(gpu__workload__config="container"), counted(gpu=0), "fail"),
        (mig(*[7] * 8), counted(gpu=8), "fail"),
        (mig(), counted(gpu=8, slices=7), "fail"),
        ({**mig(**MIXED, **COUNTS), "inventory": {}}, counted(slices=14, halves=2, gpu=5), "inconclusive"),
        (mig(gpu__replicas="9" * 500), counted(gpu=8), "pass"),
        (mig(mig__config="all-1g.18gb", mig__config__state="success"), counted(gpu=8), "pass"),
        (mig(mig__config="all-1g.18gb", mig__config__state="pending"), counted(gpu=8), "fail"),
        (mig(mig__config="all-1g.18gb", mig__config__state="failed"), counted(gpu=8), "fail"),
    ],
)
def test_allocatable_is_what_the_nodes_own_configuration_gives(
    profile: Profile, changes: dict[str, Any], allocatable: dict[str, str], expected: str
) -> None:
    found, why = settled(profile, **changes, allocatable=allocatable)
    assert found == expected, why


def test_the_shipped_table_takes_every_release_of_that_package() -> None:
    """Mellanox/network-operator#3104: three shipped releases name it, and its module says otherwise."""
    matrix = load(Path(__file__).parents[3] / "matrix")
    named = {r.components["doca-ofed"] for r in matrix.releases.values() if "doca-ofed" in r.components}
    (package,) = (version for version in named if "25.10-1.2.8" in version)
    for said, expected in (("25.10-1.2.2", "pass"), ("25.10-1.2.3", "inconclusive"), ("26.04-1.1.0", "fail")):
        found = verdict(
            DRIFT.test_versions_are_the_releases,
            state=healthy(versions=versions(doca_ofed=said)),
            expect={**EXPECT, "doca-ofed": package},
            judgement=request(schemes=matrix.schemes, reported=matrix.reported),
        )
        assert found[0] == expected, found[1]
