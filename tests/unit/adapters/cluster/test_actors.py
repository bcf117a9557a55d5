"""A node on which somebody says that he works is not claimed; what says that he is done keeps nobody."""

from __future__ import annotations

import copy

import pytest
from tests.unit.adapters.machines import NODE
from tests.unit.adapters.machines import node as a_node

from knowngood.adapters.cluster import actors


@pytest.mark.parametrize(
    ("label", "value", "why"),
    [
        ("nvidia.com/gpu-driver-upgrade-state", "pod-restart-required", "a driver upgrade is going on"),
        ("nvidia.com/ofed-driver-upgrade-state", "drain-required", "a DOCA upgrade is going on"),
        ("nvidia.com/mig.config.state", "rebooting", "the MIG manager works on it"),
        ("network.nvidia.com/operator.nic-configuration.wait", "true", "NIC firmware or settings change"),
        ("dgxc.nvidia.com/nvsentinel-state", "drain-failed", "NVSentinel has taken it out"),
    ],
)
def test_a_label_that_says_somebody_is_at_work_names_him(label: str, value: str, why: str) -> None:
    node = copy.deepcopy(a_node())
    assert actors.busy(node) == ""
    node["metadata"]["labels"][label] = value
    assert actors.busy(node) == f"{why} ({label}={value})"
    assert node["metadata"]["name"] == NODE


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("nvidia.com/gpu-driver-upgrade-state", "upgrade-done"),
        ("nvidia.com/mig.config.state", "success"),
        ("nvidia.com/mig.config.state", "failed"),
        ("network.nvidia.com/operator.nic-configuration.wait", "false"),
        ("dgxc.nvidia.com/nvsentinel-state", ""),
    ],
)
def test_at_rest_a_label_keeps_nobody(label: str, value: str) -> None:
    node = copy.deepcopy(a_node())
    node["metadata"]["labels"][label] = value
    assert actors.busy(node) == ""
