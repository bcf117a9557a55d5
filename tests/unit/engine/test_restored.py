"""`restored` is a closed list per node: what differs, what could not be read and what is only told are three things."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowngood.engine.restored import Asked, Comparison, compare, listed, missing
from knowngood.model import names
from knowngood.model.errors import Location
from knowngood.model.matrix import Profile
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState
from knowngood.planner import readings

OLD, NEW = "580.173.02", "595.91.07"
PROFILE = Profile(
    "xe", "XE7740", 8, "H200 NVL", "10de:233b", False, 8, "ConnectX-7", "dma-buf", {}, (), Location("p.yaml")
)
PARTITIONED = replace(PROFILE, mig=True, vfs=True, nvswitch=True)
GPU = NodeState(
    "gpu-1",
    reachable=True,
    ready=True,
    boot_id="boot-1",
    marks={"nvidia-driver": Mark(OLD, "boot-1", 12.5)},
    versions={
        "nvidia-driver": OLD,
        "nvidia-user-space": OLD,
        "gsp-firmware": OLD,
        "kernel-module-type": "open",
        "nic-firmware": "28.43.1014",
        "rdma-mode": "dma-buf",
        "rhcos-kernel": "5.14.0-427",
    },
    inventory={
        "gpus": {"0000:18:00.0": "minor 0, GPU-1a2b3c4d-5e6f", "0000:2a:00.0": "minor 1, GPU-77777777-aaaa"},
        "mig": {"gpu0": "gi1 gi1/ci0 gi2 gi2/ci0"},
        "rdma-devices": {"mlx5_0": "0000:1c:00.0, firmware 28.43.1014"},
        "vfs": {"mlx5_0": "8"},
        "modules": {"rpcrdma": "srcversion 12AB", "nvidia_fs": "not loaded"},
        "fabric-manager": {"nv-fabricmanager": "running"},
    },
    operands={"nvidia-device-plugin-daemonset": "ready"},
    images={"nvidia-device-plugin-daemonset": "plugin:v1@sha256:1"},
    labels={"nvidia.com/mig.config.state": "success"},
    allocatable={"nvidia.com/gpu": "8", "rdma/hca": "63"},
    written=("knowngood.dev/ring=ring-0",),
)
CPU = NodeState(
    "cpu-1", reachable=True, ready=True, boot_id="boot-c", versions={"rhcos-kernel": "5.14.0-427"}
)


def asked(profile: Profile = PARTITIONED, moved: str = "gpu-1", **changes: Any) -> Asked:
    values: dict[str, Any] = {
        "required": dict.fromkeys(("gpu-1", "gpu-2"), readings.required(profile)),
        "optional": dict.fromkeys(("gpu-1", "gpu-2"), readings.optional(profile)),
        "gpu": frozenset({"gpu-1", "gpu-2", "gpu-9"}),
        "moved": frozenset({moved}),
        "taken_back": {"nvidia-driver": NEW},
        "schemes": {"nvidia-driver": "nvidia-driver"},
        "called": {"nvidia-driver": "driver"},
    }
    return Asked(**{**values, **changes})


def one(old: NodeState, new: NodeState, about: Asked | None = None) -> Comparison:
    return compare({old.name: old}, {new.name: new}, about or asked()).get(old.name, Comparison())


def without(state: NodeState, key: str) -> NodeState:
    """The node as it is where this reading could not be taken."""
    match key:
        case "boot":
            return replace(state, boot_id="")
        case "load":
            return replace(state, marks={})
        case "operands":
            return replace(state, operands={}, images={})
    return replace(
        state,
        versions={k: v for k, v in state.versions.items() if k != key},
        inventory={k: v for k, v in state.inventory.items() if k != key},
    )


def test_a_node_that_is_as_it_was_gives_nothing_to_say() -> None:
    later = replace(GPU, uptime_seconds=5000.0, marks={"nvidia-driver": Mark(OLD, "boot-1", 900.0)})
    assert not one(GPU, later)


@pytest.mark.parametrize("key", sorted(readings.required(PARTITIONED)))
def test_a_required_reading_is_never_equal_where_it_could_not_be_taken(key: str) -> None:
    """Also where it could not be taken before either: nothing compared with nothing proves nothing."""
    blind = without(GPU, key)
    for old, new in ((GPU, blind), (blind, GPU), (blind, blind)):
        found = one(old, new)
        assert any(text.startswith(f"{key} could not be read") for text in found.unread)
        assert not found.differs
    assert missing(blind, readings.required(PARTITIONED)) == (key,)
    assert missing(GPU, readings.required(PARTITIONED)) == ()


@pytest.mark.parametrize("key", ["mig", "vfs", "fabric-manager"])
def test_what_the_profile_does_not_have_may_be_unread_both_times(key: str) -> None:
    blind = without(GPU, key)
    assert not one(blind, blind, asked(PROFILE))
    assert one(GPU, blind, asked(PROFILE)).unread, "it was there before"
    assert one(blind, GPU, asked(PROFILE)).reported


@pytest.mark.parametrize("key", ["mig", "load", "modules"])
def test_what_the_profile_calls_optional_is_compared_where_it_was_read_and_else_told(key: str) -> None:
    about = asked(replace(PARTITIONED, optional_readings=(key,)))
    found = one(GPU, without(GPU, key), about)
    assert (found.differs, found.unread, len(found.reported)) == ((), (), 1)
    lost = replace(
        GPU,
        marks={"nvidia-driver": Mark(NEW, "boot-1", 900.0)},
        inventory={kind: {} for kind in GPU.inventory},
    )
    assert one(GPU, lost, about).differs


@pytest.mark.parametrize(
    ("kind", "now", "text"),
    [
        ("mig", {}, "MIG instances of gpu0 was gi1 gi1/ci0 gi2 gi2/ci0, is nothing"),
        ("vfs", {"mlx5_0": "0"}, "VFs of mlx5_0 was 8, is 0"),
        (
            "modules",
            {"rpcrdma": "not loaded", "nvidia_fs": "not loaded"},
            "module rpcrdma was srcversion 12AB",
        ),
        ("rdma-devices", {}, "RDMA device mlx5_0"),
        ("gpus", {"0000:18:00.0": "minor 1, GPU-1a2b3c4d-5e6f"}, "GPU 0000:18:00.0 was minor 0"),
    ],
)
def test_what_the_driver_and_the_kernel_list_is_judged_whatever_labels_say(
    kind: str, now: dict[str, str], text: str
) -> None:
    """Hopper loses its MIG layout with the module; the label goes on to say `success`."""
    found = one(GPU, replace(GPU, inventory={**GPU.inventory, kind: now}))
    assert any(text in difference for difference in found.differs)


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": {**GPU.versions, "gsp-firmware": NEW}},
        {"operands": {"nvidia-device-plugin-daemonset": "Pending"}},
        {
            "operands": {},
            "images": {},
            "written": (*GPU.written, "nvidia.com/gpu.deploy.dcgm=paused-for-upgrade"),
        },
        {"images": {"nvidia-device-plugin-daemonset": "plugin:v1@sha256:2"}},
        {"allocatable": {**GPU.allocatable, "nvidia.com/gpu": "7"}},
        {"written": ()},
        {"written": (*GPU.written, "annotation knowngood.dev/claim=r/1")},
        {"unschedulable": True},
        {"ready": False},
        {"marks": {"nvidia-driver": Mark(NEW, "boot-1", 900.0)}},
    ],
)
def test_what_moved_and_what_we_or_its_drainers_wrote_is_judged(changes: dict[str, Any]) -> None:
    assert one(GPU, replace(GPU, **changes)).differs


@pytest.mark.parametrize("node", [GPU, CPU])
@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": {"machineconfiguration.openshift.io/lastSyncedControllerConfigResourceVersion": "7"}},
        {"annotations": {"machineconfiguration.openshift.io/state": "Working"}},
        {"labels": {"topology.kubernetes.io/zone": "b", "nvidia.com/mig.config.state": "success"}},
        {"taints": ("UpdateInProgress=:PreferNoSchedule",)},
        {"allocatable": {"nvidia.com/gpu": "8", "rdma/hca": "1"}},
    ],
)
def test_what_others_wrote_is_told_and_not_judged(node: NodeState, changes: dict[str, Any]) -> None:
    found = one(replace(node, allocatable=GPU.allocatable, labels=GPU.labels), replace(node, **changes))
    assert found.reported
    assert (found.differs, found.unread) == ((), ())


def test_a_module_that_a_mount_has_asked_for_since_is_nothing_lost() -> None:
    more = {"rpcrdma": "srcversion 12AB", "nvidia_fs": "2.28.4"}
    found = one(GPU, replace(GPU, inventory={**GPU.inventory, "modules": more}))
    assert (found.differs, found.reported) == ((), ("module nvidia_fs was not loaded, is 2.28.4",))


@pytest.mark.parametrize(
    "changes",
    [
        {"boot_id": "boot-2"},
        {"marks": {"nvidia-driver": Mark(OLD, "boot-1", 900.0)}},
        {"boot_id": "", "marks": {}},
    ],
)
def test_a_gpu_node_outside_the_moved_rings_has_the_very_boot_and_load(changes: dict[str, Any]) -> None:
    found = one(GPU, replace(GPU, **changes), asked(moved="gpu-2"))
    assert found.differs or found.unread
    assert "outside" in "".join(found.differs) or found.unread


def test_a_cordon_outside_the_moved_rings_is_somebody_elses() -> None:
    found = one(GPU, replace(GPU, unschedulable=True), asked(moved="gpu-2"))
    assert (found.differs, found.reported) == ((), ("it is cordoned",))


@pytest.mark.parametrize(
    "changes", [{"boot_id": "boot-2"}, {"ready": False, "reachable": False}, {"unschedulable": True}]
)
def test_a_cpu_node_may_reboot_or_go_not_ready_and_still_carries_nothing_of_ours(
    changes: dict[str, Any],
) -> None:
    assert not one(CPU, replace(CPU, **changes)).differs
    assert not one(CPU, replace(CPU, **changes)).unread
    claimed = replace(CPU, **changes, written=("taint knowngood.dev/maintenance",))
    assert one(CPU, claimed).differs == ("taint knowngood.dev/maintenance is left",)


def test_a_gpu_node_that_can_not_be_read_is_neither_equal_nor_different() -> None:
    found = one(GPU, replace(GPU, reachable=False, trouble="no driver pod runs on it"))
    assert found.unread == ("can't be read: no driver pod runs on it",)
    assert not found.differs


def test_of_a_gpu_node_that_the_cluster_file_does_not_name_nothing_is_required() -> None:
    """It may be another machine. What was read before is compared all the same."""
    foreign = replace(GPU, name="gpu-9")
    blind = without(foreign, "gsp-firmware")
    assert one(blind, blind).unread == ()
    assert one(foreign, blind).unread == ("gsp-firmware could not be read after",)
    away = replace(foreign, reachable=False, trouble="no driver pod")
    assert one(away, away).reported == ("can't be read: no driver pod",)
    assert one(foreign, away).unread
    assert one(foreign, replace(foreign, marks={"nvidia-driver": Mark(OLD, "boot-1", 900.0)})).differs


def test_a_node_that_is_gone_is_named() -> None:
    found = compare({"gpu-1": GPU, "cpu-1": CPU}, {}, asked())
    assert found["gpu-1"].differs == ("the node is gone",)
    assert found["cpu-1"] == Comparison(reported=("the node is gone",))


JOINED = replace(GPU, name="gpu-9")


@pytest.mark.parametrize(
    ("node", "where", "text"),
    [
        (
            replace(JOINED, versions={**GPU.versions, "nvidia-driver": NEW}),
            "differs",
            "runs nvidia-driver 595",
        ),
        (JOINED, "reported", "it joined during the run"),
        (replace(JOINED, reachable=False, trouble="no driver pod"), "unread", "can't be read: no driver pod"),
        (without(JOINED, "nvidia-driver"), "unread", "its nvidia-driver can't be read"),
        (replace(CPU, name="cpu-9"), "reported", "it joined during the run"),
    ],
)
def test_a_node_that_joined_during_the_run_is_looked_at(node: NodeState, where: str, text: str) -> None:
    found = compare({}, {node.name: node}, asked())[node.name]
    assert text in "".join(getattr(found, where))
    assert [kind for kind in ("differs", "unread", "reported") if getattr(found, kind)] == [where]


def test_a_node_that_joined_a_ring_that_keeps_the_new_version_may_run_it() -> None:
    node = replace(
        JOINED, versions={**GPU.versions, "nvidia-driver": NEW}, labels={names.RING_LABEL: "ring-0"}
    )
    found = compare({}, {node.name: node}, asked(kept=frozenset({"ring-0"})))[node.name]
    assert found == Comparison(reported=("it joined during the run",))


def test_a_text_of_many_changes_stays_short() -> None:
    text = listed(tuple(f"change {i}" for i in range(60)))
    assert "change 11" in text
    assert text.endswith("and 48 more")
