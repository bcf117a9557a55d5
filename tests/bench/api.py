"""The twin's API server: how many requests a second one client gets answered, while the cluster's behaviours run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measurement import Measurement
from tests.integration.play import Play, staged

from knowngood.adapters.kubernetes.client import Kube, path

CLUSTER = "ams-prod"
SECONDS = 3.0


def rate(request: Callable[[], object]) -> float:
    """Requests a second, one after the other."""
    begin = time.perf_counter()
    sent = 0
    while time.perf_counter() - begin < SECONDS:
        request()
        sent += 1
    return sent / (time.perf_counter() - begin)


def memory(play: Play) -> float:
    """The twin's peak resident memory in MB; its process is the one that works in the stage's folder."""
    here = play.stage.folder.resolve()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == here and "knowngood.twin" in (process / "cmdline").read_text():
                status = (process / "status").read_text().splitlines()
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000
        except OSError:
            continue  # it has ended, or is not ours to look at
    raise RuntimeError("the twin's process was not found")


def measure() -> list[Measurement]:
    """GET, PATCH and LIST over TLS with our own client."""
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder), CLUSTER) as play:
        kube = Kube(play.stage.kubeconfig)
        node = path("v1", "nodes", "gpu-1")
        count = iter(range(1_000_000))

        def patch() -> None:
            kube.merge(node, {"metadata": {"annotations": {"example.com/bench": str(next(count))}}})

        pods = len(kube.list(path("v1", "pods")))
        return [
            Measurement("GET of a node, one client", rate(lambda: kube.get(node)), "a second"),
            Measurement("PATCH of a node, one client", rate(patch), "a second"),
            Measurement(f"LIST of {pods} pods", 1000 / rate(lambda: kube.list(path("v1", "pods"))), "ms"),
            Measurement(f"the twin of {CLUSTER}, peak memory", memory(play), "MB"),
        ]
