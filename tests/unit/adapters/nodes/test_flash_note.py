"""A node whose BMC was asked to take an image, and nobody saw the end: neither given back nor taken."""

from __future__ import annotations

import copy
import json

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE, NODE_PATH, machine, task

from knowngood.adapters.nodes import batch, claiming
from knowngood.model import names

FLASH = json.dumps({"component": "bmc", "version": "7.20", "known": ["JID_1"], "job": "", "reset": ""})


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    machine(kube)
    return kube


def test_a_node_whose_flash_may_still_come_is_not_released(kube: FakeKube) -> None:
    """By hand after an apply that gave up, say: the image would come with a boot of a tenant's."""
    claiming.claim(task(kube), NODE)
    claiming.note(task(kube), NODE, names.FLASH_ANNOTATION, FLASH)
    before = copy.deepcopy(kube.objects[NODE_PATH])
    with pytest.raises(
        batch.NotTold, match=r"asked to take bmc 7.20, and nobody saw that end.* --flash-ended"
    ):
        claiming.release(task(kube), NODE)
    assert kube.objects[NODE_PATH] == before
    claiming.note(task(kube), NODE, names.FLASH_ANNOTATION, None)
    assert claiming.release(task(kube), NODE)[0] is True


def test_a_node_in_service_whose_flash_may_still_come_is_not_claimed_but_shut_ones_of_this_run_are(
    kube: FakeKube,
) -> None:
    """A way back claims what it has shut, and its apply follows what was begun."""
    claiming.claim(task(kube), NODE)
    claiming.note(task(kube), NODE, names.FLASH_ANNOTATION, FLASH)
    claiming.quarantine(task(kube), NODE)
    assert claiming.claim(task(kube), NODE)[0] is True
    assert kube.objects[NODE_PATH]["metadata"]["annotations"][names.FLASH_ANNOTATION] == FLASH
    machine(kube)
    obj = kube.objects[NODE_PATH]
    obj["metadata"]["annotations"][names.FLASH_ANNOTATION] = FLASH
    kube.put(NODE_PATH, obj)
    with pytest.raises(batch.NotTold, match="knowngood clear gpu-1 --flash-ended"):
        claiming.claim(task(kube), NODE)
