"""Rollbacks of held runs: whatever stopped the run, the way back comes to an end and says what is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.unit.engine.fake_cluster import FakeDelivery, FakeNodes
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import DeadlineExceeded
from knowngood.model.field import FieldChange
from knowngood.model.mover import Hold, Specs
from knowngood.model.state import End
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome

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


class Stubborn(FakeNodes):
    """A verb fails on a node, as long as it is named."""

    fails: set[tuple[str, str]]

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        return self._but(
            "claim",
            nodes,
            lambda left: super(Stubborn, self).claim(left, fence, cancel, hold=hold, specs=specs),
        )

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        return self._but("release", nodes, lambda left: super(Stubborn, self).release(left, fence, cancel))

    def _but(self, verb: str, nodes: Sequence[str], do: Callable[[Sequence[str]], Outcome]) -> Outcome:
        wrong = {n: f"the {verb} was refused" for n in nodes if (verb, n) in self.fails}
        done = do(tuple(n for n in nodes if n not in wrong))
        return replace(done, failed={**done.failed, **wrong})


def _stubborn(world: World, *fails: tuple[str, str]) -> Engine:
    engine = an_engine(world, on_wave_failure="undo")
    nodes = Stubborn(world)
    nodes.fails = set(fails)
    engine.ports = replace(engine.ports, nodes=nodes)
    return engine


def _held_with_one_out(world: World) -> End:
    """ring-1 fails and comes back; of ring-0, that comes back after it, gpu-2 can't be given back."""

    def find(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == "hop-1/ring-0/undo/judge":
            engine.ports.nodes.fails.add(("release", "gpu-2"))  # type: ignore[attr-defined]
        return sick("gpu-3")(request, node, w)

    world.bad = find
    engine = _stubborn(world)
    end = engine.run().end
    assert end is not None
    world.bad = lambda *_: ""
    return end


def test_a_rollback_leaves_alone_what_an_earlier_way_back_gave_back() -> None:
    """Nodes that had been restored were drained and reloaded again, under their tenants' work."""
    world = a_world()
    before = snapshot(world)
    assert set(_held_with_one_out(world).nodes) == {"gpu-2"}
    told = len(world.history)
    engine = _stubborn(world)
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    assert end.name == "restored", end.why
    assert snapshot(world) == before
    assert {node for node, *_ in world.history[told:]} == {"gpu-2"}


def test_an_end_names_also_what_an_earlier_way_back_left_out_of_service() -> None:
    """The rollback met trouble in ring-1, and its end forgot gpu-2 of ring-0, which was still claimed."""
    world = a_world()
    assert _held_with_one_out(world).name == "held"
    world.load("gpu-3", NEW)  # somebody restarts a driver pod that still has the new image
    engine = _stubborn(world, ("claim", "gpu-3"))
    engine.roll_back()
    end = engine.run().end
    assert end is not None
    assert end.name == "held"
    assert dict(end.nodes) == {
        "gpu-2": "out of service, claimed by this run",
        "gpu-3": "the claim was refused",
    }
