"""A run pauses where it was told to: after a ring's judgement, resumable, and it says so from everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_standard, a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.test_two_hops import standard, two_hops
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.engine import Engine
from knowngood.engine.pausing import refuse_strange_ring
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, Paused, UsageError
from knowngood.model.plan import Plan
from knowngood.model.state import RunState


def told_to_pause(world: World, ring: str, plan: Plan | None = None) -> Engine:
    world.standard = world.standard or a_standard
    frozen = {"pause_after": ring}
    return Engine(ports(world), plan or a_plan(), a_cluster(), a_hardware(), "run-1", frozen=frozen)


def paused(world: World, engine: Engine) -> str:
    with pytest.raises(Paused) as stopped:
        engine.run()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    assert world.lease[0] == "", "the Lease is free for whoever goes on"
    return str(stopped.value)


def versions(world: World) -> list[str]:
    return [node.version for node in world.nodes.values()]


def test_it_stands_still_once_the_ring_is_judged_and_goes_on_when_resumed() -> None:
    world = a_world()
    assert "hop-1/ring-0" in paused(world, told_to_pause(world, "ring-0"))
    assert versions(world) == [NEW, NEW, OLD, OLD, OLD, OLD]
    last = [record for record in world.records if record.status is not None][-1]
    assert last.step == "hop-1/ring-0/confirm", "nothing after its judgement"
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "done"
    assert set(versions(world)) == {NEW}


def test_another_machine_is_told_and_can_go_on() -> None:
    world = a_world()
    paused(world, told_to_pause(world, "ring-1"))
    world.records, world.files = [], {}
    there: RunState | None = ports(world).checkpoint.load("run-1")
    assert there is not None
    assert "paused after hop-1/ring-1" in there.interrupted
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "done"


def test_each_hop_has_a_pause_and_the_last_ring_one_before_the_whole_is_proven() -> None:
    world = a_world()
    world.standard = standard
    for hop in ("hop-1", "hop-2"):
        assert f"{hop}/ring-2" in paused(world, told_to_pause(world, "ring-2", two_hops()))
    end = told_to_pause(world, "ring-2", two_hops()).run().end
    assert end is not None
    assert end.name == "done"


def test_a_ring_that_is_not_passed_is_undone_and_nobody_is_waited_for() -> None:
    world = a_world()
    world.bad = sick("gpu-1")
    end = told_to_pause(world, "ring-0").run().end
    assert end is not None
    assert end.name == "restored"


def test_who_asked_for_an_abort_meanwhile_is_heeded_instead() -> None:
    world = a_world()

    def asks(request: JudgeRequest, node: str, w: World) -> str:
        if w.nodes[node].version == NEW and not request.claimed:
            w.abort = "stop"  # while the ring is judged, too late to cut that short
        return ""

    world.bad = asks
    end = told_to_pause(world, "ring-0").run().end
    assert end is not None
    assert "asked to stop" in end.why
    assert set(versions(world)) == {OLD}


def test_a_ring_that_the_plan_does_not_have_is_a_usage_error_with_those_it_has() -> None:
    refuse_strange_ring(a_plan(), "ring-2")
    refuse_strange_ring(a_plan(), "")
    refuse_strange_ring(replace(a_plan(), hops=()), "ring-2")
    with pytest.raises(UsageError) as refused:
        refuse_strange_ring(a_plan(), "ring-9")
    assert "ring-0, ring-1, ring-2" in refused.value.hint
