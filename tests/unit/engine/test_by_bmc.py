"""Firmware that BMCs flash stands on the driver's load; both images are asked for before the first commit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.movers import EVERY
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import a_plan, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.model.errors import ExitCode
from knowngood.model.finding import refused
from knowngood.model.plan import Plan
from knowngood.model.state import End

SPECS = {name: replace(EVERY[name], holds=()) for name in ("bios", "bmc")}
"""The component of these worlds is the driver's; how it moves is what is asked."""


def planned(name: str) -> Plan:
    return replace(a_plan(), movers={"nvidia-driver": SPECS[name]})


def make(name: str, fails: str = "") -> World:
    world = a_world()
    world.by_label = name == "bmc"  # the host runs on, and so does what is loaded
    world.broken |= {"boots"} if name == "bios" else set()
    if fails:
        world.bad = lambda request, node, there: (
            "another place" if node == fails and there.nodes[node].version == NEW and request.claimed else ""
        )
    return world


def play(world: World, name: str) -> End:
    end = an_engine(world, plan=planned(name), on_wave_failure="undo").run().end
    assert end is not None
    return end


@pytest.mark.parametrize("name", SPECS)
def test_it_is_done_ring_by_ring_and_a_canary_that_fails_goes_back(name: str) -> None:
    world = make(name)
    assert play(world, name).name == "done"
    assert {n.version for n in world.nodes.values()} == {NEW}
    assert world.flashes == {"nvidia-driver": (OLD, NEW)}, "the way back's image, too"
    failing = make(name, fails="gpu-1")
    assert play(failing, name).name == "restored"
    assert {n.version for n in failing.nodes.values()} == {OLD}


@pytest.mark.parametrize("name", SPECS)
def test_an_image_that_is_not_there_refuses_the_run_before_its_first_commit(name: str) -> None:
    world = make(name)
    world.found["bmcs"] = [refused(f"image of {name} {OLD}", "it is not there (404)", "serve it")]
    end = play(world, name)
    assert (end.name, end.exit_code) == ("refused", ExitCode.REFUSED)
    assert f"image of {name} {OLD}: it is not there" in end.why
    assert len(world.commits) == 1


def test_where_no_bmc_flashes_none_is_asked_for_images() -> None:
    world = a_world()
    assert an_engine(world).run().end is not None
    assert world.flashes == {}


@pytest.mark.parametrize(("name", "fails"), [("bios", "gpu-3"), ("bmc", "")])
def test_killed_at_any_record_it_ends_as_an_undisturbed_run(name: str, fails: str) -> None:
    calm = make(name, fails)
    end = play(calm, name)
    for at, world, resumed in resumed_at_each(calm, lambda: make(name, fails), lambda w: play(w, name)):
        assert (resumed.name, resumed.exit_code) == (end.name, end.exit_code), f"{at}: {resumed.why}"
        versions = {n: o.version for n, o in world.nodes.items()}
        assert versions == {n: o.version for n, o in calm.nodes.items()}, at
        assert [c.trailers for c in world.commits] == [c.trailers for c in calm.commits], at
