"""What the frame of the gates costs a node: passive judgements of 1, 10 and 100 nodes of the bare API server at once.

A node's own answers are ready at once there and nothing is waited for (settleSeconds 0), so all that is measured is
ours: pytest, fixtures, requests, parsing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import scale
from tests.bench.measurement import Measurement

NODES = (1, 10, 100)
ENTRIES = 1_000_000
AIM = 5.0
"""Seconds a node."""


def flood() -> Iterator[Measurement]:
    """A node whose journal has a million entries, through a whole passive judgement."""
    found = scale.judgement(1, ENTRIES)
    what = f"passive gates, a journal of {ENTRIES:,} entries"
    note = f"{found['seconds']:.0f} s; {found['bytes'] / 1e6:.0f} MB came; {found['note']}"
    yield Measurement(f"{what}: peak memory", found["peak_mb"], "MB", aim=200.0, note=note)
    yield Measurement(f"{what}: how often it was fetched whole", found["journals"], "", aim=1.0)


def measure() -> Iterator[Measurement]:
    """Each number of nodes in processes of its own; the last line tells whether a node costs more among many."""
    a_node: dict[int, float] = {}
    for nodes in NODES:
        found = scale.judgement(nodes)
        a_node[nodes] = found["seconds"] / nodes
        what = f"passive gates, {nodes} nodes at once, a node"
        yield Measurement(f"{what}: on the clock", a_node[nodes], "s", aim=AIM, note=found["note"])
        yield Measurement(f"{what}: own processor time", found["cpu"] / nodes, "s")
    yield Measurement("the same on the clock, 100 to 10", a_node[100] / a_node[10], "times", aim=1.0)
