"""What comes by a node's label comes without a load: its version alone tells that it moved, forth and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.movers import EVERY
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import RINGS, a_plan, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.model.plan import Plan
from knowngood.model.state import End

LABEL = replace(EVERY["mig-config"], holds=())


def labelled() -> Plan:
    return replace(a_plan(), movers={"nvidia-driver": LABEL})


def make(fails: str = "") -> World:
    world = a_world()
    world.by_label = True
    if fails:
        world.bad = lambda request, name, there: (
            "another place" if name == fails and there.nodes[name].version == NEW and request.claimed else ""
        )
    return world


def play(world: World) -> End:
    end = an_engine(world, plan=labelled(), on_wave_failure="undo").run().end
    assert end is not None
    return end


def test_it_is_proven_on_the_load_that_was_there_before() -> None:
    world = make()
    loads = {name: node.loaded_at for name, node in world.nodes.items()}
    assert play(world).name == "done"
    assert {n.version for n in world.nodes.values()} == {NEW}
    assert {name: node.loaded_at for name, node in world.nodes.items()} == loads


def test_a_canary_that_fails_goes_back_although_nothing_was_loaded() -> None:
    world = make(fails="gpu-1")
    assert play(world).name == "restored"
    assert {n.version for n in world.nodes.values()} == {OLD}
    touched = {name for name, event, _ in world.history if event == "loaded"}
    assert touched <= {*RINGS["ring-0"]}


@pytest.mark.parametrize("fails", ["", "gpu-3"])
def test_killed_at_any_record_it_ends_as_an_undisturbed_run(fails: str) -> None:
    calm = make(fails)
    end = play(calm)
    for at, world, resumed in resumed_at_each(calm, lambda: make(fails), play):
        assert (resumed.name, resumed.exit_code) == (end.name, end.exit_code), f"{at}: {resumed.why}"
        assert {n: o.version for n, o in world.nodes.items()} == {
            n: o.version for n, o in calm.nodes.items()
        }, at
        assert [c.trailers for c in world.commits] == [c.trailers for c in calm.commits], at
