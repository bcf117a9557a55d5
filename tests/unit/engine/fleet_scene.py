"""The engine's scene with a fleet part.

`leaky_plan`: one object declares the driver for all nodes. `operator_plan`: an operator moves, which makes the driver
pods anew, so that every node must follow. `chart_plan`: what its commit alone starts.
"""

from __future__ import annotations

from dataclasses import replace

from tests.movers import DRIVER
from tests.unit.engine.fake_fleet import (
    APPLICATION,
    CHART,
    CHART_IS,
    CHART_WAS,
    IS,
    OPERATOR,
    POLICY,
    SUBSCRIPTION,
    WAS,
)
from tests.unit.engine.scene import a_plan
from tests.unit.engine.world import NEW, OLD

from knowngood.model.declared import Scope
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.matrix import UndoClass
from knowngood.model.mover import MoverSpec, Starts, Words
from knowngood.model.plan import FLEET, Move, Plan, PlannedRing

BY_APPROVAL = MoverSpec(
    "olm-v0", starts=Starts.APPROVE, words=Words("operator", "bring the operator", "bring back the operator")
)


def _fleet(component: str, at: tuple[str, str], kind: str, before: str, after: str) -> PlannedRing:
    change = FieldChange(component, *at, ObjectRef("example.com/v1", kind, "one"), before, after)
    return PlannedRing(FLEET, (), (change,), (Move(component, before, after),))


def _over(plan: Plan, fleet: PlannedRing, of_nodes: Move, leaky: str) -> Plan:
    (hop,) = plan.hops
    rings = tuple(PlannedRing(r.name, r.batches, (), (of_nodes,)) for r in hop.rings)
    hop = replace(hop, scope=Scope.CLUSTER, moves=fleet.own, rings=rings, fleet=fleet, leaky=leaky)
    return replace(plan, hops=(hop,))


def leaky_plan(batch: int = 2) -> Plan:
    fleet = _fleet("nvidia-driver", POLICY, "ClusterPolicy", OLD, NEW)
    return _over(a_plan(batch), fleet, fleet.own[0], f"any new pod takes nvidia-driver {NEW}")


def operator_plan(batch: int = 2) -> Plan:
    fleet = _fleet(OPERATOR, SUBSCRIPTION, "Subscription", WAS, IS)
    plan = _over(a_plan(batch), fleet, Move("nvidia-driver", OLD, OLD), "any new pod is the new operator's")
    (hop,) = plan.hops
    return replace(
        plan,
        hops=(replace(hop, undo=UndoClass.PROCEDURE),),
        from_versions={"nvidia-driver": OLD, OPERATOR: WAS},
        to_versions={"nvidia-driver": OLD, OPERATOR: IS},
        schemes={**plan.schemes, OPERATOR: "numeric"},
        movers={"nvidia-driver": DRIVER, OPERATOR: BY_APPROVAL},
    )


def alone_plan() -> Plan:
    """An operator that touches no node."""
    plan = operator_plan()
    (hop,) = plan.hops
    return replace(plan, hops=(replace(hop, rings=(), leaky=""),))


BY_COMMIT = MoverSpec("chart", starts=Starts.DECLARE)


def chart_plan(spec: MoverSpec = BY_COMMIT) -> Plan:
    """What its commit alone starts, and what touches no node; `spec`: of which class."""
    plan = a_plan()
    fleet = _fleet(CHART, APPLICATION, "Application", CHART_WAS, CHART_IS)
    plan = _over(plan, fleet, Move("nvidia-driver", OLD, OLD), "")
    (hop,) = plan.hops
    return replace(
        plan,
        hops=(replace(hop, rings=(), undo=UndoClass.REVERT),),
        from_versions={"nvidia-driver": OLD, CHART: CHART_WAS},
        to_versions={"nvidia-driver": OLD, CHART: CHART_IS},
        schemes={**plan.schemes, CHART: "numeric"},
        movers={"nvidia-driver": DRIVER, CHART: spec},
    )


def two_leaky_hops(last: str) -> Plan:
    """The driver, declared once for all nodes, over a version between."""
    plan = leaky_plan()
    (first,) = plan.hops
    assert first.fleet is not None
    move = Move("nvidia-driver", NEW, last)
    changes = tuple(replace(c, before=NEW, after=last) for c in first.fleet.changes)
    fleet = replace(first.fleet, changes=changes, own=(move,))
    rings = tuple(replace(ring, own=(move,)) for ring in first.rings)
    leaky = f"any new pod takes nvidia-driver {last}"
    second = replace(first, name="hop-2", moves=(move,), fleet=fleet, rings=rings, leaky=leaky)
    return replace(plan, to_versions={"nvidia-driver": last}, hops=(first, second))
