"""Whom a move reaches on a given cluster, and how it can be undone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from knowngood.model.declared import DeclaredBy, Scope
from knowngood.model.matrix import Cluster, Component, Declaration


@dataclass(frozen=True, slots=True)
class Reach:
    """`always` where it does not depend on versions; else `node_when`: ranges, in any one of which nodes may differ.

    Everywhere else the move reaches all nodes at once.
    """

    always: Scope | None
    node_when: tuple[Mapping[str, str], ...] = ()


def reach(component: Component, cluster: Cluster) -> Reach:
    """Derived from what declares the component on the cluster.

    A file for each ring, and a kind of object that knows rings: nodes may differ. A kind that its file does not
    describe is believed. Where the cluster does not say what declares it, all kinds that could must know rings.
    """
    declaration = _declaration(component, cluster)
    kinds = component.declared_by
    if declaration is not None:
        if declaration.scope is Scope.CLUSTER:
            return Reach(Scope.CLUSTER)
        kinds = tuple(k for k in kinds if _kind_of(k) == declaration.kind)
        if not kinds:
            return Reach(Scope.NODE)
        kinds = tuple(k for k in kinds if k.scope is Scope.NODE)
    if not kinds or any(k.scope is Scope.CLUSTER for k in kinds):
        return Reach(Scope.CLUSTER)
    if any(not k.when for k in kinds):
        return Reach(Scope.NODE)
    return Reach(None, tuple(k.when for k in kinds))


def _declaration(component: Component, cluster: Cluster) -> Declaration | None:
    return next((d for d in cluster.declarations if d.component == component.name), None)


def to_rings(component: Component, cluster: Cluster) -> str:
    """How the cluster comes to one object a ring for it, and why that is no hop; "" where nothing is known of it."""
    declaration = _declaration(component, cluster)
    kinds = [k for k in component.declared_by if declaration and _kind_of(k) == declaration.kind]
    return next((k.to_rings for k in kinds if k.to_rings), "")


def _kind_of(declared: DeclaredBy) -> str:
    return re.split(r"[ ,]", declared.kind)[0]


def client_of(cluster: Cluster) -> str:
    """The command that people type there to reach the API."""
    return "oc" if cluster.traits.get("platform") == "openshift" else "kubectl"
