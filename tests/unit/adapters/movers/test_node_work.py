"""What the modules are told moves: by the plan's frozen movers, by a component file's, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.movers import COMPONENTS, SHIPPED

from knowngood.adapters.cluster.facts import BY_HAND
from knowngood.adapters.movers import node_work
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import to_json

FILE: dict[str, Any] = yaml.safe_load((Path(COMPONENTS) / "nvidia-driver.yaml").read_text())["mover"]


@pytest.mark.parametrize("said", [to_json(SHIPPED), FILE], ids=["as a plan froze it", "as its file has it"])
def test_a_mover_is_taken_as_a_plan_froze_it_and_as_its_file_has_it(said: dict[str, Any]) -> None:
    (moving,) = node_work._moves({"expect": {"nvidia-driver": "595"}, "movers": {"nvidia-driver": said}})
    assert (moving.after, moving.spec) == ("595", SHIPPED)


def test_by_hand_the_gpu_driver_needs_no_mover_and_all_else_does() -> None:
    (moving,) = node_work._moves({"expect": {"nvidia-driver": "595"}})
    assert moving.spec == BY_HAND["nvidia-driver"]
    with pytest.raises(UsageError, match="how thing-driver moves is not said"):
        list(node_work._moves({"expect": {"thing-driver": "1"}}))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"class": "magic"}, "moves by class 'magic', which this version does not know"),
        ({**FILE, "speed": "fast"}, "can't be read"),
        ({**FILE, "starts": "tomorrow"}, "can't be read"),
        ("daemon-driver", "can't be read"),
    ],
)
def test_a_mover_that_is_not_understood_moves_nothing(said: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list(node_work._moves({"expect": {"nvidia-driver": "595"}, "movers": {"nvidia-driver": said}}))
