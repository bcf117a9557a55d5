"""The canary loads a second time what it was proven to run; a fault that shows only then is found there and undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.engine.fake_cluster import FakeGates
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.kills import killed
from tests.unit.engine.scene import RINGS, a_plan, a_world, an_engine
from tests.unit.engine.test_runs import says_true
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine import again, judging, line, parts
from knowngood.engine.steps import Place, Verb
from knowngood.engine.work import Work
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.detail import Detail
from knowngood.model.matrix import Disruption
from knowngood.model.mover import Again
from knowngood.model.plan import Plan, SecondLoad
from knowngood.model.record import Status
from knowngood.model.state import End, RunState, StepResult
from knowngood.model.steppath import StepPath

CANARY = RINGS["ring-0"]


def twice(plan: Plan | None = None, how: Again = Again.RELOAD) -> Plan:
    plan = plan or a_plan()
    hops = tuple(replace(hop, again=SecondLoad(("ring-0",), how, 5)) for hop in plan.hops)
    return replace(plan, hops=hops, second_load_gates=("latent_fault",))


def played(world: World, plan: Plan, requests: list[JudgeRequest] | None = None) -> End:
    engine = an_engine(world, plan=plan)
    gates = FakeGates(world)
    engine.ports = replace(engine.ports, gates=gates)
    end = engine.run().end
    if requests is not None:
        requests += gates.requests
    assert end is not None
    return end


def broken(*faults: str) -> World:
    world = a_world()
    world.broken.update(faults)
    return world


def loads(world: World, node: str) -> list[str]:
    return [version for name, event, version in world.history if (name, event) == (node, "loaded")]


def test_the_canary_loads_twice_and_every_other_ring_once() -> None:
    world = a_world()
    assert played(world, twice()).name == "done"
    assert {n: loads(world, n) for n in world.nodes} == {
        n: [NEW, NEW] if n in CANARY else [NEW] for n in world.nodes
    }


def test_a_fault_of_the_second_load_is_named_by_its_gate_and_undone() -> None:
    world = broken("latent-gpu-2")
    before = snapshot(world)
    end = played(world, twice())
    assert end.name == "restored", end.why
    assert list(end.nodes) == ["gpu-2"]
    assert "latent_fault: no driver was loaded" in end.nodes["gpu-2"]
    assert world.nodes["gpu-3"].version == OLD, "no later ring may have begun"
    assert [f["status"] for f in world.failures.values()] == ["failed"]
    says_true(world, end.name, before)


def test_without_the_gate_that_fault_reaches_every_node() -> None:
    world = broken(*(f"latent-{n}" for n in a_world().nodes))
    assert played(world, a_plan()).name == "done"


def test_a_second_load_that_nobody_made_is_no_pass() -> None:
    world = broken("lazy-gpu-1")
    end = played(world, twice())
    assert (end.name, list(end.nodes)) == ("restored", ["gpu-1"])


def test_the_second_judgement_counts_from_the_first_load_and_later_ones_from_the_second() -> None:
    requests: list[JudgeRequest] = []
    played(a_world(), twice(), requests)
    by_name = {r.name: r for r in requests}
    first = by_name["hop-1/ring-0/batch-1/judge"]
    second = by_name["hop-1/ring-0/batch-1/twice/judge"]
    after = by_name["hop-1/ring-0/confirm"]
    assert second.gates == ("smoke_training", "gpu_errors", "drift", "latent_fault")
    assert second.loads == second.first_loads == first.loads
    assert all(after.loads[n].monotonic > first.loads[n].monotonic for n in CANARY)
    assert second.moved == tuple(move.component for move in a_plan().hops[0].moves)
    assert not first.first_loads
    assert not first.moved
    assert "latent_fault" not in {g for r in requests if r is not second for g in r.gates}


def test_where_it_did_not_come_nothing_computes_on_the_node() -> None:
    requests: list[JudgeRequest] = []
    played(broken("latent-gpu-2"), twice(), requests)
    asked = {r.name: r.gates for r in requests if "/twice/" in r.name}
    assert asked["hop-1/ring-0/batch-1/twice/judge"] == ("gpu_errors", "drift", "latent_fault")
    assert set(asked) == {"hop-1/ring-0/batch-1/twice/judge", "hop-1/ring-0/batch-1/twice/retest"}


@pytest.mark.parametrize(("how", "boots"), [(Again.RELOAD, {}), (Again.REBOOT, dict.fromkeys(CANARY, 1))])
def test_a_boot_of_the_second_load_is_known_to_be_ours(how: Again, boots: dict[str, int]) -> None:
    requests: list[JudgeRequest] = []
    world = a_world()
    assert played(world, twice(how=how), requests).name == "done"
    told = {r.name: dict(r.own_boots) for r in requests}
    assert told["hop-1/ring-0/batch-1/judge"] == {}
    assert told["hop-1/ring-0/batch-1/twice/judge"] == told["hop-1/ring-0/confirm"] == boots
    assert told["prove"] == boots


@pytest.mark.parametrize(("moves", "boots"), [(Disruption.REBOOT, 1), (Disruption.DRAIN, 0)])
def test_a_boot_with_which_a_hop_comes_is_ours_and_any_other_hops_is_not(
    moves: Disruption, boots: int
) -> None:
    requests: list[JudgeRequest] = []
    plan = a_plan()
    played(broken("boots"), replace(plan, hops=(replace(plan.hops[0], disruption=moves),)), requests)
    told = {r.name: dict(r.own_boots) for r in requests}
    wanted = dict.fromkeys(CANARY, boots) if boots else {}
    assert told["hop-1/ring-0/batch-1/judge"] == wanted


@pytest.mark.parametrize(
    ("looked", "claimed", "own"),
    [
        ({"gpu-1": "b1"}, {"gpu-1": "b2"}, {"gpu-1": 1}),
        ({}, {"gpu-1": "b1"}, {"gpu-1": 1}),
        ({}, {"gpu-1": "b2"}, {}),  # it came without a boot
        ({}, {}, {}),
    ],
)
def test_on_the_way_back_no_boot_is_ours_where_the_one_before_is_not_known(
    looked: dict[str, str], claimed: dict[str, str], own: dict[str, int]
) -> None:
    """A node that could not be read at the look is counted, and judged, since its claim."""
    (hop,) = a_plan().hops
    plan = replace(a_plan(), hops=(replace(hop, disruption=Disruption.REBOOT),))
    back = StepPath("hop-1/ring-0/undo")
    told = {
        back.child(Verb.LOOK): Detail(windows=_opened(looked)),
        back.child(Verb.CLAIM): Detail(windows=_opened(claimed)),
        back.child(Verb.APPLY): Detail(done=("gpu-1",), loads=_opened({"gpu-1": "b2"})),
    }
    results = {path: StepResult(Status.OK, detail) for path, detail in told.items()}
    state = RunState(results=results, intended=tuple(results))
    work = cast(Work, SimpleNamespace(plan=plan, state=state, load=lambda _digest: {}))
    step = Place.of(hop, hop.rings[0]).part("undo").back(Verb.JUDGE, ("gpu-1",))
    assert again.own_boots(work, step, ("gpu-1",)) == own
    assert judging.windows_for(work, step, ("gpu-1",)) == _opened(claimed | looked)


def _opened(boots: dict[str, str]) -> dict[str, Window]:
    return {node: Window(boot, 1.0, "") for node, boot in boots.items()}


@pytest.mark.parametrize("status", [Status.INCONCLUSIVE, Status.FAIL])
def test_what_a_second_load_says_to_do_is_kept_by_the_stop_that_it_is(status: Status) -> None:
    (hop,) = twice().hops
    run = parts.twice(Place.of(hop, hop.rings[0]), tuple(CANARY))
    answers = [StepResult(status, Detail(why="no token", hint="write it", usage=True)), StepResult(Status.OK)]
    next(run)

    def through() -> None:
        for answer in answers:
            run.send(answer)

    with pytest.raises(line.Stop) as caught:
        through()
    stop = caught.value
    assert (stop.why, stop.hint, stop.usage) == ("no token", "write it", True)
    assert stop.status is Status.INCONCLUSIVE


SCENES: dict[str, Callable[[], World]] = {
    "well": a_world,
    "latent": lambda: broken("latent-gpu-2"),
    "lazy": lambda: broken("lazy-gpu-1"),
}


@pytest.mark.parametrize("before_write", [False, True], ids=["record written", "effect done, record lost"])
@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_any_record_a_resumed_run_ends_alike_and_loads_no_third_time(
    scene: str, before_write: bool
) -> None:
    calm = SCENES[scene]()
    end = played(calm, twice())
    first = next(i for i, r in enumerate(calm.records) if r.step == "hop-1/ring-0/batch-1/apply")
    last = max(i for i, r in enumerate(calm.records) if "/twice/" in r.step)
    for boundary in range(first, last + 2):
        world = killed(SCENES[scene](), boundary, lambda w: played(w, twice()), before_write=before_write)
        resumed = played(world, twice())
        assert resumed.name == end.name, f"killed at record {boundary}: {resumed.why}"
        assert snapshot(world) == snapshot(calm), boundary
        assert loads(world, "gpu-1") == loads(calm, "gpu-1"), boundary
