"""What the pools of a cluster must be like before a release is committed that would move their nodes."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.adapters.cluster import held
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.adapters.movers import pools
from knowngood.adapters.movers.pools import Pool
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster, Ring


def rolling(kube: Kube) -> Iterator[Finding]:
    """A required pool that is paused never ends an update, and one degraded pool of any kind stops it."""
    for pool in pools.pools(kube):
        where = f"MachineConfigPool {pool.name}"
        if pool.required and pool.paused:
            yield refused(where, "it is paused, and an update waits for it without end", "unpause it")
        if pool.degraded:
            yield refused(where, f"it is Degraded: {pool.degraded}", "mend it first")
        elif not pool.paused and not pool.is_updated:
            yield refused(
                where, "its nodes do not have its config yet", "wait until it is Updated", passes=True
            )


def of_rings(kube: Kube, cluster: Cluster) -> Iterator[Finding]:
    """A pool is unpaused as a whole: it must hold one ring's nodes and no other's, and let all of them out at once."""
    nodes, objects = kube.list(path("v1", "nodes")), pools.objects(kube)
    has, known = pools.members(objects, nodes), {pool.name: pool for pool in map(pools.Pool.of, objects)}
    ours = {str(found["metadata"]["name"]) for found in objects if held.term(found)}
    rings = {node: ring for ring in cluster.rings for node in ring.nodes}
    if not objects:
        yield unknown("MachineConfigPools", "there is none, so nobody moves the nodes", "see oc get mcp")
        return
    placed = {node for name, its in has.items() if name for node in its}
    if alone := [node for node in rings if node not in placed]:
        hint = "see the nodeSelector of the pools, and the nodes' labels"
        yield refused(f"node {', '.join(alone)}", "it belongs to no MachineConfigPool", hint)
    for name, members in has.items():
        if not name:
            continue
        of = {rings[node].name: rings[node] for node in members if node in rings}
        strange = [node for node in members if node not in rings]
        where = f"MachineConfigPool {name}"
        if of and (len(of) > 1 or strange):
            who = ", ".join([*sorted(of), *strange])
            hint = "give each ring a pool of its own, by a nodeSelector on the ring's label"
            yield refused(where, f"it holds nodes of {who} together", hint)
        elif of:
            (ring,) = of.values()
            yield from _at_once(where, ring, known[name])
            if known[name].paused and name not in ours:
                yield refused(
                    where, "somebody paused it, so it would not be let go", "find out why, and unpause it"
                )
            if name in ours and not known[name].paused:
                # Asked again before a later hop: that commit would boot all of its nodes at once.
                what = "a run holds it and has let it go already, so its nodes would boot at once, undrained"
                hint = "once every node of it is updated: knowngood clear --holds, then upgrade again"
                yield refused(where, what, hint)


def _at_once(where: str, ring: Ring, pool: Pool) -> Iterator[Finding]:
    """Once let go it takes every node that is not cordoned: all of the ring must be drained by then, and may be out."""
    if ring.batch < len(ring.nodes):
        what = (
            f"let go, it moves all {len(ring.nodes)} nodes of {ring.name}, and a batch of it has {ring.batch}"
        )
        yield refused(
            where, what, "make the batch as large as the ring, or more rings of it, each with a pool"
        )
    elif not pool.count:
        yield unknown(
            where, f"it counts none of {ring.name}'s nodes", "wait until the operator has looked at it"
        )
    elif pool.most < len(ring.nodes):
        what = f"it lets {pool.most} node{'s' * (pool.most > 1)} out at once, and {ring.name} has {len(ring.nodes)}"
        yield refused(where, what, f"set its maxUnavailable to {len(ring.nodes)}")
