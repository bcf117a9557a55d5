"""A cluster that declares an operator by a ClusterExtension: how it is planned, and what a rehearsal starts from."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Starts
from knowngood.planner.plan.planning import plan
from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.seed import seed

NAME, FILE = "par-prod", "clusters/par-prod/operators/kueue.yaml"
AT = ObjectRef("olm.operatorframework.io/v1", "ClusterExtension", "kueue-operator")
PATH = "spec.source.catalog.version"


def by_extension(cluster: Cluster) -> Cluster:
    """The shipped cluster, with its Kueue by OLM v1."""
    others = [d for d in cluster.declarations if d.component != "kueue"]
    (own,) = [d for d in cluster.declarations if d.component == "kueue"]
    return replace(cluster, declarations=(*others, replace(own, path=PATH, object=AT)))


def test_its_plan_freezes_the_class_of_the_kind_that_declares_it() -> None:
    found = matrix()
    cluster = by_extension(found.clusters[NAME])
    pinned = found.releases[cluster.release]
    newer = replace(pinned, name="newer", components={**pinned.components, "kueue": "1.3.1"})
    with_it = replace(
        found,
        clusters={**found.clusters, NAME: cluster},
        releases={**found.releases, "newer": newer},
    )
    made = plan(with_it, NAME, "newer")
    spec = made.movers["kueue"]
    assert (spec.kind, spec.starts, spec.instead) == ("olm-v1", Starts.DECLARE, {})
    (hop,) = made.hops
    assert hop.fleet is not None
    assert [(c.path, c.after, c.object.kind) for c in hop.fleet.changes] == [(PATH, "1.3.1", AT.kind)]
    assert set(spec.eases[AT.kind]) <= set(spec.require[AT.kind])
    assert plan(replace(with_it, clusters=found.clusters), NAME, "newer").movers["kueue"].kind == "olm-v0"


def test_a_rehearsal_has_it_pinned_in_git_and_its_catalog_in_the_seed() -> None:
    rest = shipped(NAME)
    rest = replace(rest, cluster=by_extension(rest.cluster))
    version = rest.release.components["kueue"]
    spec = files(rest)[FILE]["spec"]
    assert spec["source"]["catalog"]["version"] == version
    assert spec["source"]["catalog"]["upgradeConstraintPolicy"] == "CatalogProvided"
    (documents,) = seed(rest, "https://git.example.com/x.git")["olmV1"]["catalogs"].values()
    bundles = [d["properties"][0]["value"]["version"] for d in documents if d["schema"] == "olm.bundle"]
    assert version in bundles
    assert "kueue" not in str(seed(rest, "https://git.example.com/x.git")["olm"])
