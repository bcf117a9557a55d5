"""Why a component can't be moved, at all or on one cluster, and what would have to change. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from knowngood.model.matrix import Cluster, Component
from knowngood.model.mover import CLASSES, MoverSpec

BY_HAND = "until then move it by hand, and pin the release that has it"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way, and what would have to change."""

    why: str
    change: str

    def __str__(self) -> str:
        return f"{self.why} ({self.change})"


def obstacle(component: Component, cluster: Cluster | None = None) -> Obstacle | None:
    """What stands in the way, None where nothing does; without a cluster, what does so everywhere."""
    if component.judged_only:
        return Obstacle(
            "not movable: read and judged only", "move it by its own means, then pin the release that has it"
        )
    mover = component.mover
    if mover is None:
        return Obstacle(
            "not yet movable: its component file has no mover",
            f"a mover of one of our classes in components/NAME.yaml, where one fits; {BY_HAND}",
        )
    if not component.movable:
        return Obstacle(
            f"not yet movable: no class {mover.kind} is here",
            f"one of {', '.join(sorted(CLASSES))}; {BY_HAND}",
        )
    if cluster is None:
        return None
    if own := cluster.follows.get(component.name):
        return Obstacle(
            f"not movable by itself here: Git leaves it to {own.component}, with which it moves",
            f"a release that moves {own.component}, too; or write its version out in Git and declare it",
        )
    leader = component.follows.component if component.follows and not mover.fields else ""
    declared = next((d for d in cluster.declarations if d.component == (leader or component.name)), None)
    if declared is None:
        what = f"{leader}, which it follows" if leader else "it"
        return Obstacle(
            f"not yet movable, {cluster.name} does not say where Git declares {what}",
            f"name {leader or 'it'} under declare in clusters/{cluster.name}.yaml"
            + ("" if leader else f": {_fields(mover)}"),
        )
    if leader:
        return None
    if not mover.understands(declared.kind, declared.path):
        field = f"{declared.kind} {declared.path}"
        return Obstacle(
            f"not yet movable here, its mover does not know {field} in {declared.file}",
            f"declare it by {_fields(mover)}",
        )
    return None


def comes_with(
    component: Component, components: Mapping[str, Component], cluster: Cluster | None, named: Collection[str]
) -> str:
    """The component with whose move it comes, "" for none: it follows that one, which moves, and needs no mover.

    `named`: what the cluster's release names; what it names moves by itself.
    """
    own = cluster.follows.get(component.name) if cluster else None
    if own is None and (component.mover or component.follows is None or component.name in named):
        return ""
    follows = own or component.follows
    leader = components.get(follows.component) if follows and not component.judged_only else None
    return leader.name if leader and obstacle(leader, cluster) is None else ""


def _fields(mover: MoverSpec) -> str:
    """By which fields of which kinds it can be declared."""
    return ", or ".join(f"{kind} {' with '.join(paths)}" for kind, paths in mover.fields.items())
