"""A way back that is refused unless a field gives way: a commit before the revert, one after all is back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.engine.fake_fleet import APPLICATION, CHART_IS, CHART_WAS, CONSTRAINT
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.fleet_scene import BY_COMMIT, chart_plan
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.test_fleet_part import a_fleet_world, ended
from tests.unit.engine.world import World

from knowngood.model.plan import Plan
from knowngood.model.state import End

PATH = CONSTRAINT[1]
EASES = replace(
    BY_COMMIT,
    kind="olm-v1",
    require={"Application": {PATH: "CatalogProvided"}},
    eases={"Application": {PATH: "SelfCertified"}},
)


def an_extension() -> Plan:
    return chart_plan(EASES)


def world_of(*faults: str) -> Callable[[], World]:
    def make() -> World:
        world = a_fleet_world()
        world.head().fields[CONSTRAINT] = world.live[CONSTRAINT] = "CatalogProvided"
        world.beside[PATH] = "CatalogProvided"
        world.broken |= {*faults}
        return world

    return make


def values(world: World, at: tuple[str, str]) -> list[str]:
    """What a field went through, commit by commit."""
    return [c.fields[at] for c in world.commits if at in c.fields]


def test_forth_nothing_gives_way() -> None:
    world = world_of()()
    assert ended(world, an_extension()).name == "done"
    assert set(values(world, CONSTRAINT)) == {"CatalogProvided"}


def test_back_it_gives_way_first_and_is_as_it_was_once_all_is_back() -> None:
    world = world_of("gives-up")()
    before = snapshot(world)
    end = ended(world, an_extension())
    assert (end.name, snapshot(world)) == ("restored", before), end.why
    ways = list(zip(values(world, APPLICATION), values(world, CONSTRAINT), strict=True))
    assert ways[-4:] == [
        (CHART_IS, "CatalogProvided"),
        (CHART_IS, "SelfCertified"),
        (CHART_WAS, "SelfCertified"),
        (CHART_WAS, "CatalogProvided"),
    ]


def test_where_it_does_not_come_back_what_gave_way_stays_and_is_named() -> None:
    world = world_of("gives-up", "stays-new")()
    end = ended(world, an_extension())
    assert end.name == "held", end.why
    assert f"Git still has {PATH} SelfCertified" in str(end), end
    assert values(world, CONSTRAINT)[-1] == "SelfCertified"


@pytest.mark.parametrize("faults", [(), ("gives-up",), ("stands-still",)], ids=["well", "gives-up", "stands"])
def test_killed_at_any_record_it_ends_as_an_undisturbed_run(faults: tuple[str, ...]) -> None:
    def play(world: World) -> End:
        return ended(world, an_extension())

    make = world_of(*faults)
    whole = make()
    end = play(whole)
    for at, world, resumed in resumed_at_each(whole, make, play):
        assert (resumed.name, resumed.why) == (end.name, end.why), at
        assert snapshot(world) == snapshot(whole), at
        assert [c.trailers for c in world.commits] == [c.trailers for c in whole.commits], at
