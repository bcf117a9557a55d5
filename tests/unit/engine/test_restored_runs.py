"""Undone runs on the fakes: what others did meanwhile is told, what nobody could read is not called restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.engine.fake_cluster import FakeCluster
from tests.unit.engine.scene import a_profile, a_world, an_engine
from tests.unit.engine.world import NEW, World

from knowngood.model.errors import ExitCode
from knowngood.model.hardware import Hardware
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState
from knowngood.model.record import RecordType, Status
from knowngood.model.state import End

Change = Callable[[NodeState], NodeState]


class Busy(FakeCluster):
    """A cluster with a CPU node, where `change` happens to nodes once gpu-1's driver was restarted."""

    def __init__(self, world: World, change: Mapping[str, Change], joined: Mapping[str, NodeState]) -> None:
        super().__init__(world)
        self.change = change
        self.joined = joined

    def _late(self) -> bool:
        return self.world.nodes["gpu-1"].loads > 1

    def node_names(self) -> Mapping[str, str]:
        here = {**super().node_names(), "cpu-1": "worker"}
        return here | (dict.fromkeys(self.joined, "gpu") if self._late() else {})

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        return {n: self._seen(n, specs) for n in nodes}

    def _seen(self, name: str, specs: Specs) -> NodeState:
        if name in self.joined:
            return self.joined[name]
        cpu = NodeState("cpu-1", reachable=True, ready=True, boot_id="boot-c")
        seen = cpu if name == "cpu-1" else self._one(name, specs)
        return self.change[name](seen) if name in self.change and self._late() else seen


def undone(
    change: Mapping[str, Change] | None = None, joined: Mapping[str, NodeState] | None = None
) -> tuple[End, Mapping[str, Any]]:
    """A run whose canary is undone; how it ended and what the proof said."""
    world = a_world()
    world.bad = lambda request, n, w: "Xid 31" if w.nodes[n].version == NEW else ""
    engine = an_engine(world)
    engine.ports = replace(engine.ports, cluster=Busy(world, change or {}, joined or {}))
    end = engine.run().end
    outcomes = [r for r in world.records if r.type is RecordType.OUTCOME and r.step.endswith("/verify")]
    assert end is not None
    return end, {"status": outcomes[-1].status, **outcomes[-1].detail}


def annotated(node: NodeState) -> NodeState:
    return replace(node, annotations={"machineconfiguration.openshift.io/state": "Working"})


def tainted(node: NodeState) -> NodeState:
    return replace(node, taints=(*node.taints, "UpdateInProgress=:PreferNoSchedule"))


@pytest.mark.parametrize("node", ["cpu-1", "gpu-1", "gpu-5"])
@pytest.mark.parametrize("change", [annotated, tainted])
def test_what_others_write_on_a_node_does_not_end_a_run_otherwise(node: str, change: Change) -> None:
    end, proof = undone({node: change})
    assert (end.name, proof["status"]) == ("restored", Status.OK)
    assert node in proof["reported"]


def test_a_required_reading_that_can_not_be_taken_after_is_not_restored() -> None:
    def blind(node: NodeState) -> NodeState:
        return replace(node, inventory={k: v for k, v in node.inventory.items() if k != "gpus"})

    end, proof = undone({"gpu-2": blind})
    assert (end.exit_code, proof["status"]) == (ExitCode.HUMAN, Status.INCONCLUSIVE)
    assert proof["unread"] == {"gpu-2": "gpus could not be read after"}


def test_a_required_reading_that_can_not_be_taken_before_starts_no_run() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.hardware = Hardware((replace(a_profile(), mig=True),))
    end = engine.run().end
    assert end is not None
    assert (end.name, len(end.nodes)) == ("inconclusive", 6)
    assert "mig" in end.why
    assert "optionalReadings" in end.why


def test_a_node_that_joined_on_the_version_that_was_taken_back_is_named() -> None:
    node = NodeState("gpu-9", reachable=True, ready=True, versions={"nvidia-driver": NEW})
    end, proof = undone(joined={"gpu-9": node})
    assert (end.exit_code, proof["status"]) == (ExitCode.HUMAN, Status.FAIL)
    assert "gpu-9" in end.nodes
    assert proof["failed"]["gpu-9"].startswith("it joined during the run and runs nvidia-driver")
