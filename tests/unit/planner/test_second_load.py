"""Which hops are loaded a second time on their canary, how, and what is said where that shows too little."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.movers import EVERY
from tests.unit.planner.test_status import PROFILE as XE

from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Disruption
from knowngood.model.mover import Again
from knowngood.model.plan import Move, PlannedRing, SecondLoad
from knowngood.planner import second_load as planned
from knowngood.planner.gates import applicable
from knowngood.planner.second_load import second_load

GATE = "latent_fault"
PROFILE = replace(XE, gates={**XE.gates, GATE: {"kind": "second-load", "minutes": 15}})


def asked(*components: str, gate: dict[str, object] | None = None) -> SecondLoad | None:
    profile = replace(PROFILE, gates={**PROFILE.gates, GATE: {**PROFILE.gates[GATE], **(gate or {})}})
    moves = tuple(Move(c, "1", "2") for c in components)
    rings = (PlannedRing("ring-0", (("a",),), (), moves), PlannedRing("ring-1", (("b",),), (), moves))
    movers = {c: EVERY[c] for c in components}
    return second_load(rings, movers, Hardware((profile,)), Disruption.DRAIN)


@pytest.mark.parametrize("component", ["nvidia-driver", "kernel-module-type"])
def test_a_driver_is_reloaded_on_the_canary_alone(component: str) -> None:
    assert asked(component) == SecondLoad(("ring-0",), Again.RELOAD, 15)


@pytest.mark.parametrize("component", ["rdma-mode", "gds"])
def test_what_only_a_reboot_shows_is_reloaded_and_the_rest_is_said(component: str) -> None:
    found = asked(component)
    assert found is not None
    assert (found.rings, found.how) == (("ring-0",), Again.RELOAD)
    assert found.lacks.startswith(f"only a reboot shows all that {component} may hide")


def test_a_nic_driver_alone_can_not_be_loaded_again_and_that_is_said() -> None:
    """Its pod loads nothing where its version is loaded. With the GPU driver that is made anew for it, that one is."""
    alone, both = asked("doca-ofed"), asked("doca-ofed", "nvidia-driver")
    assert alone is not None
    assert both is not None
    assert (alone.rings, alone.how, both.how) == ((), None, Again.RELOAD)
    assert "doca-ofed" in alone.lacks
    assert "doca-ofed" in both.lacks


def test_a_class_that_can_reboot_a_node_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned, "REBOOTS", frozenset({"daemon-driver"}))
    assert asked("rdma-mode") == SecondLoad(("ring-0",), Again.REBOOT, 15)
    assert asked("nvidia-driver") == SecondLoad(("ring-0",), Again.RELOAD, 15)


def test_nothing_asks_for_what_has_no_second_load() -> None:
    assert asked("gpu-operator") is None
    assert asked("nvidia-driver", gate={"components": ["gds"]}) is None
    assert second_load((), EVERY, Hardware((PROFILE,)), Disruption.DRAIN) is None
    assert applicable(XE).second_load == ()


def test_a_gate_of_a_second_load_is_none_of_the_minimum_set() -> None:
    """It judges the canary alone."""
    kind = {"drift": {**PROFILE.gates["drift"], "kind": "second-load"}}
    assert "drift" in applicable(replace(PROFILE, gates={**PROFILE.gates, **kind})).left_out


def test_each_pool_has_a_canary_of_its_own() -> None:
    """What the second load of one kind of machine shows says nothing of another kind."""
    other = replace(PROFILE, name="other")
    hardware = Hardware((PROFILE, other), {"a": PROFILE.name, "b": PROFILE.name, "c": "other"})
    move = (Move("nvidia-driver", "1", "2"),)
    rings = tuple(PlannedRing(f"ring-{at}", ((node,),), (), move) for at, node in enumerate("abc"))
    found = second_load(rings, EVERY, hardware, Disruption.DRAIN)
    assert found == SecondLoad(("ring-0", "ring-2"), Again.RELOAD, 15)
