"""NIC firmware: how long a node of a ring may wait for its turn, and what its operator's objects say of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers import nic_firmware
from knowngood.adapters.movers.nic_firmware import API, CONFIGS, DEVICES, MAINTENANCE_API, TEMPLATE
from knowngood.adapters.movers.nic_firmware_ready import TEMPLATES, selecting
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Ring
from knowngood.model.mover import MoverSpec, Moving


def limited(*said: int | str | None) -> FakeKube:
    """A cluster whose maintenance operator is configured so."""
    kube = FakeKube()
    kube.collections |= {CONFIGS, DEVICES}
    for number, most in enumerate(said):
        name = f"config-{number}"
        spec = {} if most is None else {"maxParallelOperations": most}
        kube.put(path(MAINTENANCE_API, CONFIGS, name, "x"), {"metadata": {"name": name}, "spec": spec})
    return kube


@pytest.mark.parametrize(
    ("said", "nodes", "before"),
    [
        ((), 1, 0),
        ((), 4, 3),
        ((None,), 4, 3),
        ((2,), 4, 1),
        ((2,), 5, 2),
        ((8,), 4, 0),
        (("25%",), 4, 3),
        ((4, 1), 4, 3),
        ((0,), 2, 1),
    ],
)
def test_a_ring_waits_for_as_many_turns_as_its_maintenance_operator_makes_of_it(
    said: tuple[int | str | None, ...], nodes: int, before: int
) -> None:
    assert nic_firmware.turns_before(limited(*said), nodes) == before


def test_devices_are_those_of_the_node_and_of_the_same_board() -> None:
    kube = limited()
    for name, node, version in (
        ("a", "gpu-1", "28.47.1026"),
        ("b", "gpu-1", "22.47.1026"),
        ("c", "gpu-2", "28.47.1026"),
        ("d", "gpu-1", ""),
    ):
        status = {"node": node, "firmwareVersion": version}
        kube.put(path(API, DEVICES, name, "x"), {"metadata": {"name": name}, "status": status})
    found = nic_firmware.of_board(nic_firmware.devices_of(kube, "gpu-1"), "28.48.1000")
    assert [device["metadata"]["name"] for device in found] == ["a"]


@pytest.mark.parametrize(
    ("narrower", "said"),
    [
        ({}, []),
        ({"serialNumbers": []}, []),
        ({"pciAddresses": ["0000:1a:00.0"], "partNumbers": ["x"]}, ["partNumbers", "pciAddresses"]),
    ],
)
def test_a_template_that_leaves_out_nics_of_its_type_is_refused(
    narrower: dict[str, list[str]], said: list[str]
) -> None:
    """What it leaves out stays as it is, and the release would be blamed; one of that name elsewhere is another."""
    kube, at = limited(), ObjectRef(API, TEMPLATE, "ring-0", "x")
    kube.collections |= {TEMPLATES, "nodes"}
    kube.put("/api/v1/nodes/gpu-1", {"metadata": {"name": "gpu-1", "labels": {"ring": "0"}}, "spec": {}})
    for space, more in (("elsewhere", {}), ("x", narrower)):
        selects = {"nicType": f"1021-{space}", **more}
        spec = {"nodeSelector": {"ring": "0"}, "nicSelector": selects}
        where = path(API, TEMPLATES, "ring-0", space)
        kube.put(where, {"metadata": {"name": "ring-0", "namespace": space}, "spec": spec})
    moving = Moving("nic-firmware", "28.1", "28.2", MoverSpec("nic-firmware"), at)
    found = [*selecting(kube, Ring("ring-0", ("gpu-1",), 1), moving)]
    assert [f.what.split(" leaves")[0] for f in found] == (
        [", ".join(f"nicSelector.{key}" for key in said)] if said else []
    )


def test_what_a_device_is_told_counts_before_what_it_says() -> None:
    """Until then all that is seen of it is of the source before: the old version, and nobody at work."""
    told = {"metadata": {"name": "a"}, "spec": {"firmware": {"nicFirmwareSourceRef": "new"}}}
    assert nic_firmware._not_told([told], "new") == ""
    assert "is told new, not old yet" in nic_firmware._not_told([told], "old")
    assert "of no source" in nic_firmware._not_told([{"metadata": {"name": "a"}}], "new")


@pytest.mark.parametrize(("observed", "counts"), [(3, True), (None, True), (2, False)])
def test_that_its_operator_gave_up_counts_of_what_the_device_is_told_now(
    observed: int | None, counts: bool
) -> None:
    """A flash that failed before a way back is told until the operator has looked at the new source."""
    said: dict[str, Any] = {
        "type": nic_firmware.IN_PROGRESS,
        "status": "False",
        "reason": nic_firmware.GAVE_UP,
    }
    said |= {} if observed is None else {"observedGeneration": observed}
    device = {"metadata": {"name": "a", "generation": 3}, "status": {"conditions": [said]}}
    assert ([*nic_firmware._gave_up([device])] == [said]) is counts
