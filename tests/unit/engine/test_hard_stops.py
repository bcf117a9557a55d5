"""Stops at awkward places: what was not judged is not released, what was not pushed is not undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeCluster, FakeGates, FakeNodes
from tests.unit.engine.fake_git import FakeGitOps
from tests.unit.engine.fakes import FakeCheckpoint, FakeJournal, ports
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_standard, a_world, an_engine
from tests.unit.engine.test_two_hops import standard, two_hops
from tests.unit.engine.world import NEW, OLD, World, new_world

from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Inconclusive, Interrupted, Unreachable
from knowngood.model.field import FieldChange
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState
from knowngood.model.record import RecordType
from knowngood.model.state import End, RunState
from knowngood.model.steppath import StepPath
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel
from knowngood.ports.gitops import FieldTaken, RenderMismatch
from knowngood.ports.nodes import Outcome


def ended(engine: Engine) -> End:
    end = engine.run().end
    assert end is not None
    return end


def versions(world: World) -> set[str]:
    return {node.version for node in world.nodes.values()}


def only(step: str, node: str, why: str = "Xid 79") -> Callable[[JudgeRequest, str, World], str]:
    """A gate that says no in one judgement on one node, and again when the node is tested once more."""
    steps = (step, f"{step.rpartition('/')[0]}/retest".lstrip("/"))
    return lambda request, n, _: (
        why if n == node and request.name.endswith(steps) and not StepPath(request.name).is_undo else ""
    )


def test_a_rollback_after_the_last_proof_said_no_undoes_every_ring() -> None:
    world = a_world()
    world.bad = only("prove", "gpu-1")
    assert ended(an_engine(world)).name == "held"
    assert versions(world) == {NEW}
    world.bad = lambda *_: ""
    back = an_engine(world)
    back.roll_back()
    assert ended(back).name == "restored"
    assert versions(world) == {OLD}


def test_a_rollback_of_a_run_that_was_held_by_its_window_undoes_what_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    engine = an_engine(world)
    engine.cluster = replace(engine.cluster, window_end="2026-08-22T09:00:00+00:00")
    answers = iter((True,))
    monkeypatch.setattr("knowngood.engine.verbs.fits", lambda *_: next(answers, False))
    assert ended(engine).name == "held"
    assert versions(world) == {OLD, NEW}
    back = an_engine(world)
    back.cluster = engine.cluster
    back.roll_back()
    assert ended(back).name == "restored"
    assert versions(world) == {OLD}


class OnceUnreadable(FakeCluster):
    """The second list of nodes is refused."""

    asked = 0

    def node_names(self) -> Mapping[str, str]:
        self.asked += 1
        if self.asked == 2:
            raise Inconclusive("500 InternalError: etcdserver: leader changed")
        return super().node_names()


def test_a_hiccup_between_two_hops_interrupts_at_the_resting_state_and_drains_nobody() -> None:
    world = a_world()
    world.standard = standard
    engine = Engine(ports(world), two_hops(), a_cluster(), a_hardware(), "run-1")
    engine.ports = replace(engine.ports, cluster=OnceUnreadable(world))
    with pytest.raises(Interrupted, match="leader changed"):
        engine.run()
    assert versions(world) == {NEW}
    assert not [r.step for r in world.records if r.step.startswith("hop-2/ring") and "window" not in r.step]
    assert ended(Engine(ports(world), two_hops(), a_cluster(), a_hardware(), "run-1")).name == "done"


class NoCommit(FakeGitOps):
    """The branch does not take our commit."""

    error: Exception = FieldTaken("somebody else changed spec.version")

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        raise self.error


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        (FieldTaken("somebody else changed spec.version"), "refused", 1),
        (RenderMismatch("the commit would also change X; nothing was pushed"), "refused", 1),
        (Inconclusive("others pushed 5 times while we tried"), "inconclusive", 3),
    ],
)
def test_a_first_commit_that_never_reached_the_branch_ends_with_the_cluster_untouched(
    error: Exception, name: str, code: int
) -> None:
    world = a_world()
    engine = an_engine(world)
    gitops = NoCommit(world)
    gitops.error = error
    engine.ports = replace(engine.ports, gitops=gitops)
    end = ended(engine)
    assert (end.name, end.exit_code) == (name, code)
    assert world.history == []


class LeaderChanged(FakeCheckpoint):
    """The checkpoint can't be saved before one step."""

    step = "/apply"

    def save(self, state: RunState, *, heed: bool = False) -> str:
        if state.open.endswith(self.step):
            raise Unreachable("PATCH configmap: 500 InternalError: etcdserver: leader changed")
        return super().save(state, heed=heed)


def test_books_that_can_not_be_kept_interrupt_a_run_that_can_be_resumed() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, checkpoint=LeaderChanged(world))
    with pytest.raises(Interrupted, match="leader changed"):
        engine.run()
    assert world.records[-1].type is RecordType.INTERRUPTED
    assert ended(an_engine(world)).name == "done"


def test_books_that_can_not_be_kept_before_the_first_change_are_no_interruption() -> None:
    world = a_world()
    engine = an_engine(world)
    checkpoint = LeaderChanged(world)
    checkpoint.step = "check"
    engine.ports = replace(engine.ports, checkpoint=checkpoint)
    with pytest.raises(Unreachable):
        engine.run()
    assert world.history == []


class CutShort(FakeGates):
    """Judgements that did not come to their end: what they say so far may be good."""

    steps: tuple[str, ...] = ()

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        cut = request.name.endswith(self.steps)
        return replace(found, trouble="the gates did not end within 900 s") if cut else found


def test_a_judgement_that_is_cut_short_twice_passes_no_node_and_interrupts() -> None:
    """gpu-3 is bad and gpu-4 was good as far as it was judged: nobody is blamed, nobody released."""
    world = a_world()
    world.bad = only("ring-1/batch-1/judge", "gpu-3", "Xid 48")
    engine = an_engine(world)
    gates = CutShort(world)
    gates.steps = ("ring-1/batch-1/judge", "ring-1/batch-1/retest")
    engine.ports = replace(engine.ports, gates=gates)
    with pytest.raises(Interrupted, match="did not end within 900 s"):
        engine.run()
    assert not [h for h in world.history if h[:2] in {("gpu-3", "released"), ("gpu-4", "released")}]
    world.bad = lambda *_: ""
    assert ended(an_engine(world)).name == "done"


def test_an_undo_that_can_not_be_judged_to_its_end_is_interrupted_and_releases_no_node() -> None:
    """It is tried again until the way back's own deadline, and by `resume` from there."""
    world = a_world()
    world.bad = only("ring-0/batch-1/judge", "gpu-1", "Xid 31")
    before = world.clock
    engine = an_engine(world)
    gates = CutShort(world)
    gates.steps = ("undo/judge",)
    engine.ports = replace(engine.ports, gates=gates)
    with pytest.raises(Interrupted, match="did not end within 900 s"):
        engine.run()
    assert engine.cluster.limits.undo / 2 < world.clock - before <= engine.cluster.limits.undo + 60
    assert not [h for h in world.history if h[1] == "released"]
    assert ended(an_engine(world)).name == "restored"


class Stubborn(FakeNodes):
    """Nothing can be quarantined."""

    def quarantine(self, nodes: Mapping[str, str], fence: str, cancel: Cancel) -> Outcome:
        return Outcome((), dict.fromkeys(nodes, "the playbook ended with 2"))


def test_a_node_that_could_not_be_quarantined_is_named_as_such() -> None:
    """It serves tenants with a version that did not pass: the end must say so."""
    world = a_world()
    world.bad = lambda request, n, _: (
        "bad" if n == "gpu-4" and request.name.endswith(("confirm", "retest")) else ""
    )
    engine = an_engine(world)
    engine.ports = replace(engine.ports, nodes=Stubborn(world))
    end = ended(engine)
    assert end.name == "held"
    assert "could not be quarantined: the playbook ended with 2" in end.nodes["gpu-4"]


def wide_world(nodes: int) -> tuple[World, dict[str, tuple[str, ...]]]:
    """Two rings, the second one large, with the long names of a real cluster."""
    names = tuple(f"gpu-{i:03d}.ocp.ams.example.com" for i in range(nodes))
    rings = {"ring-0": names[:2], "ring-1": names[2:]}
    world = new_world(rings, {(f"nvidiadriver-{ring}.yaml", "spec.version"): OLD for ring in rings})
    world.standard = a_standard
    return world, rings


def wide_engine(
    world: World, rings: Mapping[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> Engine:
    monkeypatch.setattr("tests.unit.engine.scene.RINGS", rings)
    return Engine(ports(world), a_plan(40), a_cluster(), a_hardware(), "run-1")


@pytest.mark.parametrize(
    "why", ["drift: " + "7 of 8 GPUs are allocatable; " * 8, "Затянувшаяся ошибка 🙁 " * 20]
)
def test_an_end_with_many_reasons_fits_into_the_journal(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    world, rings = wide_world(16)
    world.bad = lambda request, n, _: (
        why if n in rings["ring-1"] and request.claimed and not request.taking_baseline else ""
    )
    end = ended(wide_engine(world, rings, monkeypatch))
    assert (end.name, len(end.nodes)) == ("held", 14)
    assert ended(wide_engine(world, rings, monkeypatch)) == end, "the journal tells the same end again"


def test_a_cluster_of_150_nodes_fits_into_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    world, rings = wide_world(150)
    assert ended(wide_engine(world, rings, monkeypatch)).name == "done"


class Poorer(FakeCluster):
    """gpu-1 loses sixty virtual functions when its driver is loaded again."""

    def _one(self, name: str, specs: Specs) -> NodeState:
        seen = super()._one(name, specs)
        lost = name == "gpu-1" and self.world.nodes[name].loads > 1
        functions = {f"mlx5_{i:02d}": "0" if lost else "16" for i in range(60)}
        return replace(seen, inventory={**seen.inventory, "vfs": functions})


def test_a_proof_that_finds_sixty_differences_can_be_written_down() -> None:
    world = a_world()
    world.bad = only("ring-0/batch-1/judge", "gpu-1", "Xid 31")
    engine = an_engine(world)
    engine.ports = replace(engine.ports, cluster=Poorer(world))
    end = ended(engine)
    assert end.exit_code == 5
    assert "VFs of mlx5_00 was 16, is 0" in end.nodes["gpu-1"]


def test_the_fake_journal_is_as_strict_as_the_real_one() -> None:
    world = a_world()
    ended(an_engine(world))
    with pytest.raises(ValueError, match="bytes"):
        FakeJournal(world).append(replace(world.records[0], seq=len(world.records), detail={"x": "y" * 5000}))


def test_a_node_that_was_not_reloaded_after_its_commit_is_no_starting_point() -> None:
    """Git declares the target for ring-0 already, so the plan leaves it out; its nodes still run the old version."""
    world = a_world()
    engine = an_engine(world)
    (hop,) = engine.plan.hops
    engine.plan = replace(engine.plan, hops=(replace(hop, rings=hop.rings[1:]),))
    end = ended(engine)
    assert (end.name, set(end.nodes)) == ("refused", {"gpu-1", "gpu-2"})
    assert f"gpu-1 (runs nvidia-driver {OLD}, not {NEW})" in end.why
    for name in ("gpu-1", "gpu-2"):
        world.nodes[name].version = NEW
    world.records = []
    again = an_engine(world, run="run-2")
    again.plan = engine.plan
    assert ended(again).name == "done"


def test_a_node_that_can_not_be_read_is_no_starting_point_whatever_its_ring() -> None:
    world = a_world()
    engine = an_engine(world)
    (hop,) = engine.plan.hops
    engine.plan = replace(engine.plan, hops=(replace(hop, rings=hop.rings[1:]),))
    world.nodes["gpu-2"].down = True
    end = ended(engine)
    assert (end.name, set(end.nodes)) == ("inconclusive", {"gpu-2"})


def test_rings_that_differ_start_from_what_git_declares_for_each() -> None:
    """ring-2 was moved by hand, Git and nodes agree: the way to the release is that ring's alone."""
    world = a_world()
    engine = an_engine(world)
    (hop,) = engine.plan.hops
    back = tuple(replace(c, before="610.57.04", after=NEW) for c in hop.rings[2].changes)
    for name in ("gpu-1", "gpu-2", "gpu-3", "gpu-4"):
        world.nodes[name].version = NEW
    for name in ("gpu-5", "gpu-6"):
        world.nodes[name].version = "610.57.04"
    world.head().fields[back[0].file, back[0].path] = world.live[back[0].file, back[0].path] = "610.57.04"
    engine.plan = replace(
        engine.plan,
        from_versions={"nvidia-driver": NEW},
        hops=(replace(hop, rings=(replace(hop.rings[2], changes=back),)),),
    )
    assert ended(engine).name == "done"
    assert versions(world) == {NEW}


def test_an_undo_brings_each_ring_back_to_what_git_declared_for_it() -> None:
    """ring-1 began from another version than ring-0: both come back to their own."""
    world = a_world()
    engine = an_engine(world, on_wave_failure="undo")
    (hop,) = engine.plan.hops
    other = "570.86.15"
    ring = replace(hop.rings[1], changes=tuple(replace(c, before=other) for c in hop.rings[1].changes))
    engine.plan = replace(engine.plan, hops=(replace(hop, rings=(hop.rings[0], ring, hop.rings[2])),))
    (change,) = ring.changes
    world.head().fields[change.file, change.path] = world.live[change.file, change.path] = other
    for name in ring.nodes:
        world.nodes[name].version = other
    before = {name: node.version for name, node in world.nodes.items()}
    world.bad = lambda request, n, w: (
        "Xid 31" if n in ring.nodes and w.nodes[n].version == NEW and request.claimed else ""
    )
    assert ended(engine).name == "restored"
    assert {name: node.version for name, node in world.nodes.items()} == before


def test_a_run_that_was_interrupted_is_named_to_whoever_starts_another() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, checkpoint=LeaderChanged(world))
    with pytest.raises(Interrupted):
        engine.run()
    world.records, before = [], list(world.history)
    end = ended(an_engine(world, run="run-2"))
    assert end.name == "refused"
    assert "run run-1 changed the cluster and has not ended; knowngood resume run-1" in end.why
    assert world.history == before
