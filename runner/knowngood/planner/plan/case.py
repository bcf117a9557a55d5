"""What is to be planned for a cluster: the release it has, the one it shall have, and what really is there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from knowngood.model.declared import Scope
from knowngood.model.errors import UsageError
from knowngood.model.graph import Catalog
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Component, Declaration, Matrix, Release, Ring
from knowngood.planner.moving import version_said
from knowngood.planner.rules.evaluation import Traits, traits_on
from knowngood.planner.search.question import Question

Declared = Mapping[tuple[str, str], str]
"""(component, ring) -> what Git holds in the declared field, in a case the version that it stands for; ring "": all."""


@dataclass(frozen=True, slots=True)
class GivenCatalog:
    """A catalog that the cluster really has, and the file it was read from."""

    catalog: Catalog
    file: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person says about the plan. `observed`: what really runs, component -> version.

    `catalogs`: (component, OpenShift minor) -> what the cluster's catalog really holds; minor "" is the one that the
    cluster runs now.
    """

    channel: str = "stable"
    accepted: frozenset[str] = frozenset()
    observed: Mapping[str, str] = field(default_factory=dict)
    catalogs: Mapping[tuple[str, str], GivenCatalog] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be planned, looked up once."""

    matrix: Matrix
    cluster: Cluster
    pinned: Release
    target: Release
    declared: Declared
    wishes: Wishes = Wishes()

    @classmethod
    def of(cls, matrix: Matrix, cluster: str, release: str, declared: Declared, wishes: Wishes) -> Case:
        """Look the names up; UsageError where one is not there."""
        for kind, known, name in (
            ("cluster", matrix.clusters, cluster),
            ("release", matrix.releases, release),
        ):
            if name not in known:
                close = difflib.get_close_matches(name, list(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"
                raise UsageError(f"there is no {kind} {name!r} in the matrix", hint=hint)
        found = matrix.clusters[cluster]
        pinned, target = matrix.releases[found.release], matrix.releases[release]
        versions = {at: _version(matrix, found, at[0], text) for at, text in declared.items()}
        return cls(matrix.on(found), found, pinned, target, versions, wishes)

    def component(self, name: str) -> Component:
        """The component's file, with the mover of the kind that declares it on this cluster."""
        found, declaration = self.matrix.components[name], self.declaration(name)
        if found.mover is None or declaration is None or not found.mover.instead:
            return found
        return replace(found, mover=found.mover.of(declaration.kind))

    @property
    def hardware(self) -> Hardware:
        """The hardware of the cluster's GPU nodes."""
        return Hardware.of_cluster(self.cluster, self.matrix.profiles)

    @property
    def traits(self) -> Traits:
        """What rules may ask of the cluster and of its machines."""
        return traits_on(self.hardware, self.cluster)

    def declaration(self, name: str) -> Declaration | None:
        """Where Git declares the component on this cluster."""
        return next((d for d in self.cluster.declarations if d.component == name), None)

    def before(self, component: str, ring: str = "") -> str:
        """The version that Git declares, else what was observed, else the pinned release's."""
        return (
            self.declared.get((component, ring))
            or self.wishes.observed.get(component)
            or self.pinned.components.get(component, "")
        )

    def open_rings(self, component: str) -> tuple[Ring, ...]:
        """The rings that do not declare the target's version yet."""
        to = self.target.components[component]
        return tuple(r for r in self.cluster.rings if self.before(component, r.name) != to)

    def by_ring(self, name: str) -> bool:
        """Whether Git declares the component ring by ring."""
        declaration = self.declaration(name)
        return declaration is not None and declaration.scope is Scope.NODE

    def start(self) -> dict[str, str]:
        """Every version that the plan begins with; a component whose rings differ has what is left to move."""
        names = {*self.pinned.components, *self.wishes.observed, *self.target.components}
        found = {name: self.before(name) for name in sorted(names)}
        for name in self.target.components:
            if self.by_ring(name):
                rings = self.open_rings(name)
                found[name] = self.before(name, rings[0].name) if rings else self.target.components[name]
        return {name: version for name, version in found.items() if version}

    def question(self) -> Question:
        """The case as a question to the search."""
        start = self.start()
        now = ".".join(start.get("openshift", "").split(".")[:2])
        return Question(
            matrix=self.matrix,
            cluster=self.cluster,
            start=start,
            goal=dict(self.target.components),
            traits=self.traits,
            channel=self.wishes.channel,
            accepted=self.wishes.accepted,
            catalogs={(name, minor or now): g.catalog for (name, minor), g in self.wishes.catalogs.items()},
        )


def _version(matrix: Matrix, cluster: Cluster, component: str, text: str) -> str:
    """The version that a declared field stands for, as the component's mover reads it."""
    known = matrix.components.get(component)
    declaration = next((d for d in cluster.declarations if d.component == component), None)
    if known is None or known.mover is None or declaration is None:
        return text
    if not known.mover.understands(declaration.kind, declaration.path):
        return text
    return version_said(known.mover, declaration, text)
