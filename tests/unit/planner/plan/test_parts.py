"""A hop's fleet part and rings: who is declared once, and what comes to the nodes all the same."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.planner.matrices import (
    MOVER,
    cluster,
    component,
    declaration,
    matrix,
    release,
    with_component,
)

from knowngood.model.declared import Scope
from knowngood.model.matrix import Component, Matrix
from knowngood.model.mover import Starts
from knowngood.model.plan import Hop, Move
from knowngood.planner.plan.planning import plan

DRIVER = declaration("nvidia-driver", ring=False)
TO = release("new", nvidia_driver="595.91.07")


def with_movers(value: Matrix, *components: Component) -> Matrix:
    for one in components:
        value = with_component(value, one)
    return value


def operator(*settles: str) -> Component:
    """An operator that is approved and makes these anew."""
    mover = replace(MOVER, starts=Starts.APPROVE, settles=settles)
    return replace(component("gpu-operator", "numeric", undo="procedure"), mover=mover)


def hops(value: Matrix, *declarations: str, by_ring: tuple[str, ...] = ()) -> tuple[Hop, ...]:
    found = [declaration(name, ring=name in by_ring) for name in (*declarations, *by_ring)]
    here = replace(value, clusters={"lab": cluster(*found)})
    return plan(here, "lab", "new").hops


def test_what_one_object_declares_for_all_nodes_is_a_fleet_part_and_comes_to_them_ring_by_ring() -> None:
    (hop,) = hops(matrix(TO), "nvidia-driver")
    assert hop.not_movable == ()
    assert hop.scope is Scope.CLUSTER
    assert hop.fleet is not None
    assert [(c.file, c.before, c.after) for c in hop.fleet.changes] == [
        ("gpu/nvidia-driver.yaml", "580.173.02", "595.91.07")
    ]
    assert [(r.name, r.changes, r.moves) for r in hop.rings] == [
        (name, (), (Move("nvidia-driver", "580.173.02", "595.91.07"),)) for name in ("ring-0", "ring-1")
    ]
    assert hop.leaky == "any new pod takes nvidia-driver 595.91.07"
    assert hop.without_canary == ()


def test_an_operator_brings_what_it_makes_anew_to_the_rings_at_its_own_version() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("nvidia-driver"))
    (hop,) = hops(value, "gpu-operator", "nvidia-driver")
    assert hop.fleet is not None
    assert [c.component for c in hop.fleet.changes] == ["gpu-operator"]
    assert {r.moves for r in hop.rings} == {(Move("nvidia-driver", "580.173.02", "580.173.02"),)}
    assert hop.without_canary == ("gpu-operator",)
    assert hop.leaky == "any new pod takes gpu-operator 26.7.1"


def test_the_movers_of_what_is_made_anew_are_frozen_too() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("nvidia-driver"))
    here = replace(value, clusters={"lab": cluster(declaration("gpu-operator", ring=False), DRIVER)})
    assert set(plan(here, "lab", "new").movers) == {"gpu-operator", "nvidia-driver"}


def test_an_operator_that_touches_no_node_has_no_rings() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator())
    (hop,) = hops(value, "gpu-operator")
    assert (hop.rings, hop.leaky, hop.not_movable) == ((), "", ())


def test_an_operator_that_makes_anew_what_can_not_move_is_not_moved() -> None:
    value = with_movers(matrix(release("new", gpu_operator="26.7.1")), operator("doca-ofed"))
    (hop,) = hops(value, "gpu-operator")
    assert "makes doca-ofed anew on every node" in hop.not_movable[0]
    assert hop.fleet is None


def test_one_drain_serves_what_is_declared_for_all_and_what_is_declared_ring_by_ring() -> None:
    nic = replace(component("doca-ofed", "doca-ofed", movable=True), moves_with=("nvidia-driver",))
    both = release("new", nvidia_driver="595.91.07", doca_ofed="26.04-1.1.0.0-1")
    (hop,) = hops(with_movers(matrix(both), nic), "doca-ofed", by_ring=("nvidia-driver",))
    assert hop.fleet is not None
    assert [c.component for c in hop.fleet.changes] == ["doca-ofed"]
    for ring in hop.rings:
        assert [c.component for c in ring.changes] == ["nvidia-driver"]
        assert {m.component for m in ring.moves} == {"doca-ofed", "nvidia-driver"}
    assert hop.leaky == "any new pod takes doca-ofed 26.04-1.1.0.0-1"
