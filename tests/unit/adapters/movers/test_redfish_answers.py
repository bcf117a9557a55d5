"""What a BMC's answer to a flash or a reset means: taken, refused, not now, or not known."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster.redfish import Answer
from knowngood.adapters.movers.redfish_acts import BusyError, _refuse
from knowngood.adapters.nodes.batch import NodeFailed, NotTold
from knowngood.model.errors import Unreachable


def answer(status: int) -> Answer:
    return Answer(status, {}, {})


@pytest.mark.parametrize(
    ("status", "means"),
    [(400, NodeFailed), (401, NotTold), (403, NotTold), (409, BusyError), (429, BusyError), (503, BusyError)],
)
def test_what_it_has_not_taken_is_told_apart(status: int, means: type[Exception]) -> None:
    with pytest.raises(means):
        _refuse(answer(status), "takes no image")


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_error_of_its_own_says_nothing_of_what_it_took(status: int) -> None:
    """It is looked for, never asked for a second time at once."""
    with pytest.raises(Unreachable):
        _refuse(answer(status), "takes no image")
