"""A hop with a fleet part: declared once for all nodes, then ring by ring, and back for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from tests.unit.engine.fake_fleet import (
    APPLICATION,
    CHART,
    CHART_WAS,
    IS,
    OPERATOR,
    POLICY,
    SUBSCRIPTION,
    WAS,
)
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.fleet_scene import alone_plan, chart_plan, leaky_plan, operator_plan, two_leaky_hops
from tests.unit.engine.kills import resumed_at_each
from tests.unit.engine.scene import RINGS, a_cluster, a_standard, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, OLD, World, new_world

from knowngood.engine.judging import expected
from knowngood.engine.steps import Place, Verb
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode
from knowngood.model.finding import refused
from knowngood.model.matrix import Cluster
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import End, RunState
from knowngood.model.steppath import StepPath
from knowngood.planner.status import Standard

Prepare = Callable[[World], None]


def a_fleet_world() -> World:
    world = new_world(RINGS, {POLICY: OLD, SUBSCRIPTION: WAS, APPLICATION: CHART_WAS})
    world.standard = standard
    return world


def standard(world: World, now: str, cluster: Cluster | None = None) -> Standard:
    """As the scene's, for a release that also names the operator."""
    found = a_standard(world, now, cluster)
    assert found.release is not None
    return replace(found, release=replace(found.release, components={}))


def played(world: World, plan: Plan, on_wave_failure: str = "hold") -> RunState:
    return an_engine(world, plan=plan, on_wave_failure=on_wave_failure).run()


def ended(world: World, plan: Plan, on_wave_failure: str = "hold") -> End:
    end = played(world, plan, on_wave_failure).end
    assert end is not None
    return end


def anew(*nodes: str) -> Prepare:
    """Gates find Xid 31 on these nodes once the run has loaded their driver anew under what moved."""

    def find(request: JudgeRequest, node: str, w: World) -> str:
        one = w.nodes[node]
        moved = one.version == NEW or one.made_by == IS
        return "Xid 31" if node in nodes and moved and not request.taking_baseline else ""

    return lambda world: setattr(world, "bad", find)


def leaks(node: str, at: str) -> Prepare:
    """Somebody deletes a driver pod while that step judges."""

    def find(request: JudgeRequest, _node: str, w: World) -> str:
        if request.name == at and w.nodes[node].loads == 1:
            w.load(node, w.declared(w.nodes[node]))
        return ""

    return lambda world: setattr(world, "bad", find)


def broken(*faults: str) -> Prepare:
    return lambda world: world.broken.update(faults)


def prepared(prepare: Prepare) -> World:
    world = a_fleet_world()
    prepare(world)
    return world


def calm(world: World) -> None:
    """Nothing goes wrong."""


@dataclass(frozen=True)
class Row:
    name: str
    plan: Callable[[], Plan]
    prepare: Prepare
    end: str
    exit_code: ExitCode
    named: tuple[str, ...] = ()
    on_wave_failure: str = "hold"


DONE, BACK, HUMAN, NO = ExitCode.DONE, ExitCode.RESTORED, ExitCode.HUMAN, ExitCode.REFUSED
IN_RING_2, IN_RING_0 = "hop-1/ring-0/confirm", "hop-1/fleet/confirm"
ROWS = [
    Row("all is well, leaky", leaky_plan, calm, "done", DONE),
    Row("all is well, an operator", operator_plan, calm, "done", DONE),
    Row("all is well, no node", alone_plan, calm, "done", DONE),
    Row("leaky, the canary fails", leaky_plan, anew("gpu-1"), "restored", BACK, ("gpu-1",)),
    Row("an operator, the canary fails", operator_plan, anew("gpu-1"), "restored", BACK, ("gpu-1",)),
    Row("leaky, a later node fails", leaky_plan, anew("gpu-4"), "held", HUMAN, ("gpu-4",)),
    Row("... where it undoes", leaky_plan, anew("gpu-4"), "restored", BACK, ("gpu-4",), "undo"),
    Row("an operator, the last ring fails", operator_plan, anew("gpu-6"), "restored", BACK, (), "undo"),
    Row("a leak before the canary", leaky_plan, leaks("gpu-5", IN_RING_0), "restored", BACK, ("gpu-5",)),
    Row("a leak after it", leaky_plan, leaks("gpu-5", IN_RING_2), "held", HUMAN, ("gpu-5",)),
    Row("... where it undoes", leaky_plan, leaks("gpu-5", IN_RING_2), "restored", BACK, (), "undo"),
    Row("an operator leaks", operator_plan, leaks("gpu-6", IN_RING_0), "restored", BACK, ("gpu-6",)),
    Row("the plan carries more", operator_plan, broken("plan-carries-more"), "restored", BACK),
    Row("the CSV fails", operator_plan, broken("csv-fails"), "restored", BACK),
    Row("the CSV stands still", operator_plan, broken("csv-stands-still"), "restored", BACK),
    Row("the CSV fails, no node", alone_plan, broken("csv-fails"), "restored", BACK),
    Row("it can't come back", operator_plan, broken("csv-fails", "back-is-refused"), "held", HUMAN),
    Row("a plan is left", alone_plan, broken("csv-fails", "plan-left"), "held", HUMAN),
    Row("all is well, a chart", chart_plan, calm, "done", DONE),
    Row("a chart is given up", chart_plan, broken("gives-up"), "restored", BACK),
    Row("a chart stands still", chart_plan, broken("stands-still"), "restored", BACK),
    Row(
        "a chart would not come back",
        chart_plan,
        lambda w: w.found.update({"fleet-back": [refused("Application", "no revert leads back")]}),
        "refused",
        NO,
    ),
    Row("our commit does not sync", leaky_plan, broken("argo-fails"), "restored", BACK),
    Row(
        "not ready",
        operator_plan,
        lambda w: w.found.update({"fleet": [refused("catalog", "it lacks it")]}),
        "refused",
        NO,
    ),
    Row(
        "no way back",
        operator_plan,
        lambda w: w.found.update({"fleet-back": [refused("catalog", "it lacks it")]}),
        "refused",
        NO,
    ),
    Row("the operator is another", operator_plan, lambda w: setattr(w, "operator", "25.3.0"), "refused", NO),
]


def says_true(world: World, end: str, before: object, plan: Plan) -> None:
    """What an oracle would check of each end."""
    operator, fields = world.operator, world.head().fields
    if end == "done":
        assert fields[APPLICATION] == plan.to_versions.get(CHART, CHART_WAS)
        assert operator == plan.to_versions.get("gpu-operator", WAS)
        assert {n.version for n in world.nodes.values()} == {plan.to_versions["nvidia-driver"]}
        assert {n.made_by for n in world.nodes.values()} <= ({operator} if plan.hops[0].rings else {WAS})
    if end in ("done", "restored"):
        assert not any(n.claim or n.cordoned for n in world.nodes.values())
    if end in ("restored", "refused"):
        assert snapshot(world) == before
        assert fields == {POLICY: OLD, SUBSCRIPTION: WAS, APPLICATION: CHART_WAS}
    if end == "restored":
        assert operator == WAS
    if end == "refused":
        assert [c.sha for c in world.commits] == ["c0"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_run_with_a_fleet_part_ends_as_it_must(row: Row) -> None:
    world = a_fleet_world()
    row.prepare(world)
    before = snapshot(world)
    end = ended(world, row.plan(), row.on_wave_failure)
    assert (end.name, end.exit_code) == (row.end, row.exit_code), end.why
    assert set(row.named) <= set(end.nodes)
    says_true(world, end.name, before, row.plan())


KILLED = (
    "all is well, an operator",
    "an operator, the canary fails",
    "leaky, a later node fails",
    "a leak after it",
    "it can't come back",
    "all is well, a chart",
    "a chart is given up",
)


@pytest.mark.parametrize("row", [r for r in ROWS if r.name in KILLED], ids=lambda row: row.name)
def test_killed_at_any_record_it_ends_as_an_undisturbed_one(row: Row) -> None:
    def play(world: World) -> End:
        return ended(world, row.plan(), row.on_wave_failure)

    whole = prepared(row.prepare)
    end = play(whole)
    for at, world, resumed in resumed_at_each(whole, lambda: prepared(row.prepare), play):
        assert (resumed.name, resumed.exit_code) == (end.name, end.exit_code), f"{at}: {resumed.why}"
        assert snapshot(world) == snapshot(whole), at
        assert world.operator == whole.operator, at
        assert [c.trailers for c in world.commits] == [c.trailers for c in whole.commits], at


def test_nothing_is_restarted_before_the_fleet_part_was_judged() -> None:
    world = a_fleet_world()
    state = played(world, operator_plan())
    steps = [str(path) for path in state.results]
    assert steps.index("hop-1/fleet/confirm") < steps.index("hop-1/ring-0/batch-1/apply")
    assert [s.rpartition("/")[2] for s in steps if s.startswith("hop-1/fleet/")] == [
        "window",
        "declare",
        "deliver",
        "approve",
        "settle",
        "confirm",
    ]


def test_the_way_back_takes_git_back_first_and_then_looks_at_every_node() -> None:
    world = a_fleet_world()
    anew("gpu-1")(world)
    state = played(world, operator_plan())
    back = [s for s in state.results if s.is_undo]
    assert [s.verb for s in back if s.ring == "fleet"] == ["declare", "deliver", "back", "settle"]
    assert {s.ring for s in back if s.verb == "look"} == set(RINGS)
    verbs = [s.verb for s in back]
    assert verbs.index("look") > verbs.index("settle")


def test_a_leaked_node_is_taken_out_and_one_that_fails_is_quarantined() -> None:
    world = a_fleet_world()
    leaks("gpu-5", IN_RING_2)(world)
    ended(world, leaky_plan())
    assert world.nodes["gpu-5"].claim, "nobody new comes to a node that runs what is not proven"
    world = a_fleet_world()
    leak, fail = a_fleet_world(), sick("gpu-5")
    leaks("gpu-5", IN_RING_2)(leak)
    world.bad = lambda request, node, w: leak.bad(request, node, w) or fail(request, node, w)
    end = ended(world, leaky_plan())
    assert (end.name, world.nodes["gpu-5"].quarantined) == ("held", True)


def test_a_reboot_is_no_leak() -> None:
    world = a_fleet_world()

    def reboots(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == IN_RING_2 and node == "gpu-5":
            w.nodes["gpu-5"].boots += 1
            w.nodes["gpu-5"].loaded_at = 12.0
        return ""

    world.bad = reboots
    assert ended(world, leaky_plan()).name == "done"


def test_an_abort_takes_all_of_it_back() -> None:
    world = a_fleet_world()
    before = snapshot(world)

    def asked(request: JudgeRequest, node: str, w: World) -> str:
        w.abort = "stop" if request.name == "hop-1/ring-1/batch-1/judge" else w.abort
        return ""

    world.bad = asked
    assert ended(world, leaky_plan()).name == "restored"
    says_true(world, "restored", before, leaky_plan())


def test_what_any_new_pod_takes_does_not_stand_for_longer_than_the_cluster_allows() -> None:
    world = a_fleet_world()
    engine = an_engine(world, plan=leaky_plan())
    cluster = a_cluster()
    engine.cluster = replace(cluster, limits=replace(cluster.limits, leaky=5.0))
    end = engine.run().end
    assert end is not None
    assert end.name == "restored", end.why
    assert "any new pod takes nvidia-driver" in end.why


def test_an_operator_that_does_not_answer_leaves_the_run_to_be_resumed() -> None:
    world = a_fleet_world()
    world.broken.add("olm-away")
    with pytest.raises(Exception, match="does not answer"):
        played(world, alone_plan())
    world.broken.clear()
    assert ended(world, alone_plan()).name == "done"


def test_an_approval_that_waits_after_the_way_back_is_not_restored() -> None:
    world = a_fleet_world()
    world.broken |= {"csv-fails", "plan-waits"}
    end = ended(world, alone_plan())
    assert (end.name, "still waits for an approval" in end.why) == ("held", True)


def test_a_held_run_says_since_when_any_new_pod_takes_what_is_not_proven() -> None:
    world = a_fleet_world()
    anew("gpu-4")(world)
    moved = ended(world, leaky_plan()).moved
    assert moved["the cluster"].startswith(f"any new pod takes nvidia-driver {NEW}, since 2026-")
    assert "the cluster" not in ended(a_fleet_world(), leaky_plan()).moved


def test_what_is_done_on_a_node_is_called_by_what_comes_to_it() -> None:
    assert operator_plan().words.it == "driver"


def test_what_every_ring_has_proven_is_no_leak_any_more() -> None:
    last = "610.57.04"
    world = a_fleet_world()
    world.bad = sick("gpu-1", version=last)
    end = ended(world, two_leaky_hops(last))
    assert end.name == "restored", end.why
    assert {n.version for n in world.nodes.values()} == {NEW}
    assert end.moved["the cluster"] == f"Git declares nvidia-driver {NEW}"


def test_a_node_whose_arrivals_can_not_be_read_is_not_taken_for_one_without_a_leak() -> None:
    world = a_fleet_world()

    def vacuumed(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == IN_RING_0:
            w.broken.add("no-marks-gpu-5")
        return ""

    world.bad = vacuumed
    state = played(world, leaky_plan())
    seen = state.results[StepPath("hop-1/ring-0/watch")]
    assert seen.status is Status.INCONCLUSIVE
    assert seen.detail.failed == {"gpu-5": "when nvidia-driver came can't be told"}
    assert StepPath("hop-1/ring-0/batch-1/claim") not in state.results, "the line stops before the canary"


def test_what_came_for_the_whole_cluster_is_expected_from_then_on() -> None:
    """The operator's version by its Subscription is judged, too: a ring's first judgement comes after it."""
    plan = operator_plan()
    (hop,) = plan.hops
    assert hop.fleet is not None
    first, last = Place.of(hop, hop.rings[0]), Place.of(hop, hop.rings[-1])
    for step in (
        Place.of(hop, hop.fleet).step(Verb.CONFIRM),
        first.step(Verb.BASELINE),
        first.step(Verb.JUDGE),
        last.step(Verb.BASELINE, drained=True),
    ):
        assert expected(plan, step, "gpu-1")[OPERATOR] == IS, step.path
    assert expected(plan, first.back(Verb.JUDGE), "gpu-1")[OPERATOR] == WAS
    leaky = leaky_plan()
    ring = Place.of(leaky.hops[0], leaky.hops[0].rings[1])
    assert expected(leaky, ring.step(Verb.BASELINE), "gpu-3")["nvidia-driver"] == OLD, (
        "nodes take it ring by ring"
    )
