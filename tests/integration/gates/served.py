"""One recorded node behind the twin's API server, and the real judge over it: pytest, fixtures, requests, exec.

Nothing acts on the node but the test: what is measured changes only as it says, and an hour passes at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from tests.movers import EVERY
from tests.unit.gates.faults.machine import EXPECT, NODE, SPACE, matrix
from tests.unit.gates.faults.recorded import Recorded

from knowngood.adapters.cluster.gpu_config import DEFAULT_MIG, MIG_KEY
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.matrix.locate import gates_dir
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.hardware import Hardware
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel
from knowngood.twin import crds
from knowngood.twin.api.kubelet import ExecResult, KubeletBackend
from knowngood.twin.api.server import ApiServer

PASSIVE = (
    "gpu_errors",
    "drift",
    "driver_health",
    "operators",
    "rdma_health",
    "mig_layout",
    "time_slicing",
)
"""What needs neither idle GPUs nor a registry."""
SHARED = "shared-gpus"


class OneNode(KubeletBackend):
    """The kubelet of a recorded node."""

    def __init__(self, node: Recorded) -> None:
        self._node = node

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        ran = await asyncio.to_thread(self._node.execute, argv)
        return ExecResult(ran.stdout.encode(), ran.stderr.encode(), ran.code)

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes:
        return self._node.asked_journal(query).encode()

    async def log_file(self, node: str, name: str) -> bytes | None:
        return None


class Served:
    """A node that is served, and judged again and again."""

    def __init__(self, node: Recorded, folder: Path) -> None:
        self.node = node
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._server = ApiServer(folder / "api")
        self._runs = 0
        self._baseline: dict[str, Any] = {}

    def objects(self) -> Iterator[dict[str, Any]]:
        """What the cluster has of the node."""
        for name in (SPACE, "knowngood"):
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        yield self.node.node
        for one in self.node.sets:
            one["metadata"]["uid"] = f"uid-{one['metadata']['name']}"
        yield from self.node.sets
        for pod in self.node.pods:
            (owner,) = pod["metadata"]["ownerReferences"]
            owner |= {"apiVersion": "apps/v1", "uid": f"uid-{owner['name']}"}
        yield from self.node.pods
        config = self.node.config
        plugin = {
            "enabled": True,
            "config": {"name": SHARED if config.named else "", "default": config.default},
        }
        parts = (
            "operator",
            "daemonsets",
            "driver",
            "toolkit",
            "dcgm",
            "dcgmExporter",
            "gfd",
            "nodeStatusExporter",
        )
        policy = {**{part: {} for part in parts}, "devicePlugin": plugin, "migManager": {"enabled": True}}
        yield {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "gpu-cluster-policy"},
            "spec": policy,
        }
        mig = {MIG_KEY: yaml.safe_dump({"version": "v1", "mig-configs": dict(config.mig)})}
        shares = {key: yaml.safe_dump(value) for key, value in config.plugin.items()}
        for name, data in ((DEFAULT_MIG, mig), (SHARED, shares)):
            yield {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": SPACE},
                "data": data,
            }

    def start(self) -> None:
        """Serve, in a thread of its own."""
        for crd in crds.all_crds(openshift=True):
            self._server.install_crd(crd)
        for obj in self.objects():
            self._server.seed(obj)
        self._server.kubelet = OneNode(self.node)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._wait(self._server.start())
        (self._folder / "kubeconfig").write_text(yaml.safe_dump(self._server.kubeconfig()))

    def stop(self) -> None:
        """Serve no more."""
        self._wait(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def judge(self, *, baseline: bool = False) -> Judgement:
        """A gate run at tenants' work; `baseline`: the one that is compared with from then on."""
        node, self._runs = self.node, self._runs + 1
        opened = {} if baseline else {NODE: node.window}
        request = JudgeRequest(
            name=f"judge-{self._runs}",
            run="r1",
            gates=PASSIVE,
            nodes=(NODE,),
            expect={NODE: {**EXPECT, **node.asked.get("expect", {})}},
            windows={name: window for name, window in opened.items() if window},
            baseline=self._baseline,
            taking_baseline=baseline,
            deadline=120.0,
            schemes=matrix().schemes,
            movers=EVERY,
            reported=matrix().reported,
            loads_as_read=True,
            tenants_work=True,
        )
        cluster = replace(node.cluster, declarations=(), gpu=(NODE,))
        hardware = Hardware((node.profile,))
        where = (self._folder / "kubeconfig", self._folder / "run", gates_dir())
        found = PytestGates(cluster, hardware, None, *where).judge(request, Cancel())
        if baseline:
            self._baseline = {f"{r.gate}/{r.node}": r.measured for r in found.results}
            node.window = Window(node.machine.boot_id, node.up(), "")
        return found


@contextmanager
def served(node: Recorded, folder: Path) -> Iterator[Served]:
    """A node behind an API server, until the end."""
    one = Served(node, folder)
    one.start()
    try:
        yield one
    finally:
        one.stop()
