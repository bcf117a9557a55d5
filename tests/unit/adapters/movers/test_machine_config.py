"""What a MachineConfigPool says counts only of nodes that it has counted."""

from __future__ import annotations

from typing import Any, cast

import pytest

from knowngood.adapters.movers import machine_config
from knowngood.adapters.nodes.batch import NotTold, Task

LABEL = "example.com/ring"


class Asked:
    """A task, as far as it is asked: pools, and one node."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.kube = self

    def list(self, _where: str, **_more: Any) -> list[dict[str, Any]]:
        config = {"name": "rendered-ring-0-1"}
        return [
            {
                "metadata": {"name": "ring-0"},
                "spec": {
                    "nodeSelector": {"matchLabels": {LABEL: "ring-0"}},
                    "configuration": config,
                },
                "status": {"configuration": config, "machineCount": self.count},
            }
        ]

    def node(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {LABEL: "ring-0"}}}


def test_a_pool_that_counts_no_node_says_nothing_of_one() -> None:
    assert machine_config._pool(cast(Task, Asked(1)), "gpu-1").name == "ring-0"
    with pytest.raises(NotTold, match="counts no node"):
        machine_config._pool(cast(Task, Asked(0)), "gpu-1")
