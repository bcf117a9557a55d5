"""What a node offers is remembered when it is claimed, and never what a device plugin that restarts says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import DAEMONSETS, NODE, NODE_PATH, machine, task

from knowngood.adapters.nodes import preflight
from knowngood.model.names import SNAPSHOT_ANNOTATION as SNAPSHOT


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    machine(kube)
    return kube


def now(kube: FakeKube) -> dict[str, Any]:
    return kube.objects[NODE_PATH]


def offers(kube: FakeKube, **gpus: str) -> None:
    obj = now(kube)
    obj["status"]["allocatable"] = {f"nvidia.com/{name}": amount for name, amount in gpus.items()}
    kube.put(NODE_PATH, obj)


def remembered(kube: FakeKube) -> dict[str, str]:
    found: dict[str, str] = json.loads(now(kube)["metadata"]["annotations"][SNAPSHOT])["allocatable"]
    return found


@pytest.mark.parametrize("away", [{"gpu": "0"}, {}])
def test_a_device_plugin_that_restarts_is_waited_for(kube: FakeKube, away: dict[str, str]) -> None:
    """Else the node would be remembered with no GPU, and fail when its eight are back."""
    offers(kube, **away)
    told: list[str] = []

    def back(_node: str, text: str) -> None:
        told.append(text)
        offers(kube, gpu="8")

    assert preflight.claim(task(kube, tell=back), [NODE]).done == [NODE]
    assert told == ["waiting: its device plugin offers no GPU, as one that restarts"]
    assert remembered(kube) == {"nvidia.com/gpu": "8"}


def test_a_device_plugin_that_stays_away_keeps_no_node_from_us_and_nothing_is_remembered_of_it(
    kube: FakeKube,
) -> None:
    """It may be what our own change broke: a way back must still take the node."""
    offers(kube, gpu="0")
    assert preflight.claim(task(kube), [NODE]).done == [NODE]
    assert remembered(kube) == {}


def test_a_node_on_which_no_device_plugin_belongs_is_claimed_at_once(kube: FakeKube) -> None:
    offers(kube)
    del kube.objects[f"{DAEMONSETS}/nvidia-device-plugin-daemonset"]
    told: list[str] = []
    assert preflight.claim(task(kube, tell=lambda _, text: told.append(text)), [NODE]).done == [NODE]
    assert told == []
