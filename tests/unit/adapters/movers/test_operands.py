"""What a node must offer again once its operands run."""

from __future__ import annotations

import pytest

from knowngood.adapters.movers.operands import parted_anew
from knowngood.model.mover import MoverSpec, Moving, NodeLabel, Seen

LAYOUT = MoverSpec("label", label=NodeLabel("nvidia.com/mig.config", Seen.PARTED, "app=manager"))


@pytest.mark.parametrize(
    ("resource", "anew"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.18gb", True),
        ("nvidia.com/rdma_shared_device_a", False),
        ("nvidia.com/sriov_rail_1", False),
    ],
)
def test_a_layout_changes_gpus_and_nothing_else_that_the_vendors_plugins_offer(
    resource: str, anew: bool
) -> None:
    assert parted_anew([Moving("layout", "a", "b", LAYOUT)], resource) is anew
    assert not parted_anew([Moving("driver", "a", "b", MoverSpec("daemon-driver"))], resource)
