"""What a cluster's own runs say of a release, on any machine: by the checkpoints there."""

from __future__ import annotations

from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.world import NEW, World

from knowngood.engine.earlier import tries
from knowngood.model.context import JudgeRequest


def played(world: World, run: str) -> str:
    """Play one run with records of its own; how it ended."""
    world.records, world.files, world.abort = [], {}, ""
    end = an_engine(world, run=run).run().end
    assert end is not None
    return end.name


def _says(what: str):  # type: ignore[no-untyped-def]
    def find(request: JudgeRequest, node: str, world: World) -> str:
        bad = node == "gpu-1" and request.claimed and world.nodes[node].version == NEW
        return what if bad and not request.taking_baseline else ""

    return find


def test_a_run_that_a_gate_stopped_speaks_against_the_release() -> None:
    world = a_world()
    world.bad = _says("Xid 31")
    assert played(world, "run-1") == "restored"
    failures, proofs = tries(ports(world).checkpoint, "r595")
    assert proofs == []
    (failure,) = failures
    assert (failure.run, failure.cluster, failure.from_release) == ("run-1", "ams-prod", "r580")
    assert (failure.nodes, failure.versions) == (("gpu-1",), {"nvidia-driver": NEW})
    assert "Xid 31" in failure.because
    assert failure.gates == world.suite.digest
    assert failure.images["gpu-1"]["nvidia-driver"].startswith("mirror/driver:580")


def test_it_says_nothing_of_other_releases() -> None:
    world = a_world()
    world.bad = _says("Xid 31")
    played(world, "run-1")
    assert tries(ports(world).checkpoint, "r580") == ([], [])


def test_what_could_not_be_told_speaks_against_nothing() -> None:
    world = a_world()
    world.bad = _says("?no kernel log")
    assert played(world, "run-1") == "restored"
    assert tries(ports(world).checkpoint, "r595") == ([], [])


def test_a_commit_that_does_not_sync_speaks_against_nothing() -> None:
    world = a_world()
    world.broken.add("argo-fails")
    assert played(world, "run-1") == "restored"
    assert tries(ports(world).checkpoint, "r595") == ([], [])


def test_a_run_that_is_done_is_a_proof() -> None:
    world = a_world()
    assert played(world, "run-1") == "done"
    failures, proofs = tries(ports(world).checkpoint, "r595")
    assert failures == []
    assert [p.cluster for p in proofs] == ["ams-prod"]


def test_a_fail_that_the_second_test_took_back_speaks_against_nothing() -> None:
    world = a_world()
    said: list[str] = []

    def once(request: JudgeRequest, node: str, w: World) -> str:
        found = "" if said else _says("Xid 31")(request, node, w)
        said.extend([found] if found else [])
        return found

    world.bad = once
    assert played(world, "run-1") == "done"
    assert said
    assert tries(ports(world).checkpoint, "r595")[0] == []
