"""What a rehearsal starts from: a cluster at rest on a release, and how each component is declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.graph import Edges
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Component, Declaration, Matrix, Release
from knowngood.model.mover import Specs
from knowngood.planner.moving import said_of
from knowngood.rehearsal.places import played

OPERATOR = "gpu-operator"


@dataclass(frozen=True)
class AtRest:
    """A cluster on its pinned release; `movers`, `edges` and `components` are the matrix's, `named` its releases'.

    `named`: component -> the versions that any release names.
    """

    cluster: Cluster
    hardware: Hardware
    release: Release
    movers: Specs = field(default_factory=dict)
    edges: Mapping[str, Edges] = field(default_factory=dict)
    components: Mapping[str, Component] = field(default_factory=dict)
    named: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, matrix: Matrix, cluster: Cluster) -> AtRest:
        """As the matrix says. KeyError where it lacks the cluster's profile or release."""
        return cls(
            played(cluster),
            Hardware.of_cluster(cluster, matrix.profiles),
            matrix.releases[cluster.release],
            matrix.movers,
            matrix.edges,
            matrix.components,
            _named(matrix),
        )

    @property
    def openshift(self) -> bool:
        """Whether the cluster is OpenShift: then it has its operators too."""
        return "openshift" in self.release.components

    @property
    def by_helm(self) -> bool:
        """Whether a Helm release installed the GPU Operator: no Subscription does, and there is no OLM by itself."""
        return not self.openshift and not any(d.component == OPERATOR for d in self.cluster.declarations)

    def texts(self, declaration: Declaration) -> dict[str, str]:
        """Path -> text of the fields that declare the release's version; empty where the release has none."""
        version = self.release.components.get(declaration.component)
        if not version:
            return {}
        mover = self.movers.get(declaration.component)
        if mover is None or not mover.understands(declaration.kind, declaration.path):
            return {declaration.path: version}
        return said_of(mover, declaration, version)


def _named(matrix: Matrix) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for release in matrix.releases.values():
        for component, version in release.components.items():
            found.setdefault(component, set()).add(version)
    return {component: frozenset(versions) for component, versions in found.items()}
