"""The NIC configuration operator and the maintenance operator: what they do to a node, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.twin.behaviour import Play, Story, play

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import NODE, labels_of, name_of
from knowngood.twin.behaviours.maintenance import MAINTENANCE, Maintenances
from knowngood.twin.behaviours.nic_firmware import API, DEVICE, SOURCE, TEMPLATE, WAIT_LABEL, NicFirmware
from knowngood.twin.values import Object

SPACE = "nvidia-network-operator"
OLD, NEW = "28.43.1014", "28.47.1026"
RINGS = {"ring-0": "gpu-1", "ring-1": "gpu-2"}
NODES = [
    {
        "name": name,
        "role": "gpu",
        "labels": {"example.com/ring": ring},
        "gpus": 2,
        "nics": 2,
        "nicFirmware": OLD,
    }
    for ring, name in RINGS.items()
]
KINDS = (TEMPLATE, SOURCE, DEVICE, MAINTENANCE)


def cast(twin: Twin) -> Sequence[Controller]:
    return [Maintenances(twin), NicFirmware(twin)]


def tell(folder: Path, story: Story, **limits: int) -> None:
    operators = {"namespace": SPACE, **limits}
    play(folder, story, cast, scale=6000.0, kinds=KINDS, nodes=NODES, nicConfiguration=operators)


def source(version: str) -> Object:
    image = f"https://mirror.example.com/fw-ConnectX7-rel-{version.replace('.', '_')}-MCX75310.bin.zip"
    metadata = {"name": f"nic-firmware-{version}", "namespace": SPACE}
    return {"apiVersion": API, "kind": SOURCE[1], "metadata": metadata, "spec": {"binUrlSources": [image]}}


def template(ring: str, version: str, name: str = "", policy: str = "Update") -> Object:
    return {
        "apiVersion": API,
        "kind": TEMPLATE[1],
        "metadata": {"name": name or ring, "namespace": SPACE},
        "spec": {
            "nodeSelector": {"example.com/ring": ring},
            "nicSelector": {"nicType": "1021"},
            "template": {"nicFirmwareSourceRef": f"nic-firmware-{version}", "updatePolicy": policy},
        },
    }


def running(stage: Play, node: str = "gpu-1") -> str:
    return stage.twin.world.machines[node].read("sys/class/infiniband/mlx5_1/fw_ver")


def said(stage: Play) -> str:
    return str((stage.get(DEVICE, "gpu-1-1021-0", SPACE).get("status") or {}).get("firmwareVersion"))


def boots(stage: Play) -> int:
    return sum(e["cause"] == "nic-configuration" for e in stage.events("booted"))


async def declared(stage: Play, version: str = NEW) -> None:
    for one in (OLD, NEW):
        await stage.client.create(source(one))
    await stage.client.create(template("ring-0", version))


async def over(stage: Play) -> None:
    """Its devices are said to run it, and the node is given back."""

    def told() -> bool:
        waits = labels_of(stage.get(NODE, "gpu-1", "")).get(WAIT_LABEL)
        return said(stage) == NEW and waits == "false" and not stage.twin.cache.all(MAINTENANCE)

    await stage.until("the operator is done", told)


def test_a_template_takes_its_ring_out_at_once_burns_and_resets_and_gives_the_node_back(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        stage.watch(MAINTENANCE)
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True}})
        await declared(stage)
        await over(stage)
        assert (running(stage), running(stage, "gpu-2"), boots(stage)) == (NEW, OLD, 0)
        assert stage.said(MAINTENANCE, "nic-configuration-operator-gpu-1", "spec", "requestorID") == [
            "configuration.nic.mellanox.com"
        ]
        await stage.until(
            "our cordon is lifted, too", lambda: not stage.get(NODE, "gpu-1", "")["spec"].get("unschedulable")
        )

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("fault", "runs", "booted"),
    [
        ("nic-status-says-requested", OLD, 0),
        ("nic-burned-not-running", OLD, 0),
        ("nic-reset-fails-reboots", NEW, 1),
        ("nic-reboot-loop", OLD, 3),
    ],
)
def test_its_status_says_what_was_asked_for_whatever_runs(
    tmp_path: Path, fault: str, runs: str, booted: int
) -> None:
    async def story(stage: Play) -> None:
        await stage.fault(fault, "gpu-1")
        await declared(stage)
        await over(stage)
        assert (running(stage), said(stage), boots(stage)) == (runs, NEW, booted)

    tell(tmp_path, story)


def test_of_two_templates_on_one_device_neither_is_applied_and_one_that_validates_burns_nothing(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        await stage.client.create(template("ring-0", NEW, "the-other"))
        await declared(stage)
        await stage.client.create(template("ring-1", NEW, policy="Validate"))
        await stage.until(
            "its sources are there",
            lambda: all(s.get("status", {}).get("state") == "Success" for s in stage.twin.cache.all(SOURCE)),
        )
        await stage.quiet()
        assert stage.twin.cache.all(MAINTENANCE) == []
        assert (running(stage), running(stage, "gpu-2")) == (OLD, OLD)

    tell(tmp_path, story)


def test_nodes_that_anybody_cordoned_use_up_what_may_be_unavailable(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await stage.client.patch(NODE, "gpu-1", {"spec": {"unschedulable": True}})
        await declared(stage)
        await stage.until("it was asked for", lambda: stage.twin.cache.all(MAINTENANCE))
        await stage.quiet()
        (asked,) = stage.twin.cache.all(MAINTENANCE)
        assert name_of(asked).endswith("gpu-1")
        assert "conditions" not in (asked.get("status") or {}), "it stands, and nobody says why"

    tell(tmp_path, story, maxUnavailable=1)
