"""The plan that moves nothing names every field that a plan to anywhere could change, each as it is."""

from __future__ import annotations

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import UsageError
from knowngood.model.mover import Starts
from knowngood.planner.movable import obstacle
from knowngood.planner.plan.still import still

MATRIX = load(matrix_dir())


@pytest.mark.parametrize("cluster", MATRIX.clusters)
def test_every_component_that_can_be_moved_is_in_it_and_stays_where_it_is(cluster: str) -> None:
    found = MATRIX.clusters[cluster]
    made = still(MATRIX, cluster)
    movable = {d.component for d in found.declarations if not obstacle(MATRIX.components[d.component], found)}
    moves = [m for hop in made.hops for part in hop.parts for m in part.moves]
    assert {m.component for m in moves} == movable
    assert all(m.from_version == m.to_version for m in moves)
    changes = [c for hop in made.hops for part in hop.parts for c in part.changes]
    assert all(c.before == c.after for c in changes)
    assert set(made.nodes) == {n for ring in found.rings for n in ring.nodes} or not movable
    assert set(made.movers) == movable


def test_what_git_declares_counts_ring_by_ring() -> None:
    made = still(MATRIX, "ams-prod", {("nvidia-driver", "ring-1"): "570.211.01"})
    texts = {ring.name: [c.before for c in ring.changes] for ring in made.hops[0].rings}
    assert texts["ring-1"] == ["570.211.01"]
    assert texts["ring-0"] == ["580.173.02"]


def test_a_driver_declared_once_reaches_its_nodes_by_the_rings() -> None:
    """Else nothing but a fleet part would say what of it runs, and no fleet part can."""
    made = still(MATRIX, "par-prod")
    once = [
        d.component
        for d in MATRIX.clusters["par-prod"].declarations
        if d.kind in {"ClusterPolicy", "NicClusterPolicy"}
    ]
    movers = {c: MATRIX.components[c].mover for c in once}
    restarted = {c for c, mover in movers.items() if mover and mover.starts is Starts.RESTART}
    assert restarted
    assert restarted <= {m.component for m in made.hops[0].rings[0].moves}
    assert restarted.isdisjoint(made.hops[0].without_canary)


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no cluster 'x'"):
        still(MATRIX, "x")
