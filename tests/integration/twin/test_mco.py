"""The machine-config operator: who may be out, whose cordon counts, and what its daemons do to a node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.integration.twin.behaviour import SPACE, Play, Story, play
from tests.published import needs_definitions, problems

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, POD, annotations_of, is_true
from knowngood.twin.behaviours.mco import MachineConfigOperator
from knowngood.twin.behaviours.mco_daemon import MachineConfigDaemons
from knowngood.twin.behaviours.mco_nodes import CONFIG, CURRENT, DESIRED, POOL, STATE, target
from knowngood.twin.values import Object

ROLE = "node-role.kubernetes.io/canary"
CANARY = {"name": "canary", "nodeSelector": {ROLE: ""}}
NODES = [
    {"name": "gpu-1", "role": "gpu", "gpus": 8, "labels": {ROLE: ""}},
    {"name": "gpu-2", "role": "gpu", "gpus": 8},
    {"name": "gpu-3", "role": "gpu", "gpus": 8},
]


def cast(twin: Twin) -> Sequence[Controller]:
    return [MachineConfigOperator(twin), MachineConfigDaemons(twin)]


def tell(folder: Path, story: Story, **machine_config: Any) -> None:
    seed = {"pools": [CANARY], **machine_config}
    play(folder, story, cast, scale=6000.0, kinds=[POOL], nodes=NODES, machineConfig=seed)


def node(stage: Play, name: str) -> Object:
    return stage.get(NODE, name, "")


def said(stage: Play, name: str) -> tuple[str, ...]:
    words = annotations_of(node(stage, name))
    return tuple(words[key] for key in (CURRENT, DESIRED, STATE))


def moving(stage: Play) -> list[str]:
    """The nodes that were told of a config they do not have."""
    names = [one["name"] for one in NODES]
    return [str(name) for name in names if said(stage, str(name))[0] != said(stage, str(name))[1]]


async def render(stage: Play, pool: str, config: str = "rendered-new") -> None:
    await stage.client.patch(POOL, pool, {"spec": {"configuration": {"name": config}}})


async def updated(stage: Play, pool: str, config: str = "rendered-new") -> None:
    await stage.until(
        f"pool {pool} has {config}",
        lambda: (stage.get(POOL, pool, "")["status"].get("configuration") or {}).get("name") == config,
    )


def test_a_pool_moves_its_own_nodes_one_after_the_other_through_a_boot(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        boots = {name: machine.boot_id for name, machine in stage.twin.world.machines.items()}
        await stage.client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "tenant", "namespace": SPACE},
                "spec": {"nodeName": "gpu-2", "containers": [{"name": "x", "image": "w"}]},
            }
        )
        await render(stage, "worker")
        await updated(stage, "worker")
        assert {said(stage, name) for name in ("gpu-2", "gpu-3")} == {
            ("rendered-new", "rendered-new", "Done")
        }
        now = {name: machine.boot_id for name, machine in stage.twin.world.machines.items()}
        assert {name for name in boots if boots[name] != now[name]} == {"gpu-2", "gpu-3"}, (
            "the canary is another pool's"
        )
        downs = [(row["event"], row["node"]) for row in stage.events("node-down") + stage.events("node-up")]
        assert len(downs) == 4
        assert max(stage.said(POOL, "worker", "status", "unavailableMachineCount")) == 1
        assert stage.twin.cache.get(POD, "tenant", SPACE) is None, "it was drained"
        assert not node(stage, "gpu-2")["spec"].get("unschedulable")

    tell(tmp_path, story)


def test_a_cordon_of_somebody_else_uses_up_what_may_be_out(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.client.patch(NODE, "gpu-3", {"spec": {"unschedulable": True}})
        await render(stage, "worker")
        await stage.until("they are marked", lambda: "UpdateInProgress" in str(node(stage, "gpu-2")["spec"]))
        await stage.quiet()
        assert moving(stage) == []
        await stage.client.patch(NODE, "gpu-3", {"spec": {"unschedulable": None}})
        await updated(stage, "worker")

    tell(tmp_path, story)


def test_a_cordoned_canary_never_rolls(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True}})
        await render(stage, "canary")
        await stage.until("it is marked", lambda: "UpdateInProgress" in str(node(stage, "gpu-1")["spec"]))
        await stage.quiet()
        assert moving(stage) == []

    tell(tmp_path, story)


def test_our_taint_outlives_a_nodes_update_and_our_cordon_does_not(tmp_path: Path) -> None:
    ours = {"key": "knowngood.dev/quarantine", "value": "x", "effect": "NoSchedule"}

    async def story(stage: Play) -> None:
        await render(stage, "canary")
        await stage.until("it is told", lambda: moving(stage) == ["gpu-1"])
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True, "taints": [ours]}})
        await updated(stage, "canary")
        assert not node(stage, "gpu-1")["spec"].get("unschedulable")
        assert ours in node(stage, "gpu-1")["spec"]["taints"]

    tell(tmp_path, story)


def test_a_paused_pool_keeps_what_it_has_but_ends_what_a_node_began(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await render(stage, "worker")
        await stage.until("a node is told", lambda: len(moving(stage)) == 1)
        first = moving(stage)[0]
        await stage.client.patch(POOL, "worker", {"spec": {"paused": True}})
        await stage.until("it ends", lambda: said(stage, first) == ("rendered-new", "rendered-new", "Done"))
        await stage.quiet()
        assert moving(stage) == []
        status = stage.get(POOL, "worker", "")["status"]
        updating = next(c for c in status["conditions"] if c["type"] == "Updating")
        assert (updating["status"], status["updatedMachineCount"]) == ("False", 1)
        assert updating["message"] == "Pool is paused; will not update to MachineConfig rendered-new"

    tell(tmp_path, story)


def test_a_machine_config_moves_the_pools_that_select_it_and_its_revert_moves_them_back(
    tmp_path: Path,
) -> None:
    config = {
        "apiVersion": CONFIG[0],
        "kind": CONFIG[1],
        "metadata": {"name": "99-canary", "labels": {"machineconfiguration.openshift.io/role": "canary"}},
        "spec": {"kernelArguments": ["iommu=pt"]},
    }

    async def story(stage: Play) -> None:
        before = {name: target(stage.get(POOL, name, "")) for name in ("master", "worker", "canary")}
        await stage.client.create(config)
        await stage.until("it is rendered", lambda: target(stage.get(POOL, "canary", "")) != before["canary"])
        first = target(stage.get(POOL, "canary", ""))
        await updated(stage, "canary", first)
        await stage.client.patch(CONFIG, "99-canary", {"spec": {"kernelArguments": ["iommu=off"]}})
        await stage.until("it is rendered", lambda: target(stage.get(POOL, "canary", "")) != first)
        await stage.client.patch(CONFIG, "99-canary", {"spec": {"kernelArguments": ["iommu=pt"]}})
        await updated(stage, "canary", first)
        await stage.client.delete(CONFIG, "99-canary")
        await updated(stage, "canary", before["canary"])
        assert {name: target(stage.get(POOL, name, "")) for name in before} == before

    tell(tmp_path, story)


@needs_definitions
def test_the_pools_are_valid_by_their_own_definition(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await render(stage, "canary")
        await updated(stage, "canary")
        for name in ("master", "worker", "canary"):
            assert problems(stage.get(POOL, name, "")) == []

    tell(tmp_path, story, pools=[{**CANARY, "maxUnavailable": "50%"}])


def test_fault_mco_skips_cordoned_holds_a_pool_until_it_is_cleared(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.fault("mco-skips-cordoned", "gpu-3")
        await render(stage, "worker")
        await stage.until("they are marked", lambda: "UpdateInProgress" in str(node(stage, "gpu-2")["spec"]))
        await stage.quiet()
        assert moving(stage) == []
        assert [row["node"] for row in stage.events("fault-hit")] == ["gpu-3"]
        await stage.clear()
        await updated(stage, "worker")

    tell(tmp_path, story)


def test_fault_mco_uncordons_quarantine_lifts_the_cordon_once_and_leaves_the_taint(tmp_path: Path) -> None:
    ours = {"key": "knowngood.dev/quarantine", "value": "x", "effect": "NoSchedule"}
    quarantine = {"spec": {"unschedulable": True, "taints": [ours]}}

    async def story(stage: Play) -> None:
        await stage.fault("mco-uncordons-quarantine", "gpu-1")
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True}})
        await stage.quiet()
        assert node(stage, "gpu-1")["spec"].get("unschedulable"), "a cordon without our taint is not meant"
        await stage.client.patch(NODE, "gpu-1", quarantine)
        await stage.until("it is lifted", lambda: not node(stage, "gpu-1")["spec"].get("unschedulable"))
        await stage.until("our taint alone stays", lambda: node(stage, "gpu-1")["spec"]["taints"] == [ours])
        await stage.client.patch(NODE, "gpu-1", quarantine)
        await stage.quiet()
        assert node(stage, "gpu-1")["spec"].get("unschedulable"), "once"
        assert len(stage.events("fault-hit")) == 1

    tell(tmp_path, story)


def test_a_power_cycle_in_the_middle_of_a_boot_begins_it_anew(tmp_path: Path) -> None:
    """As a health check does that loses patience with a boot of 15 minutes."""

    async def story(stage: Play) -> None:
        await stage.fault("boot-takes-15-minutes", "gpu-1", seconds="3000")
        await render(stage, "canary")
        machine = stage.twin.world.machines["gpu-1"]
        await stage.until("it boots", lambda: not machine.up)
        first = machine.boot_id
        await stage.twin.reboot("gpu-1", "health check", 6000.0)
        assert [row["cause"] for row in stage.events("booted") if row["node"] == "gpu-1"][1:] == [
            "health check"
        ]
        assert machine.boot_id != first
        await updated(stage, "canary")
        assert [row["fault"] for row in stage.events("fault-hit")] == ["boot-takes-15-minutes"]

    tell(tmp_path, story)


def test_a_pod_under_two_budgets_ends_the_drain_in_vain(tmp_path: Path) -> None:
    """Its eviction is a 500, which is an answer: whoever took it for a busy server would ask for ever."""

    async def story(stage: Play) -> None:
        labels = {"app": "tenant"}
        for name in ("one", "two"):
            await stage.client.create(
                {
                    "apiVersion": "policy/v1",
                    "kind": "PodDisruptionBudget",
                    "metadata": {"name": name, "namespace": SPACE},
                    "spec": {"minAvailable": 0, "selector": {"matchLabels": labels}},
                }
            )
        await stage.client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "tenant", "namespace": SPACE, "labels": labels},
                "spec": {"nodeName": "gpu-2", "containers": [{"name": "x", "image": "w"}]},
            }
        )
        await stage.until(
            "the tenant runs", lambda: any(is_true(p, "Ready") for p in stage.twin.cache.all(POD))
        )
        await render(stage, "worker")
        await stage.until("it gives up for now", lambda: stage.events("drain-failed"))
        assert not stage.get(POD, "tenant")["metadata"].get("deletionTimestamp")

    tell(tmp_path, story)
