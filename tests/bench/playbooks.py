"""What a playbook costs under the supervisor, events and deadlines included, against plain `ansible-playbook`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measurement import BIN, ROOT, Measurement
from tests.integration.play import staged
from tests.movers import MOVERS

from knowngood.adapters.processes.ansible import AnsibleNodeWork
from knowngood.matrix.load import load
from knowngood.model.mover import Hold
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer

CLUSTER = "ams-prod"
NODES = ("gpu-1", "gpu-2")
RUN = "r20260822-031500-7f3a"
FENCE = f"{RUN}/1"


class Deaf(Observer):
    """Hears everything and keeps nothing."""

    def record(self, record: Record) -> None:
        """Ignored."""

    def progress(self, progress: Progress) -> None:
        """Ignored."""


def median(work: Callable[[], object], times: int = 5) -> float:
    """Seconds that `work` takes, the first time not counted."""
    taken = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def measure() -> list[Measurement]:
    """Claim two nodes that are claimed already: the whole way there and back, and nothing to wait for."""
    with tempfile.TemporaryDirectory() as name, staged(Path(name) / "stage", CLUSTER) as play:
        folder = Path(name) / "run"
        folder.mkdir()
        cluster = load(play.stage.matrix).clusters[CLUSTER]
        kubeconfig = play.stage.kubeconfig
        work = AnsibleNodeWork(cluster, kubeconfig, folder, cluster.limits, Deaf(), ROOT / "playbooks", RUN)
        if work.claim(NODES, FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS).done != NODES:
            raise RuntimeError("the nodes could not be claimed")
        variables = {
            "knowngood_nodes": list(NODES),
            "knowngood_run": RUN,
            "knowngood_fence": FENCE,
            "knowngood_cluster": {"operatorNamespace": cluster.operator_namespace, "tenants": []},
        }
        command = [
            str(BIN / "ansible-playbook"),
            str(ROOT / "playbooks" / "claim.yml"),
            "-e",
            json.dumps(variables),
        ]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "ANSIBLE_LOCALHOST_WARNING": "false"}

        def plain() -> None:
            subprocess.run(command, env=environment, check=True, capture_output=True, cwd=name)

        ours, theirs = (
            median(lambda: work.claim(NODES, FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)),
            median(plain),
        )
        return [
            Measurement("claim.yml on 2 nodes, plain ansible-playbook", theirs, "s"),
            Measurement("claim.yml on 2 nodes, as a run does it", ours, "s"),
            Measurement("the difference, a node", (ours - theirs) / len(NODES), "s"),
        ]
