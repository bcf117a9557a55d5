"""The same cluster with more GPU nodes, for a rehearsal at a fleet's size. Pure.

The canary ring stays as it is. What is added goes to the rings after it, each twice as much as the one before, as a
fleet is usually rolled out: little is risked first. Later batches grow with the fleet, a fifth of it at most.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import replace

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster, Ring

LARGEST_BATCH = 5
"""One in so many GPU nodes may be out at once: less than the third of the shipped ams-prod, and few batches to play."""


def widened(cluster: Cluster, nodes: int) -> Cluster:
    """`cluster` with that many GPU nodes, `raw` included. UsageError where it has more already."""
    if nodes < len(cluster.gpu):
        raise UsageError(
            f"{cluster.name} has {len(cluster.gpu)} GPU nodes; it can be widened, not narrowed, to {nodes}",
            where=cluster.where,
            hint="leave --nodes out, or name a larger number",
        )
    if not cluster.rings:
        raise UsageError(f"{cluster.name} has no rings to widen", where=cluster.where)
    fresh = _names(cluster, nodes - len(cluster.gpu))
    rings = _rings(cluster.rings, fresh, nodes)
    raw = copy.deepcopy(dict(cluster.raw))
    raw["nodes"] = {**raw.get("nodes", {}), "gpu": [*cluster.gpu, *fresh]}
    if cluster.pools:  # what is added is of the last pool's kind
        *_, last = cluster.pools
        raw["pools"] = {
            **{name: [*nodes] for name, nodes in cluster.pools.items()},
            last: [*cluster.pools[last], *fresh],
        }
    raw["rings"] = [{"name": r.name, "nodes": list(r.nodes), "batch": r.batch} for r in rings]
    pools = {name: tuple(nodes) for name, nodes in raw.get("pools", {}).items()}
    return replace(cluster, gpu=(*cluster.gpu, *fresh), rings=rings, pools=pools, raw=raw)


def described(cluster: Cluster) -> str:
    """Rings and batches in one line."""
    parts = (f"{r.name} {len(r.nodes)} (batches of {min(r.batch, len(r.nodes))})" for r in cluster.rings)
    return f"{len(cluster.gpu)} GPU nodes: {', '.join(parts)}"


def _names(cluster: Cluster, count: int) -> tuple[str, ...]:
    """Names after the pattern of the last GPU node that no node has yet: gpu-6 goes on with gpu-7."""
    taken = {*cluster.control_plane, *cluster.cpu, *cluster.gpu, *cluster.virtual}
    fresh: list[str] = []
    names = _counting(cluster.gpu[-1] if cluster.gpu else "gpu-0")
    while len(fresh) < count:
        name = next(names)
        if name not in taken:
            fresh.append(name)
    return tuple(fresh)


def _counting(name: str) -> Iterator[str]:
    """The names after one that ends in a number, at least as wide; a name without one gets it."""
    found = re.fullmatch(r"(.*?)(\d+)", name)
    head, digits = (found[1], found[2]) if found else (f"{name}-", "0")
    number = int(digits)
    while True:
        number += 1
        yield f"{head}{number:0{len(digits)}d}"


def _rings(rings: tuple[Ring, ...], fresh: tuple[str, ...], total: int) -> tuple[Ring, ...]:
    canary, *later = rings
    if not later and fresh:
        later = [Ring(next(_counting(canary.name)), (), canary.batch)]
    found = [canary]
    weights = [2**number for number in range(len(later))]
    begin = 0
    for number, ring in enumerate(later):
        last = number == len(later) - 1
        end = len(fresh) if last else begin + len(fresh) * weights[number] // sum(weights)
        nodes = (*ring.nodes, *fresh[begin:end])
        batch = min(max(ring.batch, total // LARGEST_BATCH), len(nodes)) if fresh else ring.batch
        found.append(Ring(ring.name, nodes, batch))
        begin = end
    return tuple(ring for ring in found if ring.nodes)
