"""The SR-IOV network operator: what it does to a node for a policy, and what it says of that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.twin.behaviour import Play, Story, play

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE
from knowngood.twin.behaviours.mco_nodes import POOL
from knowngood.twin.behaviours.sriov import SriovDaemons
from knowngood.twin.behaviours.sriov_drains import SriovDrains
from knowngood.twin.behaviours.sriov_objects import API, CURRENT, DESIRED, POLICY, POOL_CONFIG, STATE, said
from knowngood.twin.values import Object

SPACE = "openshift-sriov-network-operator"
RESOURCE = "openshift.io/rail"
RINGS = {"ring-0": "gpu-1", "ring-1": "gpu-2"}
NODES = [
    {"name": name, "role": "gpu", "labels": {"example.com/ring": ring}, "gpus": 2, "nics": 2}
    for ring, name in RINGS.items()
]


def cast(twin: Twin) -> Sequence[Controller]:
    return [SriovDrains(twin), SriovDaemons(twin)]


def tell(folder: Path, story: Story) -> None:
    kinds = (POLICY, POOL_CONFIG, STATE, POOL)
    play(folder, story, cast, scale=6000.0, kinds=kinds, nodes=NODES, sriov={"namespace": SPACE})


def policy(ring: str, functions: int, name: str = "", **spec: object) -> Object:
    return {
        "apiVersion": API,
        "kind": POLICY[1],
        "metadata": {"name": name or ring, "namespace": SPACE},
        "spec": {
            "nodeSelector": {"example.com/ring": ring},
            "nicSelector": {"vendor": "15b3", "deviceID": "1021"},
            "resourceName": "rail",
            "numVfs": functions,
            **spec,
        },
    }


def pool(ring: str, most: int | None) -> Object:
    spec = {"nodeSelector": {"matchLabels": {"example.com/ring": ring}}}
    metadata = {"name": ring, "namespace": SPACE}
    body = spec if most is None else {**spec, "maxUnavailable": most}
    return {"apiVersion": API, "kind": POOL_CONFIG[1], "metadata": metadata, "spec": body}


def there(stage: Play, node: str = "gpu-1") -> list[int]:
    machine = stage.twin.world.machines[node]
    return [machine.nic.functions(index) for index in range(2)]


def offered(stage: Play, node: str = "gpu-1") -> str:
    return str(stage.get(NODE, node, "")["status"]["allocatable"].get(RESOURCE))


def state(stage: Play, node: str = "gpu-1") -> tuple[str, str, str]:
    obj = stage.get(STATE, node, SPACE)
    return obj["status"].get("syncStatus", ""), said(obj, DESIRED), said(obj, CURRENT)


async def has(stage: Play, functions: int) -> None:
    """The node rests with so many functions a NIC, by what its operator says and offers."""

    def over() -> bool:
        return state(stage) == ("Succeeded", "Idle", "Idle") and offered(stage) == str(2 * functions)

    await stage.until(f"{functions} functions", over)


async def moved(stage: Play, functions: int) -> None:
    await stage.client.patch(POLICY, "ring-0", {"spec": {"numVfs": functions}}, SPACE)


def test_the_first_functions_come_undrained_and_others_after_a_drain_that_lifts_our_cordon(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        stage.watch(STATE)
        await stage.client.create(policy("ring-0", 4))
        await has(stage, 4)
        assert (there(stage), there(stage, "gpu-2")) == ([4, 4], [0, 0])
        assert stage.events("uncordoned") == [], "nobody was drained"
        machine = stage.twin.world.machines["gpu-1"]
        assert "PCI_SLOT_NAME=0000:1c:00.5" in machine.read("sys/bus/pci/devices/0000:1c:00.0/virtfn3/uevent")
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True}})
        await moved(stage, 2)
        await has(stage, 2)
        assert there(stage) == [2, 2]
        assert machine.read("sys/bus/pci/devices/0000:1c:00.0/virtfn3/uevent") == ""
        assert not stage.get(NODE, "gpu-1", "")["spec"].get("unschedulable"), "our cordon went with its own"
        lines = (machine.root / "var/log/journal.jsonl").read_text()
        assert "mlx5_core 0000:1c:00.0: E-Switch: Enable: mode(LEGACY), nvfs(2)" in lines

    tell(tmp_path, story)


def test_a_boot_takes_functions_away_and_its_daemon_makes_them_again(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.client.create(policy("ring-0", 4))
        await has(stage, 4)
        boot = stage.twin.world.machines["gpu-1"].boot_id
        await stage.twin.reboot("gpu-1", "test", 60.0)
        assert stage.twin.world.machines["gpu-1"].boot_id != boot
        await stage.until("they are there again", lambda: there(stage) == [4, 4])

    tell(tmp_path, story)


def test_a_pool_that_lets_nobody_out_keeps_the_functions_as_they_are(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.client.create(pool("ring-0", 0))
        await stage.client.create(policy("ring-0", 4))
        await has(stage, 4)
        await moved(stage, 8)
        await stage.until("it asks", lambda: state(stage)[1] == "Drain_Required")
        await stage.quiet()
        assert (there(stage), state(stage)[2]) == ([4, 4], "Idle")
        await stage.client.patch(POOL_CONFIG, "ring-0", {"spec": {"maxUnavailable": 1}}, SPACE)
        await has(stage, 8)

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "made", "told", "says"),
    [
        ("vfs-come-back-fewer", [8, 7], "15", ("Succeeded", "Idle", "Idle")),
        ("sriov-offers-fewer", [8, 8], "14", ("Succeeded", "Idle", "Idle")),
        ("sriov-drain-never-starts", [4, 4], "8", ("InProgress", "Drain_Required", "Idle")),
        ("sriov-boot-loop", [8, 8], "16", ("Succeeded", "Idle", "Idle")),
    ],
)
def test_what_it_says_of_itself_is_no_proof(
    tmp_path: Path, fault: str, made: list[int], told: str, says: tuple[str, str, str]
) -> None:
    async def story(stage: Play) -> None:
        await stage.client.create(policy("ring-0", 4))
        await has(stage, 4)
        await stage.fault(fault, "gpu-1")
        await moved(stage, 8)
        await stage.until("it was hit", lambda: stage.events("fault-hit"))
        await stage.until("it rests so", lambda: (offered(stage), state(stage)) == (told, says))
        assert there(stage) == made
        boots = sum(e["cause"] == "sriov-config-daemon" for e in stage.events("booted"))
        assert boots == (3 if fault == "sriov-boot-loop" else 0)

    tell(tmp_path, story)
