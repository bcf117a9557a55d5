"""The scene of the engine's tests: a cluster of three rings of two nodes, a plan that moves its driver."""

from __future__ import annotations

from tests.movers import MOVERS
from tests.unit.engine.fakes import ports
from tests.unit.engine.world import NEW, OLD, World, new_world

from knowngood.engine.engine import Engine
from knowngood.model.declared import Scope
from knowngood.model.errors import Location
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import GitOps
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import (
    Cluster,
    Disruption,
    Limits,
    Profile,
    Release,
    ReleaseStatus,
    Ring,
    Tenant,
    UndoClass,
)
from knowngood.model.plan import Hop, Move, Plan, PlannedRing
from knowngood.model.values import Values
from knowngood.planner.status import Standard

RINGS = {"ring-0": ("gpu-1", "gpu-2"), "ring-1": ("gpu-3", "gpu-4"), "ring-2": ("gpu-5", "gpu-6")}
HERE = Location("scene.py")


def field_of(ring: str) -> FieldChange:
    return FieldChange(
        "nvidia-driver",
        f"nvidiadriver-{ring}.yaml",
        "spec.version",
        ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", ring),
        OLD,
        NEW,
    )


def a_plan(batch: int = 2) -> Plan:
    rings = tuple(
        PlannedRing(name, tuple(nodes[i : i + batch] for i in range(0, len(nodes), batch)), (field_of(name),))
        for name, nodes in RINGS.items()
    )
    hop = Hop(
        "hop-1",
        (Move("nvidia-driver", OLD, NEW),),
        Scope.NODE,
        Disruption.DRAIN,
        UndoClass.REVERT_DISRUPTIVE,
        rings,
    )
    return Plan(
        cluster="ams-prod",
        profile="xe",
        from_release="r580",
        to_release="r595",
        to_versions={"nvidia-driver": NEW},
        from_versions={"nvidia-driver": OLD},
        hops=(hop,),
        active_gates=("smoke_training",),
        passive_gates=("gpu_errors", "drift"),
        not_applicable={},
        schemes={"nvidia-driver": "nvidia-driver"},
        movers=MOVERS,
    )


def a_cluster(on_wave_failure: str = "hold") -> Cluster:
    return Cluster(
        name="ams-prod",
        profile="xe",
        release="r580",
        control_plane=(),
        cpu=(),
        gpu=tuple(n for nodes in RINGS.values() for n in nodes),
        virtual=("liqo-1",),
        rings=tuple(Ring(name, nodes, 2) for name, nodes in RINGS.items()),
        tenants=(Tenant("vision", ("vision",), 60),),
        gitops=GitOps("file:///x", "main", ()),
        declarations=(),
        limits=Limits(soak=10),
        on_wave_failure=on_wave_failure,
        where=HERE,
    )


def a_profile() -> Profile:
    """A machine without RDMA ports, with the least of gates that may promote."""
    gates: dict[str, Values] = {"smoke_training": {"kind": "active"}}
    gates |= {gate: {"kind": "passive"} for gate in ("gpu_errors", "drift")}
    return Profile("xe", "XE7740", 8, "H200 NVL", "10de:233b", False, 0, "none", "none", gates, (), HERE)


def a_hardware() -> Hardware:
    """All its GPU nodes are alike."""
    return Hardware((a_profile(),))


def a_standard(world: World, now: str, cluster: Cluster | None = None) -> Standard:
    """What the matrix of this scene says of evidence."""
    return Standard(
        release=Release("r595", ReleaseStatus.CANDIDATE, {"nvidia-driver": NEW}, ("xe",), HERE),
        profile=a_profile(),
        cluster=cluster or a_cluster(),
        components={},
        gates="a1b2c3d4e5f6a7b8",
        gates_from="this program",
        now=now,
    )


def a_world() -> World:
    return new_world(RINGS, {(f"nvidiadriver-{ring}.yaml", "spec.version"): OLD for ring in RINGS})


def an_engine(
    world: World,
    *,
    batch: int = 2,
    on_wave_failure: str = "hold",
    run: str = "run-1",
    plan: Plan | None = None,
) -> Engine:
    world.standard = world.standard or a_standard
    return Engine(ports(world), plan or a_plan(batch), a_cluster(on_wave_failure), a_hardware(), run)
