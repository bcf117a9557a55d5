"""Why a component can't be moved, at all or on one cluster. Pure."""

from __future__ import annotations

from knowngood.model.matrix import Cluster, Component


def obstacle(component: Component, cluster: Cluster | None = None) -> str:
    """What stands in the way, "" where nothing does; without a cluster, what does so everywhere."""
    if component.judged_only:
        return "not movable: read and judged only"
    mover = component.mover
    if mover is None or not component.movable:
        return "not yet movable"
    if cluster is None:
        return ""
    leader = component.follows.component if component.follows and not mover.fields else ""
    declared = next((d for d in cluster.declarations if d.component == (leader or component.name)), None)
    if declared is None:
        what = f"{leader}, which it follows" if leader else "it"
        return f"not yet movable, {cluster.name} does not say where Git declares {what}"
    if leader:
        return ""
    if not mover.understands(declared.kind, declared.path):
        field = f"{declared.kind} {declared.path}"
        return f"not yet movable here, its mover does not know {field} in {declared.file}"
    return ""
