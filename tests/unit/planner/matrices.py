"""Small matrices, built in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from knowngood.model.errors import Location
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import GitOps
from knowngood.model.matrix import (
    Cluster,
    Component,
    Declaration,
    Disruption,
    Limits,
    Matrix,
    Profile,
    Release,
    ReleaseStatus,
    Ring,
    Rule,
    Severity,
    UndoClass,
)
from knowngood.model.mover import MoverSpec, Words
from knowngood.model.source import Source

HERE = Location("test.yaml", 1)
SOURCE = Source("vendor page 7")
VERSIONS = {
    "openshift": "4.18.52",
    "gpu-operator": "26.7.0",
    "nvidia-driver": "580.173.02",
    "kernel-module-type": "open",
    "doca-ofed": "25.10-1.2.8.0-2",
}


MOVER = MoverSpec(
    kind="daemon-driver",
    users=("gpu", "rdma"),
    fields={"Driver": {"spec.version": "{version}"}},
    words=Words("driver", "reload the driver", "reload the driver that was there before"),
)


def component(name: str, scheme: str, *, movable: bool = False, undo: str = "revert-disruptive") -> Component:
    mover = MOVER if movable else None
    return Component(name, name, scheme, Disruption.DRAIN, UndoClass(undo), (SOURCE,), HERE, mover=mover)


def release(name: str, status: str = "candidate", **versions: str | None) -> Release:
    """A release with VERSIONS, some replaced; None takes one away. Underscores are hyphens."""
    given = {k.replace("_", "-"): v for k, v in versions.items()}
    merged = {k: v for k, v in {**VERSIONS, **given}.items() if v is not None}
    reason = "Xid 31 on every node" if status == "revoked" else ""
    return Release(name, ReleaseStatus(status), merged, ("pcie",), HERE, reason)


def rule(name: str, when: Mapping[str, str], require: Mapping[str, str], severity: str = "block") -> Rule:
    return Rule(name, Severity(severity), when, require, f"{name} says no", (SOURCE,), HERE)


def declaration(name: str, *, ring: bool = True) -> Declaration:
    suffix = "-{ring}" if ring else ""
    live = ObjectRef("v1", "Driver", "{ring}" if ring else name)
    return Declaration(name, f"gpu/{name}{suffix}.yaml", "spec.version", live)


def profile(**gates: Mapping[str, Any]) -> Profile:
    passive = ("drift", "gpu_errors", "rdma_health")
    default = {"smoke_training": {"kind": "active"}, **{gate: {"kind": "passive"} for gate in passive}}
    return Profile(
        "pcie",
        "PowerEdge",
        8,
        "H200",
        "10de:233b",
        False,
        8,
        "CX7",
        "dma-buf",
        gates or default,
        (SOURCE,),
        HERE,
    )


def cluster(*declarations: Declaration) -> Cluster:
    """Two rings: one of three nodes in batches of two, one of one."""
    return Cluster(
        name="lab",
        profile="pcie",
        release="old",
        control_plane=("cp",),
        cpu=(),
        gpu=("a", "b", "c", "d"),
        virtual=("liqo",),
        rings=(Ring("ring-0", ("a", "b", "c"), 2), Ring("ring-1", ("d",), 1)),
        tenants=(),
        gitops=GitOps("https://git.example.com/x.git", "main", ()),
        declarations=declarations or (declaration("nvidia-driver"),),
        limits=Limits(),
        on_wave_failure="hold",
        where=HERE,
        raw={"release": "old"},
    )


def matrix(*releases: Release, rules: tuple[Rule, ...] = (), **changes: Any) -> Matrix:
    components = (
        component("openshift", "openshift", undo="forward-only"),
        component("gpu-operator", "numeric", undo="procedure"),
        component("nvidia-driver", "nvidia-driver", movable=True),
        component("kernel-module-type", "text"),
        component("doca-ofed", "doca-ofed"),
    )
    known = (release("old"), *releases)
    value = Matrix(
        components={c.name: c for c in components},
        releases={r.name: r for r in known},
        rules={r.name: r for r in rules},
        profiles={"pcie": profile()},
        clusters={"lab": cluster()},
        commit="c0ffee",
    )
    return replace(value, **changes)


def with_component(value: Matrix, changed: Component) -> Matrix:
    return replace(value, components={**value.components, changed.name: changed})
