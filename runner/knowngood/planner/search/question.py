"""What is to be planned, looked up once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from knowngood.model.graph import Catalog, Edges
from knowngood.model.matrix import Cluster, Component, Matrix
from knowngood.planner.rules.evaluation import Traits, completed, in_range

OPENSHIFT = "openshift"
EUS = "eus"
"""The channel in which workers wait on odd minors, so that one boot brings them over two."""


@dataclass(frozen=True)
class Question:
    """What is to be planned: from which versions to which, on which cluster.

    `catalogs`: (component, OpenShift minor) -> the catalog that the cluster really has there. `channel` is the update
    channel of components with a graph; `accepted` are risks that a person takes.
    """

    matrix: Matrix
    cluster: Cluster
    start: Mapping[str, str]
    goal: Mapping[str, str]
    traits: Traits = field(default_factory=dict)
    channel: str = "stable"
    accepted: frozenset[str] = frozenset()
    catalogs: Mapping[tuple[str, str], Catalog] = field(default_factory=dict)

    def edges(self, name: str) -> Edges:
        """What is known of the component's versions and moves."""
        return self.matrix.edges.get(name) or Edges(name)

    def component(self, name: str) -> Component:
        """The component's file."""
        return self.matrix.components[name]

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """The components that move by themselves: in the order of the cluster's declarations, then by name."""
        order = {d.component: place for place, d in enumerate(self.cluster.declarations)}
        differ = {n for n, v in self.goal.items() if n in self.start and self.start[n] != v}
        return tuple(sorted(differ - set(self.followers), key=lambda n: (order.get(n, len(order)), n)))

    @cached_property
    def followers(self) -> Mapping[str, str]:
        """Components that go along with another one that moves -> that one."""
        return {
            name: follows.component
            for name, component in self.matrix.components.items()
            if (follows := component.follows) is not None
            and self.start.get(follows.component) != self.goal.get(follows.component)
            and follows.component in self.start
            and follows.component in self.goal
        }

    def following(self, name: str, leading: str) -> str | None:
        """The version of a component that goes along, when its leader has this version; None where it is not known.

        At both ends an explicit version wins.
        """
        leader = self.followers[name]
        for end in (self.start, self.goal):
            if leading == end[leader] and name in end:
                return end[name]
        follows = self.component(name).follows
        scheme = self.component(leader).scheme
        ranges = follows.versions.items() if follows else ()
        return next(
            (version for text, version in ranges if leading and in_range(scheme, text, leading)), None
        )

    def state(self, versions: Mapping[str, str]) -> dict[str, str]:
        """All versions of a state in which the moved components have these; the others stay as they are."""
        known = {n: v for n, v in self.start.items() if n not in self.followers} | dict(versions)
        for name, leader in self.followers.items():
            version = self.following(name, known[leader])
            if version is not None:
                known[name] = version
        return dict(completed(self.matrix.components, known))
