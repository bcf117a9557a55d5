"""The plan that moves nothing: every component that can be moved on a cluster, from what it is to what it is.

It asks of a cluster all that a plan to anywhere would, so that a run's checks can be done before there is a release
to go to. It is never played.
"""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.model.declared import Scope
from knowngood.model.field import FieldChange
from knowngood.model.matrix import Declaration, Disruption, Matrix, Ring, UndoClass
from knowngood.model.mover import Starts
from knowngood.model.plan import FLEET, Hop, Move, Plan, PlannedRing
from knowngood.planner.digest import cluster_digest
from knowngood.planner.gates import applicable_on, planned_pools
from knowngood.planner.movable import obstacle
from knowngood.planner.moving import said_of
from knowngood.planner.plan.case import Case, Declared, Wishes


def still(matrix: Matrix, cluster: str, declared: Declared | None = None) -> Plan:
    """One hop with all of it; none where nothing can be moved. `declared`: as in `plan`.

    UsageError: no such cluster, or Git holds what no mover knows.
    """
    pinned = matrix.clusters[cluster].release if cluster in matrix.clusters else ""
    case = Case.of(matrix, cluster, pinned, declared or {}, Wishes())
    movable = [
        d for d in case.cluster.declarations if not obstacle(case.component(d.component), case.cluster)
    ]
    once = _part(case, FLEET, None, [d for d in movable if d.scope is Scope.CLUSTER])
    of_nodes = [d for d in movable if d.scope is Scope.NODE]
    restarted = [d for d in movable if d.scope is Scope.CLUSTER and _restarts(case, d)]
    rings = tuple(_part(case, ring.name, ring, of_nodes, restarted) for ring in case.cluster.rings)
    moves = tuple({m.component: m for part in (once, *rings) for m in part.moves}.values())
    hop = Hop(
        "hop-1",
        moves,
        Scope.NODE if of_nodes else Scope.CLUSTER,
        Disruption.NONE,
        UndoClass.REVERT,
        rings,
        fleet=once if once.own else None,
    )
    gates = applicable_on(case.hardware, case.cluster)
    versions = case.start()
    return Plan(
        cluster=cluster,
        profile=case.hardware.names,
        from_release=pinned,
        to_release=pinned,
        to_versions=versions,
        from_versions=versions,
        hops=(hop,) if moves else (),
        active_gates=gates.active,
        passive_gates=gates.passive,
        not_applicable=gates.not_applicable,
        matrix_commit=matrix.commit,
        cluster_digest=cluster_digest(case.cluster),
        schemes=matrix.schemes,
        reported=matrix.reported,
        pools=planned_pools(case.hardware, case.cluster.gpu, case.cluster),
        movers={d.component: spec for d in movable if (spec := case.component(d.component).mover)},
    )


def _restarts(case: Case, declaration: Declaration) -> bool:
    """Whether it is declared once for all nodes, and comes to each of them by a restart there."""
    mover = case.component(declaration.component).mover
    return mover is not None and mover.starts is Starts.RESTART


def _part(
    case: Case,
    name: str,
    ring: Ring | None,
    declared: list[Declaration],
    restarted: Sequence[Declaration] = (),
) -> PlannedRing:
    """`restarted`: what its nodes get without an edit of the ring's own."""
    at = ring.name if ring else ""
    both = (*((d, at) for d in declared), *((d, "") for d in restarted))
    own = tuple(Move(d.component, v, v) for d, whose in both if (v := case.before(d.component, whose)))
    changes = [c for d in declared for c in _fields(case, d, at)]
    each_once = tuple({c.place: c for c in changes}.values())
    nodes = ring.nodes if ring else ()
    size = ring.batch if ring else 1
    batches = tuple(nodes[i : i + size] for i in range(0, len(nodes), size))
    return PlannedRing(name, batches, each_once, own)


def _fields(case: Case, declaration: Declaration, ring: str) -> list[FieldChange]:
    mover, version = case.component(declaration.component).mover, case.before(declaration.component, ring)
    if mover is None or not version:
        return []
    texts = said_of(mover, declaration, version)
    fields = [declaration.of_ring(ring, path) for path in texts]
    return [FieldChange.of(f, texts[f.path], texts[f.path]) for f in fields]
