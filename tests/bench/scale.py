"""A fleet's size: the engine on fakes, a passive judgement against the bare API server, twins and whole rehearsals.

Each is measured in processes of its own, so that time and memory are theirs, and can be asked for by its name.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import settling
from tests.bench.measurement import ROOT, Measurement
from tests.bench.settling import CLUSTER

from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.kubernetes.client import Kube
from knowngood.matrix.load import load
from knowngood.matrix.locate import gates_dir, matrix_dir
from knowngood.model.context import JudgeRequest
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Matrix, Profile
from knowngood.ports.cancel import Cancel
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.seed import seed
from knowngood.rehearsal.widen import widened

FLEETS = (10, 100, 1000)
READING = (
    "gpu_errors",
    "drift",
    "driver_health",
    "operators",
    "rdma_health",
)
"""The passive gates: no pod is made for them."""


def pieces() -> dict[str, Callable[[], Iterable[Measurement]]]:
    """All by name, from the quick to the slow: some 15 minutes together on two quiet cores."""
    return {
        "fakes": fakes,
        "judgement": judgements,
        **{f"settle-{nodes}": partial(settling.settle, nodes) for nodes in settling.SETTLES},
        **{f"rehearsal-{nodes}": partial(settling.rehearsal, nodes) for nodes in settling.REHEARSES},
    }


def measure() -> Iterator[Measurement]:
    """One piece after the other."""
    for piece in pieces().values():
        yield from piece()


def fakes() -> Iterator[Measurement]:
    """Whole runs of the engine."""
    found = {nodes: _child("tests.bench.fleet", str(nodes)) for nodes in FLEETS}
    for nodes in FLEETS:
        yield from of_fakes(nodes, found[nodes])
    yield _ratio(found)


def judgements() -> Iterator[Measurement]:
    """Passive judgements of all nodes."""
    found = {nodes: judgement(nodes) for nodes in FLEETS}
    for nodes in FLEETS:
        yield from of_judgement(nodes, found[nodes])
    yield _ratio(found)


def _ratio(found: Mapping[int, Mapping[str, float]]) -> Measurement:
    return Measurement(
        "the same, ratio 1,000 to 100", found[1000]["cpu"] / found[100]["cpu"], "times", aim=12
    )


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


def judgement(nodes: int, entries: int = 0) -> dict[str, Any]:
    """Serve a fleet without behaviours, judge it from a process of its own, and count what was asked.

    `entries`: more in each node's journal.
    """
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with serving(nodes, Path(folder), state, entries):
            found = _child("tests.bench.scale", str(nodes), str(state / "kubeconfig"), folder)
        costs = json.loads((state / "costs.json").read_text()).values()
        requests = sum(sum(agent["requests"].values()) for agent in costs)
        whole = max(json.loads((state / "journals.json").read_text()).values(), default=0)
        asked = {"requests": requests, "bytes": sum(agent["bytes"] for agent in costs), "journals": whole}
        return {**found, **asked}


@contextmanager
def serving(nodes: int, folder: Path, state: Path, entries: int = 0) -> Iterator[None]:
    """The bare API server with a fleet on it."""
    matrix = load(matrix_dir())
    document = seed(AtRest.of(matrix, _wide(matrix, nodes)), "file:///none")
    (folder / "seed.json").write_text(json.dumps(document))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.quiet", str(folder / "seed.json"), str(state), str(entries)],
        cwd=ROOT,
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


def _wide(matrix: Matrix, nodes: int) -> Cluster:
    """The cluster, as wide as asked; it is never made narrower."""
    cluster = matrix.clusters[CLUSTER]
    return widened(cluster, nodes) if nodes > len(cluster.gpu) else cluster


def impatient(profile: Profile) -> Profile:
    """The profile without any wait for what passes by itself: it passes on no node here, and waiting costs nothing."""
    return replace(
        profile, gates={name: {**said, "settleSeconds": 0} for name, said in profile.gates.items()}
    )


def judge(nodes: int, kubeconfig: Path, folder: Path) -> None:
    """In a process of its own: look at every node, then let the gates judge, as a passive judgement does."""
    matrix = load(matrix_dir())
    cluster = _wide(matrix, nodes)
    judged = cluster.gpu[:nodes]
    profile, release = impatient(matrix.profiles[cluster.profile]), matrix.releases[cluster.release]
    request = JudgeRequest(
        name="judge",
        run="r1",
        gates=READING,
        nodes=judged,
        expect=dict.fromkeys(judged, release.components),
        windows={},
        deadline=3600.0,
        taking_baseline=True,
        schemes=matrix.schemes,
        movers=matrix.movers,
    )
    begin = time.monotonic()
    KubeCluster(Kube(kubeconfig), cluster).observe(judged, matrix.movers)
    gates = PytestGates(cluster, Hardware((profile,)), release, kubeconfig, folder / "run", gates_dir())
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


def _child(module: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    judge(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
