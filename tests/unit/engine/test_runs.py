"""How runs end: one row a situation, on fakes of the ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from tests.unit.engine.fake_cluster import FakeGates
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.scene import RINGS, a_world, an_engine
from tests.unit.engine.world import NEW, OLD, World

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode, LockHeld
from knowngood.model.record import RecordType


def sick(
    *nodes: str, version: str = NEW, what: str = "Xid 31", claimed_only: bool = False
) -> Callable[..., str]:
    """Gates find `what` on these nodes while they run `version`."""

    def find(request: JudgeRequest, node: str, world: World) -> str:
        here = node in nodes and world.nodes[node].version == version
        return what if here and (request.claimed or not claimed_only) and not request.taking_baseline else ""

    return find


@dataclass(frozen=True)
class Row:
    """A situation and how it must end."""

    name: str
    prepare: Callable[[World], None]
    end: str
    exit_code: ExitCode
    named: tuple[str, ...] = ()
    on_wave_failure: str = "hold"
    batch: int = 2


def _bad(*nodes: str, **more: object) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.bad = sick(*nodes, **more)  # type: ignore[arg-type]

    return prepare


def _broken(*faults: str) -> Callable[[World], None]:
    return lambda world: world.broken.update(faults)


def _blocked(**nodes: int) -> Callable[[World], None]:
    return lambda world: world.blocked.update({n.replace("_", "-"): times for n, times in nodes.items()})


def _old_sickness(world: World) -> None:
    world.bad = lambda request, node, _: "Xid 79" if node == "gpu-4" else ""


def _never_cured(world: World) -> None:
    world.bad = lambda request, node, w: "Xid 79" if node == "gpu-1" and w.nodes[node].loads > 1 else ""


def _drifted(world: World) -> None:
    world.nodes["gpu-5"].version = NEW


def _foreign_cordon(world: World) -> None:
    world.nodes["gpu-3"].cordoned = True


def _down(world: World) -> None:
    world.nodes["gpu-6"].down = True


def _somebody_pushes(world: World) -> None:
    """The canary fails, and meanwhile a colleague has set the same field to something else."""

    def find(request: JudgeRequest, node: str, w: World) -> str:
        if request.claimed and not request.taking_baseline and node == "gpu-1":
            w.head().fields[("nvidiadriver-ring-0.yaml", "spec.version")] = "610.57.04"
            return "Xid 31"
        return ""

    world.bad = find


ROWS = [
    Row("all is well", lambda w: None, "done", ExitCode.DONE),
    Row("all is well, node by node", lambda w: None, "done", ExitCode.DONE, batch=1),
    Row("the canary fails a gate", _bad("gpu-1"), "restored", ExitCode.RESTORED, ("gpu-1",)),
    Row("one canary by one", _bad("gpu-2"), "restored", ExitCode.RESTORED, ("gpu-2",), batch=1),
    Row("a gate can't tell", _bad("gpu-1", what="?no kernel log"), "restored", ExitCode.RESTORED, ("gpu-1",)),
    Row("a node was sick before", _old_sickness, "refused", ExitCode.REFUSED, ("gpu-4",)),
    Row("what runs is not what Git says", _drifted, "refused", ExitCode.REFUSED, ("gpu-5",)),
    Row("a colleague drains", _foreign_cordon, "refused", ExitCode.REFUSED, ("gpu-3",)),
    Row("a node can't be read", _down, "inconclusive", ExitCode.INCONCLUSIVE, ("gpu-6",)),
    Row("Argo CD would not deliver", _broken("auto-sync-off"), "refused", ExitCode.REFUSED),
    Row("the remote takes no commits", _broken("remote-unwritable"), "refused", ExitCode.USAGE),
    Row("our commit does not sync", _broken("argo-fails"), "restored", ExitCode.RESTORED),
    Row("the module can't be unloaded", _broken("in-use-gpu-1"), "restored", ExitCode.RESTORED, ("gpu-1",)),
    Row("a node stays down", _broken("dies-gpu-2"), "quarantined", ExitCode.HUMAN, ("gpu-2",)),
    Row("the undo does not cure it", _never_cured, "quarantined", ExitCode.HUMAN, ("gpu-1",)),
    Row("a tenant blocks once", _blocked(gpu_1=1), "done", ExitCode.DONE),
    Row("a tenant blocks for ever", _blocked(gpu_1=9), "restored", ExitCode.RESTORED, ("gpu-1",)),
    Row("the same field changed meanwhile", _somebody_pushes, "held", ExitCode.HUMAN, ("gpu-1",)),
    Row("a later node fails alone", _bad("gpu-4"), "held", ExitCode.HUMAN, ("gpu-4",)),
    Row("a later ring fails whole", _bad("gpu-3", "gpu-4"), "held", ExitCode.HUMAN, ("gpu-3", "gpu-4")),
    Row(
        "... where the profile undoes",
        _bad("gpu-3", "gpu-4"),
        "restored",
        ExitCode.RESTORED,
        on_wave_failure="undo",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_run_ends_as_it_must(row: Row) -> None:
    """The end, the exit code and the named nodes; and whatever the end says is true of the world."""
    world = a_world()
    row.prepare(world)
    before = snapshot(world)
    end = an_engine(world, batch=row.batch, on_wave_failure=row.on_wave_failure).run().end
    assert end is not None
    assert (end.name, end.exit_code) == (row.end, row.exit_code), end.why
    assert set(row.named) <= set(end.nodes)
    says_true(world, end.name, before)


def test_nodes_that_tenants_kept_are_tried_again_no_more_at_once_than_the_ring_allows() -> None:
    world = a_world()
    world.blocked = {"gpu-3": 1, "gpu-4": 1}
    end = an_engine(world, batch=1).run().end
    assert end is not None
    assert end.name == "done", end.why
    claims = [r for r in world.records if r.type is RecordType.INTENT and r.step.endswith("/claim")]
    assert {len(r.detail["nodes"]) for r in claims} == {1}
    assert [r.step for r in claims if "again" in r.step] == [
        "hop-1/ring-1/again/claim",
        "hop-1/ring-1/again-2/claim",
    ]


def says_true(world: World, end: str, before: Mapping[str, object]) -> None:
    """What an oracle would check of each end."""
    assert never_unproven_outside_the_canary(world)
    if end == "done":
        assert {n.version for n in world.nodes.values()} == {NEW}
        assert not any(n.claim or n.cordoned for n in world.nodes.values())
        assert world.promoted == [("r595", "rehearsed")]
    else:
        assert world.promoted == []
    if end in ("restored", "refused", "inconclusive"):
        assert snapshot(world) == before
        assert set(world.head().fields.values()) == {OLD}
    if end in ("refused", "inconclusive"):
        assert [c.sha for c in world.commits] == ["c0"]
        assert world.history == []
    if end == "quarantined":
        assert not any(n.version == NEW and not n.cordoned for n in world.nodes.values())


def never_unproven_outside_the_canary(world: World) -> bool:
    """No node outside ring 0 loads the new version before a node of ring 0 was released with it."""
    proven = False
    for node, event, version in world.history:
        proven = proven or (event == "released" and version == NEW and node in RINGS["ring-0"])
        if event == "loaded" and version == NEW and node not in RINGS["ring-0"] and not proven:
            return False
    return True


def test_good_nodes_of_a_failed_later_ring_go_back_to_work_and_the_bad_one_stays_out() -> None:
    world = a_world()
    world.bad = sick("gpu-4")
    an_engine(world).run()
    assert not world.nodes["gpu-3"].cordoned
    assert world.nodes["gpu-4"].quarantined
    assert world.nodes["gpu-5"].version == OLD, "the next ring must not have begun"


def test_a_sick_node_of_a_later_ring_is_tested_again_before_it_is_blamed() -> None:
    world = a_world()
    judged: list[str] = []

    def once(request: JudgeRequest, node: str, w: World) -> str:
        if node == "gpu-4" and w.nodes[node].version == NEW and not judged:
            judged.append(request.name)
            return "a flake"
        return ""

    world.bad = once
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "done"
    assert judged == ["hop-1/ring-1/batch-1/judge"]


def test_after_the_soak_too_a_node_of_a_later_ring_is_tested_again_before_it_is_blamed() -> None:
    world = a_world()
    judged: list[str] = []

    def once(request: JudgeRequest, node: str, w: World) -> str:
        if node == "gpu-4" and request.name.endswith("/confirm") and not judged:
            judged.append(request.name)
            return "?its kernel log did not answer"
        return ""

    world.bad = once
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "done"
    assert judged == ["hop-1/ring-1/confirm"]


def test_a_node_that_is_bad_after_the_soak_stays_out_and_its_ring_is_held() -> None:
    world = a_world()

    def after_the_soak(request: JudgeRequest, node: str, w: World) -> str:
        return "Xid 79" if node == "gpu-4" and request.name.endswith(("/confirm", "ring-1/retest")) else ""

    world.bad = after_the_soak
    end = an_engine(world).run().end
    assert end is not None
    assert (end.name, set(end.nodes)) == ("held", {"gpu-4"})
    assert world.nodes["gpu-4"].quarantined
    assert not world.nodes["gpu-3"].cordoned


def test_the_loser_of_two_runners_writes_nothing() -> None:
    world = a_world()
    world.lease = ("another", 3)
    with pytest.raises(LockHeld, match="another"):
        an_engine(world).run()
    assert world.records == []
    assert world.saved == {}


def _abort_after(world: World, path: str, mode: str) -> None:
    """Ask for an abort as soon as a step has judged something."""

    def find(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == path:
            w.abort = mode
        return ""

    world.bad = find


def test_an_abort_takes_the_open_ring_back() -> None:
    world = a_world()
    _abort_after(world, "hop-1/ring-0/batch-1/judge", "stop")
    before = snapshot(world)
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    assert snapshot(world) == before


def test_an_abort_with_hold_freezes_everything_as_it_is() -> None:
    world = a_world()
    _abort_after(world, "hop-1/ring-0/batch-1/judge", "hold")
    end = an_engine(world).run().end
    assert end is not None
    assert (end.name, end.exit_code) == ("held", ExitCode.HUMAN)
    assert world.nodes["gpu-1"].claim
    assert [c.sha for c in world.commits] == ["c0", "c1"], "the commit stays"


def test_the_plan_is_frozen_before_anything_else() -> None:
    world = a_world()
    an_engine(world).run()
    assert world.records[0].type is RecordType.PLAN
    for kept in ("plan", "cluster"):
        digest = world.records[0].files[kept]
        assert digest in world.files
        assert f"run-1/{digest}" in world.saved, "another laptop finds it too"


def test_a_held_run_is_rolled_back_by_a_humans_word() -> None:
    """Quarantined and proven nodes alike go back; the proof is the same as for the canary."""
    world = a_world()
    before = snapshot(world)
    world.bad = sick("gpu-4")
    assert an_engine(world).run().end is not None
    again = an_engine(world)
    again.roll_back()
    end = again.run().end
    assert end is not None
    assert end.name == "restored", end.why
    assert snapshot(world) == before


@pytest.mark.parametrize(
    ("window_end", "end", "moved"),
    [
        ("2026-08-22T03:00:05+00:00", "inconclusive", 0),  # not even the soak of the canary fits
        ("2026-08-22T09:00:00+00:00", "done", 6),
    ],
)
def test_a_ring_starts_only_if_it_and_its_undo_end_in_the_window(
    window_end: str, end: str, moved: int
) -> None:
    world = a_world()
    engine = an_engine(world)
    engine.cluster = replace(engine.cluster, window_end=window_end)
    ended = engine.run().end
    assert ended is not None
    assert ended.name == end, ended.why
    assert sum(n.version == NEW for n in world.nodes.values()) == moved


def test_the_load_runs_before_the_gates_that_read_what_it_did() -> None:
    """An Xid that only the smoke jobs provoke must be seen before the node goes back to its tenants."""
    world = a_world()
    engine = an_engine(world)
    gates = engine.ports.gates
    assert isinstance(gates, FakeGates)
    engine.run()
    judged = next(r for r in gates.requests if r.name.endswith("ring-0/batch-1/judge"))
    assert judged.gates == ("smoke_training", "gpu_errors", "drift")
    assert judged.schemes == engine.plan.schemes, "and they read versions as the matrix does"


def test_a_rollback_overrules_a_hold() -> None:
    """`abort --hold` froze the canary; the human who looked at it says: all back."""
    world = a_world()
    before = snapshot(world)
    _abort_after(world, "hop-1/ring-0/batch-1/judge", "hold")
    an_engine(world).run()
    again = an_engine(world)
    again.roll_back()
    end = again.run().end
    assert end is not None
    assert end.name == "restored"
    assert snapshot(world) == before


def test_an_undo_never_gives_back_what_it_could_not_drain() -> None:
    """The soak's gates fail on nodes with tenants on them, and a tenant's budget refuses: held, not released.

    A budget measures nothing, so the node is not called quarantined; it stays claimed and out of service.
    """
    world = a_world()

    def find(request: JudgeRequest, node: str, w: World) -> str:
        if request.name.endswith(("ring-0/confirm", "ring-0/retest")) and node == "gpu-1":
            w.blocked["gpu-1"] = 99
            return "Xid 31"
        return ""

    world.bad = find
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "held"
    assert (world.nodes["gpu-1"].claim, world.nodes["gpu-1"].cordoned) == ("run-1/1", True)
    assert not world.nodes["gpu-1"].quarantined
    assert world.nodes["gpu-2"].version == OLD
    assert dict(end.moved) == {"gpu-1": f"may run nvidia-driver {NEW}"}
    released = [(node, version) for node, event, version in world.history if event == "released"]
    assert released.count(("gpu-1", NEW)) == 1, "only the release before the soak"
