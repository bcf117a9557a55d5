"""A whole rehearsal of the driver alone: processor time of all its processes, and what they ask of the API.

BESIDE names another checkout, with an environment of its own (`make setup`): both run in turn, so that what else the
machine does weighs on both. MATRIX names the matrix of ours, such as one whose profile names fewer gates.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.measurement import ROOT, Measurement

CLUSTER, RELEASE, TIMES = "ams-prod", "r595", 3
WAITING = "(waiting)"


class Used(NamedTuple):
    """One run's figures; requests without those of waits, `gates` those of judgements."""

    cpu: float
    seconds: float
    requests: int
    gates: int


def measure() -> Iterator[Measurement]:
    """Ours, and the other checkout's right before each; the best of those that came through."""
    beside, matrix = os.environ.get("BESIDE", ""), os.environ.get("MATRIX", "")
    asked: dict[str, tuple[Path, tuple[str, ...]]] = {"": (ROOT, ("--matrix", matrix) if matrix else ())}
    if beside:
        asked = {f" of {beside}": (Path(beside).resolve(), ()), **asked}
    found: dict[str, list[Used]] = {name: [] for name in asked}
    for _ in range(TIMES):
        for name, (checkout, options) in asked.items():
            found[name] += rehearsed(checkout, options)
    for name, runs in found.items():
        yield from _told(f"rehearsal of the driver alone{name}", runs)


def rehearsed(checkout: Path, options: tuple[str, ...]) -> list[Used]:
    """One rehearsal; none where it did not end or a node was drained twice, which is the machine's load."""
    tools = checkout / ".venv" / "bin"
    command = [str(tools / "knowngood"), *options, "rehearse", CLUSTER, "--to", RELEASE, "--out"]
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as out:
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, out], cwd=checkout, env=environment, check=False, capture_output=True)
        seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        summaries = [json.loads(path.read_text()) for path in Path(out).glob("*/runs/*/summary.json")]
        if not any(whole(summary) for summary in summaries):
            return []
        (costs,) = Path(out).glob("*/twin/costs.json")
        work = {
            agent: sum(found["requests"].values())
            for agent, found in json.loads(costs.read_text())["api"].items()
            if agent.startswith("knowngood") and WAITING not in agent
        }
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [Used(cpu, seconds, sum(work.values()), work.get("knowngood-gates", 0))]


def whole(summary: dict[str, Any]) -> bool:
    """Whether all went through, and each node was drained once."""
    return summary["end"] == "done" and {node["times_out"] for node in summary["nodes"].values()} == {1}


def _told(what: str, runs: list[Used]) -> Iterator[Measurement]:
    if not runs:
        yield Measurement(what, float("nan"), "", note="no run came through without a second drain")
        return
    note = f"best of {len(runs)}: {', '.join(f'{run.cpu:.1f}' for run in runs)}"
    yield Measurement(f"{what}: processor time", min(run.cpu for run in runs), "s", note=note)
    yield Measurement(f"{what}: on the clock", min(run.seconds for run in runs), "s")
    yield Measurement(
        f"{what}: API requests of runner and playbooks", min(r.requests - r.gates for r in runs), ""
    )
    yield Measurement(f"{what}: API requests of gates", min(run.gates for run in runs), "")
