"""What must have been measured, and how often, before a run speaks against a release or releases a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.engine.fake_cluster import FakeGates
from tests.unit.engine.fakes import snapshot
from tests.unit.engine.scene import a_profile, a_world, an_engine
from tests.unit.engine.test_runs import sick
from tests.unit.engine.world import NEW, Killed, World

from knowngood.model.context import JudgeRequest
from knowngood.model.errors import ExitCode
from knowngood.model.hardware import Hardware
from knowngood.model.state import End
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.cancel import Cancel


def flaky(times: int, node: str = "gpu-1") -> Callable[[JudgeRequest, str, World], str]:
    """A gate that says no so many times on the new version, then never again."""
    said = [0]

    def find(request: JudgeRequest, n: str, world: World) -> str:
        if n != node or world.nodes[n].version != NEW or request.taking_baseline or said[0] >= times:
            return ""
        said[0] += 1
        return "Xid 31"

    return find


def test_a_canary_is_tested_once_more_before_the_line_stops() -> None:
    world = a_world()
    world.bad = flaky(1)
    assert an_engine(world).run().end == End("done", ExitCode.DONE)
    assert world.failures == {}


def test_a_canary_that_fails_twice_is_undone_and_speaks_against_the_release() -> None:
    world = a_world()
    world.bad = flaky(2)
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    assert world.failures["run-1"]["status"] == "failed"


def test_a_fail_that_could_not_be_measured_again_is_not_evidence() -> None:
    """It failed, and then nothing could be read: undone, for nothing passed, but not held against the release."""
    world = a_world()
    answers = iter(("Xid 31", "?the kernel log lost lines"))

    def find(request: JudgeRequest, n: str, w: World) -> str:
        new = n == "gpu-1" and w.nodes[n].version == NEW and not request.taking_baseline
        return next(answers, "") if new else ""

    world.bad = find
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    assert world.failures["run-1"]["status"] == "inconclusive"


class FallenOff(FakeGates):
    """A GPU falls off the bus on the new driver: the gate names what it failed for."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        named = [
            replace(r, measured={"failed": ["Xid 79"]}) if r.verdict is Verdict.FAIL else r
            for r in found.results
        ]
        return replace(found, results=tuple(named))


def test_a_fail_that_the_profile_lists_needs_no_second_test() -> None:
    world = a_world()
    world.bad = sick("gpu-1", what="Xid 79")
    engine = an_engine(world)
    gates = {"gpu_errors": {"kind": "passive", "failsAtOnce": ["Xid 79"]}}
    engine.hardware = Hardware((replace(a_profile(), gates=gates),))
    fakes = FallenOff(world)
    engine.ports = replace(engine.ports, gates=fakes)
    end = engine.run().end
    assert end is not None
    assert end.name == "restored"
    assert not [r for r in fakes.requests if r.name.endswith("batch-1/retest")]
    assert world.failures["run-1"]["status"] == "failed"


def sick_at_baseline(cured: bool) -> Callable[[JudgeRequest, str, World], str]:
    """gpu-1 fails on the drained node before anything is applied."""

    def find(request: JudgeRequest, n: str, w: World) -> str:
        if n != "gpu-1" or not request.name.endswith(("batch-1/baseline", "undo/judge", "undo/retest")):
            return ""
        return "" if cured and "undo" in request.name else "Xid 48"

    return find


class Baseline(FakeGates):
    """The fake's gpu_errors is passive; here the active gate of the baseline fails."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        said = {n: self.world.bad(request, n, self.world) for n in request.nodes}
        results = [
            GateResult(r.gate, r.node, Verdict.FAIL, said[r.node])
            if r.gate == "smoke_training" and said[r.node]
            else r
            for r in found.results
        ]
        return replace(found, results=tuple(results))


@pytest.mark.parametrize("cured", [True, False])
def test_a_node_that_fails_its_baseline_must_pass_that_gate_before_it_goes_back(cured: bool) -> None:
    """Nothing was applied, `restored` was said, and the sick node went back to its tenants."""
    world = a_world()
    world.bad = sick_at_baseline(cured)
    engine = an_engine(world)
    gates = Baseline(world)
    engine.ports = replace(engine.ports, gates=gates)
    end = engine.run().end
    assert end is not None
    again = [r for r in gates.requests if r.name.endswith("undo/judge")]
    assert [("smoke_training" in r.gates, "gpu-1" in r.nodes) for r in again] == [(True, True)]
    assert end.name == ("restored" if cured else "quarantined"), end.why
    assert world.nodes["gpu-1"].quarantined is not cured
    released = [h for h in world.history if h[:2] == ("gpu-1", "released")]
    assert bool(released) is cured


def test_a_node_that_failed_must_pass_also_where_another_was_lost_meanwhile() -> None:
    """Killed after the baseline; then somebody took gpu-2's claim, and gpu-1 went back to its tenants unjudged."""
    for kill_after in range(100):
        world = a_world()
        world.bad, world.kill_after = sick_at_baseline(cured=False), kill_after
        engine = an_engine(world)
        engine.ports = replace(engine.ports, gates=Baseline(world))
        with suppress(Killed):
            engine.run()
        if world.records[-1].step.endswith("batch-1/baseline") and world.records[-1].status:
            break
    world.revived().nodes["gpu-2"].claim = ""
    engine = an_engine(world)
    engine.ports = replace(engine.ports, gates=Baseline(world))
    end = engine.run().end
    assert end is not None
    assert (end.name, set(end.nodes)) == ("quarantined", {"gpu-1", "gpu-2"})
    assert not [h for h in world.history if h[1] == "released"]


def test_a_release_comes_after_the_proof() -> None:
    """A node whose reading differs after the undo stays out of service; the end names it, and calls it held."""
    world = a_world()
    world.bad = sick("gpu-1")
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "restored"
    order = [r.step for r in world.records if "/undo/" in r.step and r.status]
    at = "hop-1/ring-0/undo/"
    assert order.index(f"{at}judge") < order.index(f"{at}verify") < order.index(f"{at}release")


def test_a_run_that_ended_quarantined_can_be_rolled_back() -> None:
    world = a_world()
    before = snapshot(world)
    world.bad = lambda request, n, w: "Xid 79" if n == "gpu-1" and w.nodes[n].loads > 1 else ""
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "quarantined"
    world.bad = lambda *_: ""
    back = an_engine(world)
    back.roll_back()
    again = back.run().end
    assert again is not None
    assert again.name == "restored", again.why
    assert snapshot(world) == before
    assert [r.step for r in world.records if r.step == "hop-1/ring-0/undo-2/verify" and r.status]


def test_every_end_names_what_still_runs_or_declares_the_new_version() -> None:
    """ring-1 is held by its bad node; ring-0 passed and stays: both are named."""
    world = a_world()
    world.bad = sick("gpu-4")
    end = an_engine(world).run().end
    assert end is not None
    assert end.name == "held"
    assert set(end.moved) == {"gpu-1", "gpu-2", "gpu-3", "gpu-4"}


def _detail(world: World, step: str) -> Mapping[str, Any]:
    return next(r.detail for r in reversed(world.records) if r.step == step and r.status)


def test_the_outcome_says_which_nodes_a_gate_measured() -> None:
    world = a_world()
    world.bad = sick("gpu-1")
    an_engine(world).run()
    assert list(_detail(world, "hop-1/ring-0/batch-1/judge")["measured"]) == ["gpu-1"]


def test_a_node_of_a_later_ring_that_can_not_be_told_after_its_soak_is_taken_out_of_service() -> None:
    """It is at its tenants' work on what is not proven: nobody new comes there until a human decides."""
    world = a_world()
    unsure = ("ring-1/confirm", "ring-1/retest")
    world.bad = lambda request, n, w: (
        "?its kernel log lost lines" if n == "gpu-4" and request.name.endswith(unsure) else ""
    )
    end = an_engine(world).run().end
    assert end is not None
    assert (end.name, "gpu-4" in end.nodes) == ("held", True)
    node = world.nodes["gpu-4"]
    assert (bool(node.claim), node.cordoned, node.quarantined) == (True, True, False)
    assert not world.nodes["gpu-3"].cordoned
    world.bad = lambda *_: ""
    back = an_engine(world)
    back.roll_back()
    again = back.run().end
    assert again is not None
    assert again.name == "restored", again.why


class Forgets(FakeGates):
    """gpu-1 fails once, and no gate says anything of gpu-2; the port does not tell."""

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        found = super().judge(request, cancel)
        if not request.name.endswith("ring-0/batch-1/judge"):
            return found
        return replace(found, results=tuple(r for r in found.results if r.node != "gpu-2"))


def test_a_node_of_which_no_gate_spoke_is_tested_once_more_also_beside_one_that_failed() -> None:
    """Only gpu-1 was tested again, and gpu-2 went back to its tenants unjudged."""
    world = a_world()
    world.bad = flaky(1)
    engine = an_engine(world)
    gates = Forgets(world)
    engine.ports = replace(engine.ports, gates=gates)
    assert engine.run().end == End("done", ExitCode.DONE)
    again = [set(r.nodes) for r in gates.requests if r.name.endswith("ring-0/batch-1/retest")]
    assert again == [{"gpu-1", "gpu-2"}]
