"""A fleet's size: the engine on fakes, a passive judgement against the bare API server, whole rehearsals.

Each is measured in processes of its own, so that time and memory are theirs. `KNOWNGOOD_BENCH_REHEARSALS` names other
numbers of nodes for the rehearsals, or none: they take minutes each.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.measurement import BIN, ROOT, Measurement

from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.kubernetes.client import Kube
from knowngood.matrix.load import load
from knowngood.matrix.locate import gates_dir, matrix_dir
from knowngood.model.context import JudgeRequest
from knowngood.ports.clock import Cancel
from knowngood.rehearsal.seed import seed
from knowngood.rehearsal.widen import widened

CLUSTER, TO = "ams-prod", "r595"
FLEETS = (10, 100, 1000)
REHEARSALS = os.environ.get("KNOWNGOOD_BENCH_REHEARSALS", "12 50 100")
WAITING = "(waiting)"
"""How a user agent ends where a loop asks again (see `knowngood.adapters.waiting`)."""
READING = ("gpu_errors", "drift")
"""The passive gates that ask the API only; rdma_health's probes are pods, and counted in the rehearsals."""


def measure() -> list[Measurement]:
    """All three, from the small to the large."""
    fakes = {nodes: _child("tests.bench.fleet", str(nodes)) for nodes in FLEETS}
    judged = {nodes: judgement(nodes) for nodes in FLEETS}
    return [
        *(m for nodes, found in fakes.items() for m in of_fakes(nodes, found)),
        Measurement("the same, ratio 1,000 to 100", fakes[1000]["cpu"] / fakes[100]["cpu"], "times", aim=12),
        *(m for nodes, found in judged.items() for m in of_judgement(nodes, found)),
        Measurement(
            "the same, ratio 1,000 to 100", judged[1000]["cpu"] / judged[100]["cpu"], "times", aim=12
        ),
        *(m for nodes in map(int, REHEARSALS.split()) for m in rehearsal(nodes)),
    ]


def of_fakes(nodes: int, found: dict[str, Any]) -> Iterator[Measurement]:
    """A whole run of the engine."""
    what = f"engine on fakes, {nodes:,} nodes"
    large = nodes == max(FLEETS)
    yield Measurement(f"{what}: processor time", found["cpu"], "s", note=f"ends {found['end']}")
    yield Measurement(f"{what}: peak memory", found["peak_mb"], "MB", aim=250 if large else None)
    yield Measurement(f"{what}: checkpoint", found["checkpoint"] / 1024, "KiB", aim=256 if large else None)
    yield Measurement(f"{what}: files beside it", found["beside"] / 1024, "KiB")


def of_judgement(nodes: int, found: dict[str, Any]) -> Iterator[Measurement]:
    """A passive judgement of all nodes."""
    what = f"passive judgement, {nodes:,} nodes"
    large = nodes == max(FLEETS)
    yield Measurement(f"{what}: own processor time", found["cpu"], "s", aim=60 if large else None)
    yield Measurement(f"{what}: on the clock", found["seconds"], "s", note=found["note"])
    yield Measurement(f"{what}: peak memory", found["peak_mb"], "MB", aim=250 if large else None)
    yield Measurement(f"{what}: API requests a node", found["requests"] / nodes, "")
    yield Measurement(f"{what}: bytes a node", found["bytes"] / nodes / 1024, "KiB")


def judgement(nodes: int) -> dict[str, Any]:
    """Serve a fleet without behaviours, judge it from a process of its own, and count what was asked."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with serving(nodes, Path(folder), state):
            found = _child("tests.bench.scale", str(nodes), str(state / "kubeconfig"), folder)
        costs = json.loads((state / "costs.json").read_text()).values()
        requests = sum(sum(agent["requests"].values()) for agent in costs)
        return {**found, "requests": requests, "bytes": sum(agent["bytes"] for agent in costs)}


@contextmanager
def serving(nodes: int, folder: Path, state: Path) -> Iterator[None]:
    """The bare API server with a fleet on it."""
    matrix = load(matrix_dir())
    cluster = matrix.clusters[CLUSTER]
    profile, release = matrix.profiles[cluster.profile], matrix.releases[cluster.release]
    document = seed(widened(cluster, nodes), profile, release, "file:///none")
    (folder / "seed.json").write_text(json.dumps(document))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.quiet", str(folder / "seed.json"), str(state)], cwd=ROOT
    )
    try:
        while not (state / "kubeconfig").exists():
            if server.poll() is not None:
                raise RuntimeError("the API server did not start")
            time.sleep(0.1)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def judge(nodes: int, kubeconfig: Path, folder: Path) -> None:
    """In a process of its own: look at every node, then let the gates judge, as a passive judgement does."""
    matrix = load(matrix_dir())
    cluster = widened(matrix.clusters[CLUSTER], nodes)
    profile, release = matrix.profiles[cluster.profile], matrix.releases[cluster.release]
    request = JudgeRequest(
        name="judge",
        run="r1",
        gates=READING,
        nodes=cluster.gpu,
        expect=dict.fromkeys(cluster.gpu, release.components),
        windows={},
        deadline=3600.0,
        taking_baseline=True,
        schemes=matrix.schemes,
    )
    begin = time.monotonic()
    KubeCluster(Kube(kubeconfig), cluster).observe(cluster.gpu)
    gates = PytestGates(cluster, profile, release, kubeconfig, folder / "run", gates_dir())
    found = gates.judge(request, Cancel())
    took = time.monotonic() - begin
    own, pytest = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    answer = {
        "seconds": took,
        "cpu": sum(used.ru_utime + used.ru_stime for used in (own, pytest)),
        "peak_mb": max(own.ru_maxrss, pytest.ru_maxrss) / 1000,
        "note": f"{len(found.results)} results, {found.verdict.value}",
    }
    print(json.dumps(answer))


def rehearsal(nodes: int) -> Iterator[Measurement]:
    """`knowngood rehearse --nodes`, from the twin's start to the report."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        asked = ["rehearse", CLUSTER, "--to", TO, "--nodes", str(nodes), "--out", folder, "--output", "json"]
        done = subprocess.run([BIN / "knowngood", *asked], capture_output=True, text=True, check=False)
        took = time.monotonic() - begin
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        (stage,) = Path(folder).iterdir()
        summary = json.loads(done.stdout)
        costs = json.loads((stage / "twin" / "costs.json").read_text())
        events = [json.loads(line) for line in (stage / "twin" / "events.jsonl").read_text().splitlines()]
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        what = f"rehearsal of {nodes} nodes"
        aim = 360 if nodes == 100 else None
        yield Measurement(f"{what}: all", took, "s", aim=aim, note=f"ends {summary['end']}")
        yield Measurement(f"{what}: the twin settles", settled(events), "s", aim=20 if nodes == 100 else None)
        yield Measurement(f"{what}: processor time of the twin", costs["twin"]["cpuSeconds"], "s")
        yield Measurement(f"{what}: and of all else", cpu - costs["twin"]["cpuSeconds"], "s")
        yield Measurement(f"{what}: the twin's peak memory", costs["twin"]["peakKiB"] / 1024, "MiB")
        yield from of_calls(what, nodes, costs["api"])


def of_calls(what: str, nodes: int, costs: dict[str, Any]) -> Iterator[Measurement]:
    """What was asked of the API server but by the twin itself: work and waiting, and who asked."""
    ours = {name: agent for name, agent in costs.items() if name != "twin"}
    asked = {name: sum(agent["requests"].values()) / nodes for name, agent in ours.items()}
    work = {name: number for name, number in asked.items() if not name.endswith(WAITING)}
    told = ", ".join(f"{name} {number:.1f}" for name, number in work.items())
    aim = 20 if nodes >= 1000 else None
    yield Measurement(f"{what}: API requests a node for work", sum(work.values()), "", aim=aim, note=told)
    waited = sum(asked.values()) - sum(work.values())
    yield Measurement(f"{what}: API requests a node while waiting", waited, "")
    received = sum(agent["bytes"] for agent in ours.values())
    yield Measurement(f"{what}: bytes a node", received / nodes / 1024, "KiB")


def settled(events: list[dict[str, Any]]) -> float:
    """Seconds from the first boot to rest."""
    first, last = (next(e["time"] for e in events if e["event"] == name) for name in ("booted", "settled"))
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _child(module: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    judge(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
