"""A whole update of OpenShift on the twin: its operators, its pools, and the operating system of its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.twin.behaviour import Play, Story, play
from tests.published import needs_definitions, problems

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.cvo import NAME, ClusterVersionOperator
from knowngood.twin.behaviours.cvo_operators import ClusterOperators
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_OPERATOR, CLUSTER_VERSION, said_of
from knowngood.twin.behaviours.cvo_status import reports
from knowngood.twin.behaviours.kube import CONFIG_MAP, KERNEL_LABEL, NODE, OSTREE_LABEL, is_true, labels_of
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_daemon import MachineConfigDaemons
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.values import Object

FIRST, NEXT, MINOR = "4.18.52", "4.18.60", "4.19.20"
OLD_KERNEL, NEW_KERNEL = "5.14.0-427.92.1.el9_4.x86_64", "5.14.0-570.12.1.el9_6.x86_64"
ROLE = "node-role.kubernetes.io/canary"
GATE = "ack-4.18-an-api-goes"
NODES = [
    {"name": "cp-1", "role": "control-plane"},
    {"name": "gpu-1", "role": "gpu", "gpus": 8, "labels": {ROLE: ""}},
    {"name": "gpu-2", "role": "gpu", "gpus": 8},
]
PAYLOADS = [
    {"version": FIRST, "image": f"mirror.example.com/ocp@{FIRST}"},
    {"version": NEXT, "image": f"mirror.example.com/ocp@{NEXT}"},
    {
        "version": MINOR,
        "image": f"mirror.example.com/ocp@{MINOR}",
        "kernel": NEW_KERNEL,
        "kubernetes": "v1.32.9",
    },
]
OPERATORS = ["etcd", "network", "machine-config"]


def cast(twin: Twin) -> Sequence[Controller]:
    return [
        MachineConfigOperator(twin),
        MachineConfigDaemons(twin),
        ClusterVersionOperator(twin),
        ClusterOperators(twin),
    ]


def tell(folder: Path, story: Story, **more: Any) -> None:
    play(
        folder,
        story,
        cast,
        scale=6000.0,
        kinds=[POOL, CLUSTER_VERSION, CLUSTER_OPERATOR],
        nodes=NODES,
        machineConfig={"pools": [{"name": "canary", "nodeSelector": {ROLE: ""}}]},
        clusterVersion={"payloads": PAYLOADS, "operators": OPERATORS, **more},
    )


async def ask(stage: Play, version: str) -> None:
    wanted = {"version": version, "image": f"mirror.example.com/ocp@{version}"}
    await stage.client.patch(CLUSTER_VERSION, NAME, {"spec": {"desiredUpdate": wanted}})


async def pause(stage: Play, pool: str, *, paused: bool) -> None:
    await stage.client.patch(POOL, pool, {"spec": {"paused": paused}})


def entry(stage: Play) -> tuple[str, str]:
    """The newest one of the history."""
    first = stage.get(CLUSTER_VERSION, NAME, "")["status"]["history"][0]
    return first["state"], first["version"]


def condition(stage: Play, kind: str) -> str:
    return said_of(stage.get(CLUSTER_VERSION, NAME, "")["status"]["conditions"], kind).message


def node(stage: Play, name: str) -> Object:
    return stage.get(NODE, name, "")


def kernel(stage: Play, name: str) -> str:
    return str(node(stage, name)["status"]["nodeInfo"]["kernelVersion"])


def test_a_minor_moves_the_control_plane_and_then_each_pool_that_is_not_paused(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        for pool in ("worker", "canary"):
            await pause(stage, pool, paused=True)
        boots = {name: machine.boot_id for name, machine in stage.twin.world.machines.items()}
        await ask(stage, MINOR)
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", MINOR))
        order = [row["operator"] for row in stage.events("operator-updated")]
        assert order == OPERATORS, "one after the other"
        now = {name: machine.boot_id for name, machine in stage.twin.world.machines.items()}
        assert {name for name in boots if boots[name] != now[name]} == {"cp-1"}, (
            "Completed says nothing of workers"
        )
        assert kernel(stage, "gpu-1") == OLD_KERNEL
        await pause(stage, "canary", paused=False)
        await stage.until("the canary is there", lambda: kernel(stage, "gpu-1") == NEW_KERNEL)
        info = node(stage, "gpu-1")["status"]["nodeInfo"]
        assert (info["kubeletVersion"], "419.94" in info["osImage"]) == ("v1.32.9", True)
        assert NEW_KERNEL in stage.twin.world.machines["gpu-1"].read("proc/version")
        assert "419.94" in stage.twin.world.machines["gpu-1"].read("etc/os-release")
        await stage.until("NFD says so", lambda: labels_of(node(stage, "gpu-1"))[KERNEL_LABEL] == NEW_KERNEL)
        assert labels_of(node(stage, "gpu-1"))[OSTREE_LABEL].startswith("419.")
        assert kernel(stage, "gpu-2") == OLD_KERNEL
        assert not is_true(stage.get(POOL, "worker", ""), "Updated")

    tell(tmp_path, story)


def test_a_required_pool_that_is_paused_keeps_an_update_from_its_end(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await pause(stage, "master", paused=True)
        await ask(stage, NEXT)
        await stage.until("it waits", lambda: "waiting on machine-config" in condition(stage, "Progressing"))
        await stage.quiet()
        assert entry(stage) == ("Partial", NEXT)
        await pause(stage, "master", paused=False)
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", NEXT))

    tell(tmp_path, story)


def test_an_operator_that_degrades_halfway_stops_the_update_until_it_is_well(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.fault("operator-degrades-halfway")
        await ask(stage, NEXT)
        await stage.until("it fails", lambda: "network is degraded" in condition(stage, "Failing"))
        await stage.quiet()
        assert entry(stage) == ("Partial", NEXT)
        assert [reports(stage.get(CLUSTER_OPERATOR, name, ""), NEXT) for name in OPERATORS] == [
            True,
            False,
            False,
        ]
        await stage.clear()
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", NEXT))

    tell(tmp_path, story)


def test_a_minor_waits_for_its_acknowledgement_and_a_patch_does_not(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.until("it says so", lambda: "an API goes" in condition(stage, "Upgradeable"))
        await ask(stage, MINOR)
        await stage.until("refused", lambda: "AdminAckRequired" in condition(stage, "ReleaseAccepted"))
        await stage.quiet()
        assert entry(stage) == ("Completed", FIRST)
        await stage.client.patch(CONFIG_MAP, "admin-acks", {"data": {GATE: "true"}}, "openshift-config")
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", MINOR))

    tell(tmp_path, story, gates={GATE: "an API goes"})


def test_a_node_that_does_not_come_back_stops_its_pool_and_no_other(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await pause(stage, "worker", paused=True)
        await stage.fault("kubelet-stays-away", "gpu-1")
        await ask(stage, NEXT)
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", NEXT))
        await stage.until("the canary is away", lambda: not is_true(node(stage, "gpu-1"), "Ready"))
        await stage.quiet()
        assert not is_true(stage.get(POOL, "canary", ""), "Updated")
        assert is_true(node(stage, "gpu-2"), "Ready")

    tell(tmp_path, story)


@needs_definitions
def test_what_it_writes_is_valid_by_the_published_definitions(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await ask(stage, NEXT)
        await stage.until("it is complete", lambda: entry(stage) == ("Completed", NEXT))
        seen = [obj for _, obj in stage.history if obj["kind"] in {"ClusterVersion", "ClusterOperator"}]
        assert {obj["kind"] for obj in seen} == {"ClusterVersion", "ClusterOperator"}
        assert [problem for obj in seen for problem in problems(obj)] == []

    tell(tmp_path, story)
