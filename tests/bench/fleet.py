"""One run of the engine on the fakes, with as many GPU nodes as asked: `python -m tests.bench.fleet N` prints JSON.

A process of its own, so that its CPU time and peak memory are the run's.
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
from dataclasses import replace

from tests.unit.engine import scene
from tests.unit.engine.fakes import FakeCheckpoint, ports
from tests.unit.engine.world import OLD, World, new_world

from knowngood.engine.engine import Engine
from knowngood.model.matrix import Cluster, Ring
from knowngood.model.packing import Packer
from knowngood.model.plan import Plan, PlannedRing
from knowngood.model.state import RunState
from knowngood.rehearsal.widen import widened


class Measured(FakeCheckpoint):
    """Packs each state as the real checkpoint does, and keeps how large it and the files beside it became."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.packer = Packer()
        self.largest = self.beside = self.written = 0

    def save(self, state: RunState, *, heed: bool = False) -> str:
        packed = self.packer.pack(state)
        size = len(json.dumps(packed.document, separators=(",", ":")))
        self.largest = max(self.largest, size)
        self.written += size
        self.beside += sum(map(len, packed.files.values()))
        return super().save(state, heed=heed)

    def keep(self, run: str, name: str, data: bytes) -> None:
        self.beside += len(gzip.compress(data))
        super().keep(run, name, data)


def fleet(nodes: int) -> tuple[Cluster, Plan]:
    """The scene's cluster and plan, as wide as a rehearsal would make it."""
    small = scene.a_cluster()
    raw = {"nodes": {"gpu": list(small.gpu)}, "rings": []}
    cluster = widened(replace(small, raw=raw), max(nodes, len(small.gpu)))
    hop = scene.a_plan().hops[0]
    rings = tuple(_planned(ring) for ring in cluster.rings)
    return cluster, replace(scene.a_plan(), hops=(replace(hop, rings=rings),))


def _planned(ring: Ring) -> PlannedRing:
    batches = tuple(ring.nodes[i : i + ring.batch] for i in range(0, len(ring.nodes), ring.batch))
    return PlannedRing(ring.name, batches, (scene.field_of(ring.name),))


def main(nodes: int) -> None:
    """Run to `done` and say what it took."""
    cluster, plan = fleet(nodes)
    rings = {ring.name: ring.nodes for ring in cluster.rings}
    fields = {(f"nvidiadriver-{ring}.yaml", "spec.version"): OLD for ring in rings}
    world = new_world(rings, fields)
    world.standard = lambda w, now: scene.a_standard(w, now, cluster)
    checkpoint = Measured(world)
    before = resource.getrusage(resource.RUSAGE_SELF)
    idle = before.ru_maxrss
    engine = Engine(replace(ports(world), checkpoint=checkpoint), plan, cluster, scene.a_hardware(), "run-1")
    engine.run()
    used = resource.getrusage(resource.RUSAGE_SELF)
    ended = world.records[-1].detail
    found = {
        "end": ended.get("end", str(ended)),
        "cpu": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": used.ru_maxrss / 1000,
        "idle_mb": idle / 1000,
        "checkpoint": checkpoint.largest,
        "beside": checkpoint.beside,
        "written": checkpoint.written,
        "records": len(world.records),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
