"""What a rehearsal says of the faults that were asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.matrices import release

from knowngood.cli.commands.rehearse import never_came, params_of

HISTORY = {"nodes": {"gpu-1": {"faults": ["xid-79"]}, "gpu-2": {"faults": []}}}


def test_a_fault_that_never_came_is_named() -> None:
    """A rehearsal that ends well although its fault did not happen would say what nobody has seen."""
    wanted = [("xid-79", "gpu-1"), ("xid-79", "gpu-2"), ("driver-in-use", "gpu-3"), ("api-outage", "")]
    assert never_came(HISTORY, wanted) == [("xid-79", "gpu-2"), ("driver-in-use", "gpu-3")]


@pytest.mark.parametrize(
    ("fault", "params"),
    [("xid-31-after-driver", {"version": "595.91.07"}), ("xid-79", {})],
)
def test_a_fault_of_one_driver_is_that_of_the_release_that_is_rehearsed(
    fault: str, params: dict[str, str]
) -> None:
    to = release("new", nvidia_driver="595.91.07")
    assert params_of(fault, to) == params
    assert params_of(fault, replace(to, components={})) == {}
