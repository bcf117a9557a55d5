"""The twin at a fleet's size: how long it takes to come to rest, and what a whole rehearsal on it costs.

Each in a folder that goes afterwards. Processor time counts all processes; peak memory is the twin's alone.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench.measurement import BIN, Measurement

from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings
from knowngood.cli.staging import DEFAULT_SCALE, staged
from knowngood.matrix.locate import matrix_dir
from knowngood.rehearsal.widen import widened

CLUSTER, TO = "ams-prod", "r595"
MEGABYTE = 1e6
WAITING = "(waiting)"
"""How a user agent ends where a loop asks again (see `knowngood.adapters.waiting`)."""
SETTLES: Mapping[int, float] = {100: 20, 1000: 240}
"""GPU nodes, and the seconds in which the twin should settle with so many."""
PEAK: Mapping[int, float] = {1000: 1000}
"""Megabytes that it should not need more of until then."""
REHEARSES: Mapping[int, float | None] = {12: None, 50: None, 100: 360}
"""GPU nodes, and the seconds in which a rehearsal should end."""


def settle(nodes: int) -> Iterator[Measurement]:
    """From the command to rest, as a rehearsal begins."""
    source = load(Settings(matrix=matrix_dir()))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        with staged(source, widened(source.cluster(CLUSTER), nodes), Path(folder), DEFAULT_SCALE) as stage:
            took = time.monotonic() - begin
        twin = _costs(stage.state)["twin"]
    what = f"the twin of {nodes:,} nodes"
    yield Measurement(f"{what} settles", took, "s", aim=SETTLES.get(nodes))
    yield Measurement(f"{what}: its processor time until then", twin["cpuSeconds"], "s")
    yield Measurement(f"{what}: peak memory until then", _peak(twin), "MB", aim=PEAK.get(nodes))


def rehearsal(nodes: int) -> Iterator[Measurement]:
    """`knowngood rehearse --nodes`, from the twin's start to the report."""
    with tempfile.TemporaryDirectory() as folder:
        before = _used()
        begin = time.monotonic()
        asked = ["rehearse", CLUSTER, "--to", TO, "--nodes", str(nodes), "--out", folder, "--output", "json"]
        done = subprocess.run([BIN / "knowngood", *asked], capture_output=True, text=True, check=False)
        took = time.monotonic() - begin
        cpu = _used() - before
        (stage,) = Path(folder).iterdir()
        summary = json.loads(done.stdout)
        costs = _costs(stage / "twin")
    what, twin = f"rehearsal of {nodes} nodes", costs["twin"]
    yield Measurement(f"{what}: all", took, "s", aim=REHEARSES.get(nodes), note=f"ends {summary['end']}")
    yield Measurement(f"{what}: processor time of the twin", twin["cpuSeconds"], "s")
    yield Measurement(f"{what}: and of all else", cpu - twin["cpuSeconds"], "s")
    yield Measurement(f"{what}: the twin's peak memory", _peak(twin), "MB", aim=PEAK.get(nodes))
    yield from of_calls(what, nodes, costs["api"])


def of_calls(what: str, nodes: int, costs: Mapping[str, Any]) -> Iterator[Measurement]:
    """What was asked of the API server but by the twin itself: work and waiting, and who asked."""
    ours = {name: agent for name, agent in costs.items() if name != "twin"}
    asked = {name: sum(agent["requests"].values()) / nodes for name, agent in ours.items()}
    work = {name: number for name, number in asked.items() if not name.endswith(WAITING)}
    told = ", ".join(f"{name} {number:.1f}" for name, number in work.items())
    aim = 20 if nodes >= 1000 else None
    yield Measurement(f"{what}: API requests a node for work", sum(work.values()), "", aim=aim, note=told)
    waited = sum(asked.values()) - sum(work.values())
    yield Measurement(f"{what}: API requests a node while waiting", waited, "")
    evicted = sum(agent["shapes"].get("POST pods/*/eviction", 0) for agent in ours.values())
    yield Measurement(f"{what}: evictions asked for, a node", evicted / nodes, "")
    received = sum(agent["bytes"] for agent in ours.values())
    yield Measurement(f"{what}: bytes a node", received / nodes / 1024, "KiB")


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _costs(state: Path) -> dict[str, Any]:
    """What the twin wrote at its end."""
    found: dict[str, Any] = json.loads((state / "costs.json").read_text())
    return found


def _peak(twin: Mapping[str, float]) -> float:
    return twin["peakKiB"] * 1024 / MEGABYTE
