"""Rollbacks of held runs: whatever stopped the run, the way back comes to an end and says what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.unit.engine.fake_cluster import FakeDelivery
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import OLD, World

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import DeadlineExceeded
from knowngood.model.plan import FieldChange
from knowngood.model.state import End
from knowngood.ports.clock import Cancel

FIELD = ("nvidiadriver-ring-1.yaml", "spec.version")


class LooksAtFields(FakeDelivery):
    """As the real one: what must arrive are the fields' values."""

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        took = super().wait(commit, changes, deadline, cancel)
        if any(self.world.live[(c.file, c.path)] != c.after for c in changes):
            raise DeadlineExceeded("Argo CD did not bring it")
        return took


def _engine(world: World) -> Engine:
    engine = an_engine(world)
    engine.ports = replace(engine.ports, delivery=LooksAtFields(world))
    return engine


def _rolled_back(world: World) -> End:
    engine = _engine(world)
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    return end


def test_a_rollback_does_not_wait_for_a_value_that_only_others_declare() -> None:
    """ring-1's field was taken before our commit. The rollback waited for the old value there until its deadline, was
    interrupted, and each resume did the same: the canary never came back.
    """
    world = a_world()

    def taken(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == "hop-1/ring-1/baseline":
            w.head().fields[FIELD] = "610.1"
        return ""

    world.bad = taken
    held = _engine(world).run().end
    assert held is not None
    assert held.name == "held"
    world.bad = lambda *_: ""
    end = _rolled_back(world)
    assert {n.version for n in world.nodes.values()} == {OLD}
    assert not any(n.claim or n.cordoned for n in world.nodes.values())
    assert (end.name, set(end.nodes), dict(end.moved)) == ("held", {"gpu-3", "gpu-4"}, {})
    world.head().fields[FIELD] = OLD  # the colleague takes it back
    assert _rolled_back(world).name == "restored"
