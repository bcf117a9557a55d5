"""What a gate compares with is clean: a bad bump that is tried again and again never gets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.movers import MOVERS
from tests.unit.engine.fake_cluster import FakeGates, FakeNodes
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_standard, a_world
from tests.unit.engine.world import NEW, OLD, World

from knowngood.engine.earlier import spans
from knowngood.engine.engine import Engine
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.mover import Hold, Specs
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome


@dataclass
class KernelLogs:
    """The nodes' kernel logs: they outlive every run. (node) -> when the driver printed an Xid 31."""

    xids: dict[str, list[float]] = field(default_factory=dict)

    def count(self, node: str, request: JudgeRequest) -> int:
        """As gpu_errors counts: since the load that is judged, without what earlier runs answer for."""
        opened = request.loads.get(node) or request.windows.get(node)
        spans = request.excluded.get(node, ())
        return sum(
            1
            for at in self.xids.get(node, [])
            if (opened is None or at >= opened.monotonic)
            and not any(s.start <= at and (s.end is None or at <= s.end) for s in spans)
        )


class LoggingGates(FakeGates):
    """gpu_errors with a log that persists; whatever computes on the new driver makes it print an Xid 31."""

    def __init__(self, world: World, logs: KernelLogs, sick: tuple[str, ...]) -> None:
        super().__init__(world)
        self.logs = logs
        self.sick = sick

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        for node in request.nodes if "smoke_training" in request.gates else ():
            self.computes(node)
        judged = super().judge(request, cancel)
        request = self.as_read(request)
        return replace(judged, results=tuple(self._counted(request, r) for r in judged.results))

    def computes(self, node: str) -> None:
        if node in self.sick and self.world.nodes[node].version == NEW:
            self.logs.xids.setdefault(node, []).append(self.world.uptime())

    def _counted(self, request: JudgeRequest, result: GateResult) -> GateResult:
        if result.gate != "gpu_errors":
            return result
        found = self.logs.count(result.node, request)
        before = request.baseline.get(f"gpu_errors/{result.node}", {}).get("xids", 0)
        bad = found > before and not request.taking_baseline
        verdict = Verdict.FAIL if bad else Verdict.PASS
        return replace(result, verdict=verdict, reason=f"{found} Xid 31", measured={"xids": found})


def play(world: World, logs: KernelLogs, run: str, *sick: str) -> tuple[RunState, LoggingGates]:
    """One whole run, from a laptop that has seen none before."""
    world.records, world.files = [], {}
    world.standard = a_standard
    gates = LoggingGates(world, logs, sick)
    engine = Engine(replace(ports(world), gates=gates), a_plan(), a_cluster(), a_hardware(), run)
    return engine.run(), gates


def test_a_bad_bump_tried_three_times_is_undone_three_times() -> None:
    world, logs = a_world(), KernelLogs()
    for attempt in ("run-1", "run-2", "run-3"):
        state, _ = play(world, logs, attempt, "gpu-1")
        assert state.end is not None
        assert state.end.name == "restored", f"{attempt}: {state.end}"
        assert {node.version for node in world.nodes.values()} == {OLD}
    assert len(logs.xids["gpu-1"]) >= 3


def test_a_tenants_own_errors_are_a_measure_as_long_as_their_driver_runs() -> None:
    """Xids of the driver that runs, of no run of ours: a baseline counts them, and the good bump passes."""
    world, logs = a_world(), KernelLogs({"gpu-1": [500.0, 600.0]})
    state, gates = play(world, logs, "run-1")
    assert state.end is not None
    assert state.end.name == "done"
    first = next(r for r in gates.requests if r.name == "check")
    assert first.loads["gpu-1"] == Window("boot-gpu-1", 10.0, "")
    assert logs.count("gpu-1", first) == 2


def test_a_judgement_counts_since_the_load_that_its_apply_made() -> None:
    world = a_world()
    _, gates = play(world, KernelLogs(), "run-1")
    asked = {r.name: r for r in gates.requests}
    loaded = {n: Window(f"boot-{n}", node.loaded_at, "") for n, node in world.nodes.items()}
    assert asked["hop-1/ring-1/batch-1/judge"].loads == {n: loaded[n] for n in ("gpu-3", "gpu-4")}
    assert asked["hop-1/ring-0/confirm"].loads == {n: loaded[n] for n in ("gpu-1", "gpu-2")}
    assert asked["prove"].loads == loaded


def test_an_undo_counts_since_the_load_that_brought_the_old_module_back() -> None:
    world, logs = a_world(), KernelLogs()
    _, gates = play(world, logs, "run-1", "gpu-1")
    back = next(r for r in gates.requests if r.name == "hop-1/ring-0/undo/judge")
    assert back.loads["gpu-1"].monotonic == world.nodes["gpu-1"].loaded_at > max(logs.xids["gpu-1"])


def test_what_an_earlier_run_caused_is_cut_out_of_a_later_ones_baseline() -> None:
    world, logs = a_world(), KernelLogs()
    play(world, logs, "run-1", "gpu-1")
    over = world.uptime()
    _, gates = play(world, logs, "run-2")
    check = next(r for r in gates.requests if r.name == "check")
    (span,) = check.excluded["gpu-1"]
    assert span.boot_id == "boot-gpu-1"
    assert span.start <= min(logs.xids["gpu-1"])
    assert span.end == over
    assert "gpu-5" not in check.excluded, "a node that no run moved has nothing to answer for"


def test_a_run_that_was_held_answers_as_long_as_what_it_left_runs() -> None:
    world, logs = a_world(), KernelLogs()
    state, _ = play(world, logs, "run-1", "gpu-4")
    assert state.end is not None
    assert state.end.name == "held"
    nodes = tuple(world.nodes)
    found = spans(ports(world).checkpoint, ports(world).cluster.observe(nodes, MOVERS), without="run-2")
    assert [s.end for s in found["gpu-4"]] == [None]
    assert "gpu-5" not in found
    world.load("gpu-4", OLD)  # brought back by hand
    found = spans(ports(world).checkpoint, ports(world).cluster.observe(nodes, MOVERS), without="run-2")
    assert "gpu-4" not in found, "what runs now was loaded after it"


def test_a_baseline_is_taken_before_each_ring_is_declared() -> None:
    state, gates = play(a_world(), KernelLogs(), "run-1")
    steps = list(state.intended)
    for ring in ("ring-0", "ring-1", "ring-2"):
        assert steps.index(StepPath(f"hop-1/{ring}/baseline")) < steps.index(
            StepPath(f"hop-1/{ring}/declare")
        )
    asked = next(r for r in gates.requests if r.name == "hop-1/ring-1/baseline")
    assert (asked.gates, asked.nodes) == (("gpu_errors", "drift"), ("gpu-3", "gpu-4"))
    assert (asked.taking_baseline, asked.claimed) == (True, False)
    idle = next(r for r in gates.requests if r.name == "hop-1/ring-1/batch-1/baseline")
    assert (idle.gates, idle.claimed) == (("smoke_training",), True)


def test_a_later_ring_that_is_sick_before_it_is_declared_holds_the_run_untouched() -> None:
    world = a_world()
    world.bad = lambda request, node, w: "Xid 79" if node == "gpu-3" and "ring-1" in request.name else ""
    engine = Engine(ports(world), a_plan(), a_cluster(), a_hardware(), "run-1")
    world.standard = a_standard
    end = engine.run().end
    assert end is not None
    assert (end.name, set(end.nodes)) == ("held", {"gpu-3"})
    assert len(world.commits) == 2, "ring-0's commit, none of ring-1"


class DisturbedNodes(FakeNodes):
    """Somebody restarts gpu-1's driver pod just before the run claims the node."""

    def __init__(self, world: World, version: str) -> None:
        super().__init__(world)
        self.version = version

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        if self.world.nodes["gpu-1"].loads == 1:
            self.world.load("gpu-1", self.version)
        return super().claim(nodes, fence, cancel, hold=hold, specs=specs)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_restart_between_baseline_and_claim_is_told_as_what_it_is(version: str) -> None:
    """A driver pod that dies after the commit takes the new version; before it, the old one. Neither is our work."""
    world = a_world()
    world.standard = a_standard
    nodes = DisturbedNodes(world, version)
    state = Engine(replace(ports(world), nodes=nodes), a_plan(), a_cluster(), a_hardware(), "run-1").run()
    claimed = state.results[StepPath("hop-1/ring-0/batch-1/claim")].detail
    words = "its driver was restarted at 1001.0 s after boot by somebody else, not by this run"
    assert state.end is not None
    if version == OLD:
        assert claimed.restarted == {"gpu-1": words}
        assert claimed.why == f"not this run's work: gpu-1 ({words})"
        assert state.end.name == "done"
    else:
        assert claimed.failed == {"gpu-1": f"{words}: it runs nvidia-driver {NEW} before the run came to it"}
        assert state.end.name == "restored"
        assert words in state.end.why
        assert not world.failures, "nothing here speaks against the release"
    assert not any(node.quarantined for node in world.nodes.values())


def test_a_restart_while_the_idle_baseline_is_taken_does_not_stop_a_healthy_node() -> None:
    """The smoke job died with the driver pod: it is measured once more, and nothing is undone."""
    world = a_world()
    world.standard = a_standard
    disturbed: list[str] = []

    class Disturbed(FakeGates):
        def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
            judged = super().judge(request, cancel)
            if request.name == "hop-1/ring-0/batch-1/baseline" and not disturbed:
                disturbed.append(request.name)
                world.load("gpu-1", OLD)
                died = GateResult("smoke_training", "gpu-1", Verdict.FAIL, "the payload was killed")
                return Judgement((died, *(r for r in judged.results if r.node != "gpu-1")))
            return judged

    engine = Engine(
        replace(ports(world), gates=Disturbed(world)), a_plan(), a_cluster(), a_hardware(), "run-1"
    )
    state = engine.run()
    assert state.end is not None
    assert state.end.name == "done"
    told = state.results[StepPath("hop-1/ring-0/batch-1/baseline")].detail.restarted
    assert "by somebody else, not by this run" in told["gpu-1"]


def test_a_node_that_goes_back_before_its_idle_baseline_is_judged_by_the_profiles_limits() -> None:
    """Nothing was measured on it idle, so nothing is compared; it is not quarantined for that."""
    world = a_world()
    world.standard = a_standard
    gates, nodes = FakeGates(world), DisturbedNodes(world, NEW)
    both = replace(ports(world), gates=gates, nodes=nodes)
    Engine(both, a_plan(), a_cluster(), a_hardware(), "run-1").run()
    back = next(r for r in gates.requests if r.name == "hop-1/ring-0/undo/judge")
    assert back.baseline["smoke_training/gpu-1"] == {}


def test_prove_holds_a_node_whose_driver_was_loaded_anew_after_its_active_gates() -> None:
    """All that was judged on the idle node was judged of another load."""
    world = a_world()
    world.standard = a_standard
    world.bad = lambda request, node, w: _reloads(request, w)
    engine = Engine(ports(world), a_plan(), a_cluster(), a_hardware(), "run-1")
    state = engine.run()
    assert state.end is not None
    assert (state.end.name, set(state.end.nodes)) == ("held", {"gpu-2"})
    assert "loaded anew at" in state.end.nodes["gpu-2"]
    assert not world.promoted


def _reloads(request: JudgeRequest, world: World) -> str:
    """Somebody restarts a driver pod of ring-0 while ring-2 is confirmed."""
    if request.name == "hop-1/ring-2/confirm" and world.nodes["gpu-2"].loads == 2:
        world.load("gpu-2", NEW)
    return ""


def test_what_a_module_says_that_is_loaded_now_is_never_an_earlier_runs() -> None:
    """A run was held with the new driver on two rings; what that driver says counts when it is proven at last."""
    world, logs = a_world(), KernelLogs()
    play(world, logs, "run-1", "gpu-1")
    _, gates = play(world, logs, "run-2")
    asked = {r.name: r for r in gates.requests}
    assert asked["check"].excluded
    assert asked["hop-1/ring-0/baseline"].excluded
    assert not asked["hop-1/ring-0/batch-1/judge"].excluded
    assert not asked["prove"].excluded


def test_a_restart_before_the_ring_is_measured_is_no_change_that_an_undo_would_bring_back() -> None:
    """Its load is the one that the ring's baseline found: an undo leaves the node with its tenants."""
    world = a_world()
    world.standard = a_standard
    world.broken.add("argo-fails")  # the commit does not sync: the ring is undone before any node is claimed

    class Restarting(FakeGates):
        def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
            judged = super().judge(request, cancel)
            if request.name == "check":
                world.load("gpu-1", OLD)
            return judged

    both = replace(ports(world), gates=Restarting(world))
    state = Engine(both, a_plan(), a_cluster(), a_hardware(), "run-1").run()
    assert state.end is not None
    assert state.end.name == "restored"
    assert state.results[StepPath("hop-1/ring-0/undo/look")].detail.changed == ()


def test_an_undo_compares_counters_with_their_newest_reading_and_with_when_it_was_taken() -> None:
    """A reboot between must not make all that had been counted look new."""
    world = a_world()
    world.standard = a_standard

    class Counting(FakeGates):
        def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
            judged = super().judge(request, cancel)
            after = request.name.endswith(("/judge", "/retest"))
            read = {"counters": {"p": 5 if after else 0}, "bootId": "b2" if after else "b1"}
            bad = after and "/undo/" not in request.name
            return replace(judged, results=tuple(_measured(r, read, bad=bad) for r in judged.results))

    gates = Counting(world)
    Engine(replace(ports(world), gates=gates), a_plan(), a_cluster(), a_hardware(), "run-1").run()
    back = next(r for r in gates.requests if r.name == "hop-1/ring-0/undo/judge")
    compared = back.baseline["drift/gpu-1"]
    assert (compared["counters"], compared["bootId"], compared["names"]) == ({"p": 5}, "b2", "before")


def test_what_a_restart_of_ours_counted_is_excused_once() -> None:
    """The links went down with their driver and were judged so; after the soak the counters must stand as they did."""
    world = a_world()
    world.standard = a_standard

    class Counting(FakeGates):
        def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
            judged = super().judge(request, cancel)
            read = {"counters": {"p": int(request.name.endswith("/judge"))}, "loadedAt": request.name}
            return replace(judged, results=tuple(_measured(r, read, bad=False) for r in judged.results))

    gates = Counting(world)
    Engine(replace(ports(world), gates=gates), a_plan(), a_cluster(), a_hardware(), "run-1").run()
    asked = {r.name: r.baseline.get("drift/gpu-1", {}) for r in gates.requests}
    judged = "hop-1/ring-0/batch-1/judge"
    assert asked[judged]["counters"] == {"p": 0}
    for later in ("hop-1/ring-0/confirm", "prove"):
        assert (asked[later]["counters"], asked[later]["loadedAt"]) == ({"p": 1}, judged), later


def _measured(result: GateResult, read: Mapping[str, object], *, bad: bool) -> GateResult:
    verdict = Verdict.FAIL if bad and result.gate == "drift" else result.verdict
    return replace(result, verdict=verdict, measured={**read, "names": "after" if bad else "before"})
