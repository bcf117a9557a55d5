"""GPU-seconds are counted from what two looks both saw; a MIG instance is its share of a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.model.node import GpuUse
from knowngood.planner.gpu_work import Load, Meter, gpus_of, load_on


def pod(**limits: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"resources": {"limits": limits}}]}}


@pytest.mark.parametrize(
    ("limits", "gpus"),
    [
        ({"nvidia.com/gpu": "2"}, 2.0),
        ({"nvidia.com/mig-3g.40gb": "2"}, 6 / 7),
        ({"rdma/rdma_shared": "1"}, 0.0),
        ({"cpu": "100m", "nvidia.com/gpu": "many"}, 0.0),
        ({}, 0.0),
    ],
)
def test_what_a_pod_asks_for_is_counted_in_gpus(limits: dict[str, str], gpus: float) -> None:
    assert gpus_of(pod(**limits)) == pytest.approx(gpus)


def test_requests_and_limits_of_one_container_are_the_same_gpus() -> None:
    both = {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}
    assert gpus_of({"spec": {"containers": [{"resources": both}, {"resources": both}]}}) == 2.0


def test_time_in_which_nobody_looked_is_no_work() -> None:
    meter = Meter(longest=10.0, gpus={"n": 8})
    for at in (0.0, 5.0, 100.0, 105.0):
        meter.sample(at, {"n": GpuUse(2.0, 2.0)}, {"n": 1})
    assert (meter.tenants["n"], meter.synthetic["n"], meter.unseen) == (20.0, 10.0, 95.0)
    assert meter.carried("n") == 30.0
    assert meter.carried("never seen") == 0.0


def test_a_node_whose_gpus_are_time_sliced_does_no_more_work_than_its_gpus_can() -> None:
    """Its device plugin offers each GPU several times under the same name, so pods ask for more than there are."""
    meter = Meter(longest=10.0, gpus={"n": 8})
    for at in (0.0, 10.0):
        meter.sample(at, {"n": GpuUse(32.0, 32.0)}, {})
    assert meter.tenants["n"] == 80.0


PARTED = {"nvidia.com/gpu.product": "NVIDIA-H200-MIG-1g.18gb"}
SLICED, MPS = ({"nvidia.com/gpu.sharing-strategy": how} for how in ("time-slicing", "mps"))


@pytest.mark.parametrize(
    ("labels", "allocatable", "load"),
    [
        ({}, {"gpu": "8"}, Load("nvidia.com/gpu", 8, 1, 8.0)),
        ({}, {}, Load("nvidia.com/gpu", 8, 1, 8.0)),
        ({}, {"gpu": "0", "mig-1g.18gb": "56"}, Load("nvidia.com/mig-1g.18gb", 1, 16, 1 / 7)),
        (
            {},
            {"gpu": "0", "mig-1g.18gb": "7", "mig-3g.71gb": "4"},
            Load("nvidia.com/mig-3g.71gb", 1, 4, 3 / 7),
        ),
        ({}, {"gpu": "6", "mig-3g.71gb": "4"}, Load("nvidia.com/gpu", 6, 1, 6.0)),
        (PARTED, {"gpu": "56"}, Load("nvidia.com/gpu", 1, 16, 1 / 7)),
        (SLICED, {"gpu": "32"}, Load("nvidia.com/gpu", 1, 8, 1.0)),
        (SLICED, {"gpu": "0", "gpu.shared": "32"}, Load("nvidia.com/gpu.shared", 1, 8, 1.0)),
        (MPS, {"gpu": "4"}, Load("nvidia.com/gpu", 1, 4, 1.0)),
    ],
)
def test_a_node_is_loaded_by_what_it_offers(
    labels: dict[str, str], allocatable: dict[str, str], load: Load
) -> None:
    offered = {f"nvidia.com/{name}": count for name, count in allocatable.items()}
    assert load_on(labels, offered, 8) == load
