"""What a run leaves in the matrix: proof, bound to what it was taken on, or what speaks against the release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.engine import scene
from tests.unit.engine.fake_cluster import FakeGates
from tests.unit.engine.scene import a_cluster, a_standard, a_world, an_engine
from tests.unit.engine.test_runs import ROWS, sick
from tests.unit.engine.world import NEW, World

from knowngood.model.context import JudgeRequest
from knowngood.model.evidence import GateSuite
from knowngood.model.matrix import Identity
from knowngood.model.state import End
from knowngood.model.verdict import Judgement
from knowngood.planner.status import Standard
from knowngood.ports.cancel import Cancel


def played(world: World, **more: str) -> End:
    end = an_engine(world, on_wave_failure=more.get("on_wave_failure", "hold")).run().end
    assert end is not None
    return end


def pinned(world: World, now: str) -> Standard:
    return replace(a_standard(world, now), cluster=replace(a_cluster(), identity=Identity("uid", "ca")))


def test_a_run_on_the_pinned_cluster_is_known_good_by_the_same_machine_as_by_hand() -> None:
    world = a_world()
    world.standard = pinned
    assert played(world).name == "done"
    assert world.promoted == [("r595", "known-good")]


def test_evidence_is_bound_to_versions_images_kernel_gates_identity_profile_and_time() -> None:
    world = a_world()
    played(world)
    proof = world.proof
    assert proof["versions"] == {"nvidia-driver": NEW}
    assert proof["gates"] == {"digest": "a1b2c3d4e5f6a7b8", "commit": ""}
    assert proof["identity"] == {"uid": "uid", "ca": "ca"}
    assert proof["profile"] == "xe"
    assert set(proof["nodes"]) == set(world.nodes)
    versions = proof["nodes"]["gpu-1"]["versions"]
    assert (versions["nvidia-driver"], versions["rhcos-kernel"]) == (NEW, "5.14.0-427.el9_4")
    assert proof["nodes"]["gpu-1"]["images"] == {"nvidia-driver": f"mirror/driver:{NEW}@sha256:1"}
    assert proof["time"].startswith("2026-08-22T03:00:00.")
    assert proof["expires"] == "2026-11-20T03:00:00Z"
    assert proof["because"] == "the cluster file pins no identity, as a rehearsal's never does"
    assert proof["gatesLeftOut"] == []


def test_evidence_names_the_gates_that_the_profile_left_out_and_is_worth_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = scene.a_profile()
    less = replace(whole, gates={name: gate for name, gate in whole.gates.items() if name != "gpu_errors"})
    monkeypatch.setattr(scene, "a_profile", lambda: less)
    world = a_world()
    world.standard = pinned
    assert played(world).name == "done"
    assert world.promoted == [("r595", "rehearsed")]
    assert world.proof["gatesLeftOut"] == ["gpu_errors"]


def test_a_node_that_can_not_be_read_at_the_end_makes_it_a_rehearsal() -> None:
    world = a_world()
    world.standard = pinned

    def gone(request: JudgeRequest, node: str, w: World) -> str:
        if request.name == "prove":
            w.nodes["gpu-6"].down = True
        return ""

    world.bad = gone
    assert played(world).name == "done"
    assert world.promoted == [("r595", "rehearsed")]
    assert "gpu-6" in world.proof["because"]


def _other_versions(world: World, now: str) -> Standard:
    standard = pinned(world, now)
    assert standard.release is not None
    return replace(standard, release=replace(standard.release, components={"nvidia-driver": "595.71.05"}))


def test_a_release_that_was_edited_while_the_run_went_on_is_not_promoted_by_it() -> None:
    """The cluster is where it is, so the pin moves; the release keeps its status and the evidence says why."""
    world = a_world()
    world.standard = _other_versions
    assert played(world).name == "done"
    assert world.promoted == [("r595", "refused")]
    assert "r595 names 595.71.05" in world.proof["because"]


class ChangingGates(FakeGates):
    """Somebody edits a gate while the run goes on."""

    def suite(self) -> GateSuite:
        return GateSuite("a1b2c3d4e5f6a7b8" if len(self.requests) < 3 else "changed")

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        return super().judge(request, cancel)


def test_gates_that_changed_during_the_run_prove_nothing() -> None:
    world = a_world()
    world.standard = pinned
    engine = an_engine(world)
    engine.ports = replace(engine.ports, gates=ChangingGates(world))
    engine.run()
    assert world.promoted == [("r595", "refused")]
    assert world.proof["because"] == "it does not say which gates judged"


def test_a_canary_that_the_undo_cured_speaks_against_the_release() -> None:
    world = a_world()
    world.bad = sick("gpu-1")
    assert played(world).name == "restored"
    failure = world.failures["run-1"]
    assert (failure["status"], failure["release"], failure["cluster"]) == ("failed", "r595", "ams-prod")
    assert "Xid 31" in failure["because"]
    assert failure["versions"] == {"nvidia-driver": NEW}
    assert {"gate": "gpu_errors", "node": "gpu-1", "verdict": "fail", "backend": ""} in failure["verdicts"]
    assert world.proof == {}


def test_a_module_that_can_not_be_unloaded_is_kept_but_no_gate_measured_it() -> None:
    """What held the old module may be anything on that node: it voids nothing that was proven elsewhere."""
    world = a_world()
    world.broken.add("in-use-gpu-1")
    assert played(world).name == "restored"
    assert world.failures["run-1"]["status"] == "inconclusive"


def test_a_gate_that_could_not_tell_is_kept_as_that_and_voids_nothing() -> None:
    world = a_world()
    world.bad = sick("gpu-1", what="?no kernel log")
    assert played(world).name == "restored"
    assert world.failures["run-1"]["status"] == "inconclusive"


def _row(name: str) -> Callable[[World], None]:
    return next(row.prepare for row in ROWS if row.name == name)


@pytest.mark.parametrize(
    "name",
    ["our commit does not sync", "a tenant blocks for ever", "a node was sick before", "all is well"],
)
def test_what_does_not_speak_of_the_release_is_not_held_against_it(name: str) -> None:
    world = a_world()
    _row(name)(world)
    played(world)
    assert world.failures == {}


def test_a_fail_that_the_undo_does_not_cure_is_the_nodes_own() -> None:
    world = a_world()
    _row("the undo does not cure it")(world)
    assert played(world).name == "quarantined"
    assert world.failures == {}


def test_a_later_ring_that_was_undone_speaks_against_the_release_too() -> None:
    world = a_world()
    world.bad = sick("gpu-3", "gpu-4")
    assert played(world, on_wave_failure="undo").name == "restored"
    assert world.failures["run-1"]["status"] == "failed"


def test_an_abort_says_nothing_of_the_release() -> None:
    world = a_world()

    def abort(request: JudgeRequest, node: str, w: World) -> str:
        if request.name.endswith("batch-1/judge"):
            w.abort = "stop"
        return ""

    world.bad = abort
    assert played(world).name == "restored"
    assert world.failures == {}


class Broken(FakeGates):
    """A bug of ours, whenever a node is judged on the new version."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        if request.name.endswith(("batch-1/judge", "batch-1/retest")):
            raise ZeroDivisionError
        return super().judge(request, cancel)


def test_a_bug_of_ours_is_no_evidence() -> None:
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(engine.ports, gates=Broken(world))
    end = engine.run().end
    assert end is not None
    assert end.name == "restored"
    assert world.failures == {}
