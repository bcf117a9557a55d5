"""A cluster of two kinds of machines: each node is judged by its own profile, and what it is must be what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.engine.fake_cluster import FakeCluster, FakeGates
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_cluster, a_plan, a_profile, a_world
from tests.unit.engine.world import World

from knowngood.engine import pools
from knowngood.engine.engine import Engine
from knowngood.engine.work import Work
from knowngood.model.hardware import Hardware
from knowngood.model.mover import Specs
from knowngood.model.node import PCI_IDS, NodeState
from knowngood.model.parts import Waiver
from knowngood.model.plan import PlannedPool
from knowngood.model.state import RunState
from knowngood.planner.gates import applicable_on, meeting

OTHER = replace(a_profile(), name="hgx", gpu_pci_id="10de:2335")
GPU = a_cluster().gpu
POOLS = {"xe": (GPU[0], *GPU[2:]), "hgx": (GPU[1],)}
HARDWARE = Hardware((a_profile(), OTHER), {node: name for name, nodes in POOLS.items() for node in nodes})


class Machines(FakeCluster):
    """Nodes whose GPUs have these PCI ids; others say nothing of theirs."""

    def __init__(self, world: World, ids: Mapping[str, str]) -> None:
        super().__init__(world)
        self.ids = ids

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        seen = super().observe(nodes, specs)
        return {n: replace(s, facts={PCI_IDS: self.ids[n]} if n in self.ids else {}) for n, s in seen.items()}


def played(ids: Mapping[str, str]) -> tuple[World, FakeGates, RunState]:
    world = a_world()
    judge = FakeGates(world)
    gates = (*a_plan().active_gates, *a_plan().passive_gates)
    own = {"xe": tuple(g for g in gates if g != "gpu_errors"), "hgx": gates}
    plan = replace(
        a_plan(), pools=tuple(PlannedPool(name, nodes, own[name]) for name, nodes in POOLS.items())
    )
    where = replace(ports(world), cluster=Machines(world, ids), gates=judge)
    cluster = replace(a_cluster(), profile="", pools=POOLS)
    return world, judge, Engine(where, plan, cluster, HARDWARE, "run-1").run()


def test_a_gate_of_one_pool_is_asked_of_its_nodes_only() -> None:
    _, judge, state = played({GPU[0]: "10de:233b", GPU[1]: "10de:2335"})
    assert state.end is not None
    assert state.end.name == "done"
    asked = [r for r in judge.requests if r.name == "prove"][-1]
    assert asked.only["gpu_errors"] == (GPU[1],)
    assert ("gpu_errors", GPU[0]) not in asked.asked
    assert ("drift", GPU[0]) in asked.asked


def test_hardware_of_another_kind_ends_the_run_before_anything_is_changed() -> None:
    world, _, state = played({GPU[1]: "10de:233b"})
    assert state.end is not None
    assert state.end.name != "done"
    assert "its GPUs are 10de:233b, those of hgx 10de:2335" in state.end.why
    assert [r.step for r in world.records if r.status is not None] == ["observe"]


@pytest.mark.parametrize(
    ("gpus", "gone", "words"),
    [
        (8, [], ""),
        (4, [], "it has 4 GPUs, xe has 8"),
        (7, ["0000:07:00.0"], ""),
        (7, ["GPU-a-b-c"], ""),  # the gates say that they can't tell
        (7, ["0000:01:00.0"], "it has 7 GPUs, xe has 8"),  # that one is there
        (0, [], ""),
        (9, ["0000:0f:00.0"], "it has 9 GPUs, xe has 8"),
    ],
)
def test_the_number_of_gpus_is_the_profiles(gpus: int, gone: list[str], words: str) -> None:
    """None at all could not be read; a waived one may be out."""
    state = NodeState("gpu-1", reachable=True, gpus=tuple(f"0000:{n:02x}:00.0" for n in range(gpus)))
    assert "; ".join(pools.contradictions(state, a_profile(), gone)) == words


@pytest.mark.parametrize(
    ("waivers", "excused"),
    [
        ([("drift", "0000:f8:00.0"), ("driver_health", "0000:f8:00.0")], 1),
        ([("drift", "0000:f8:00.0"), ("rdma_health", "0000:9c:00.0")], 1),
        ([("rdma_health", "0000:9c:00.0")], 0),
    ],
    ids=["one in two gates", "a GPU and a NIC", "a NIC"],
)
def test_waived_gpus_may_be_missing_and_nics_are_none(waivers: list[tuple[str, str]], excused: int) -> None:
    known = tuple(Waiver(GPU[0], gate, part, "on order", "2099-12-31") for gate, part in waivers)
    past = Waiver(GPU[0], "drift", "0000:e8:00.0", "on order", "2000-01-01")
    where = SimpleNamespace(clock=SimpleNamespace(now=lambda: "2026-01-01T00:00:00Z"))
    named = replace(a_cluster(), waivers=(*known, past))
    work = cast("Work", SimpleNamespace(cluster=named, hardware=HARDWARE, ports=where))
    for count in (8 - excused, 7 - excused):
        gpus = tuple(f"0000:{n:02x}:00.0" for n in range(count))
        seen = {GPU[0]: NodeState(GPU[0], reachable=True, gpus=gpus)}
        expected = "" if count == 8 - excused else f"it has {count} GPUs, xe has 8"
        assert pools.otherwise(work, seen).get(GPU[0], "") == expected


def test_a_gate_that_is_active_in_one_pool_is_never_asked_as_a_passive_one() -> None:
    """Passive ones run beside tenants; a pool that calls it so must not have it put its load there."""
    first = replace(a_profile(), gates={"smoke": {"kind": "passive"}, "drift": {"kind": "passive"}})
    second = replace(OTHER, gates={"smoke": {"kind": "active"}})
    found = applicable_on(Hardware((first, second), HARDWARE.pools))
    assert (found.active, found.passive) == (("smoke",), ("drift",))


MEETING = ("fabric",)


@pytest.mark.parametrize(
    ("pools", "gates", "batch", "rest", "stranded"),
    [
        ({}, MEETING, "ab", "b", True),
        ({}, MEETING, "abc", "bc", False),
        ({}, MEETING, "abc", "c", True),
        ({}, MEETING, "a", "a", False),  # it was alone before: the plan says why that gate does not apply
        ({}, MEETING, "ab", "", False),
        ({}, (), "ab", "b", False),  # partners outside
        ({"xe": "ab", "hgx": "cd"}, MEETING, "abc", "ac", True),  # c was alone, a is now
        ({"xe": "ab", "hgx": "cd"}, MEETING, "abc", "abc", False),
        ({"xe": "ab"}, ("another",), "ab", "a", False),
    ],
)
def test_a_node_that_would_meet_nobody_is_stranded(
    pools: Mapping[str, str], gates: tuple[str, ...], batch: str, rest: str, *, stranded: bool
) -> None:
    planned = tuple(PlannedPool(name, tuple(nodes), MEETING) for name, nodes in pools.items())
    plan = replace(a_plan(), pools=planned, meeting_gates=gates)
    assert plan.strands(batch, rest) is stranded


def test_who_must_meet_whom_is_what_the_profile_asks_and_no_partner_outside_does() -> None:
    meets = replace(
        a_profile(), gates={"fabric": {"kind": "active", "needs": "pair"}, "drift": {"kind": "passive"}}
    )
    hardware, gates = Hardware((meets,)), ("fabric", "drift")
    assert meeting(hardware, gates, a_cluster()) == ("fabric",)
    assert meeting(hardware, gates, replace(a_cluster(), partners=("gpu-9",))) == ()


def test_a_node_left_alone_by_a_budget_waits_for_its_partner_unmoved() -> None:
    """Moved at once it could not be judged: no gate that needs two would ever pass."""
    world = a_world()
    batch = next(b for r in a_plan().hops[0].rings for b in r.batches if len(b) > 1)
    world.blocked[batch[0]] = 1
    plan = replace(a_plan(), meeting_gates=MEETING)
    state = Engine(ports(world), plan, a_cluster(), Hardware((a_profile(),)), "run-1").run()
    assert state.end is not None
    assert state.end.name == "done", state.end.why
    told = [event for name, event, _ in world.history if name == batch[1]]
    assert told == ["released", "loaded", "released"]
