"""exec, logs and the journal endpoint, for the API server in the same process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

from knowngood.twin import journal as journals
from knowngood.twin.api.kubelet import (
    ContainerNotFoundError,
    ExecResult,
    KubeletBackend,
    NodeUnreachableError,
)
from knowngood.twin.behaviours import doca, nvidia_smi, processes
from knowngood.twin.behaviours.gpu_manifests import DRIVER_CONTAINER
from knowngood.twin.behaviours.kube import POD, environment, node_of
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.behaviours.nic_manifests import OFED_CONTAINER
from knowngood.twin.behaviours.pod_status import READY, RUNNING
from knowngood.twin.values import Object
from knowngood.twin.world import DRIVER_STATE, Machine

# Processes at the same time; more would only wait for the same two cores.
PARALLEL = 8
FOLLOW_S = 0.1


class Backend(KubeletBackend):
    """Serves every node of the world."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets
        self._twin = kubelets.twin
        self._free = asyncio.Semaphore(PARALLEL)

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: list[str],
        stdin: bytes | None,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run a listed command in a running container."""
        obj, spec = self._find(namespace, pod, container)
        machine = self._machine(node_of(obj))
        runner = self._kubelets.runners.get(obj["metadata"]["uid"])
        if runner is None or runner.progress.main not in {RUNNING, READY}:
            raise ContainerNotFoundError(f"container {spec['name']} of pod {namespace}/{pod} is not running")
        machine.tick()
        if argv and argv[0] == "nvidia-smi":
            return nvidia_smi.run(machine, argv[1:])
        if argv == ["ofed_info", "-s"] and spec["name"] == OFED_CONTAINER:
            return ExecResult(doca.ofed_info(obj).encode(), b"", 0)
        if argv == ["rm", "-f", f"/{DRIVER_STATE}"] and spec["name"] == DRIVER_CONTAINER:
            machine.remove([DRIVER_STATE])  # its next start loads its module anew
            return ExecResult(b"", b"", 0)
        view = self._kubelets.view(obj, spec)
        async with self._free:
            return await processes.run(
                argv, environment(obj, spec), view, self._twin.python_path, stdin, timeout
            )

    async def logs(
        self, namespace: str, pod: str, container: str, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """The log of a container that runs or ran."""
        obj, spec = self._find(namespace, pod, container)
        self._machine(node_of(obj))
        return self._log(obj, spec, follow=follow, tail=tail)

    async def log_file(self, node: str, name: str) -> bytes | None:
        """rsyslog's kern.log, which RHEL CoreOS has not."""
        machine = self._machine(node)
        if self._twin.openshift or name != "kern.log":
            return None
        return journals.kern_log(machine.journal.entries())

    async def journal(self, node: str, query: Mapping[str, str]) -> bytes | None:
        """The node's journal; its endpoint is OpenShift's own."""
        machine = self._machine(node)
        if not self._twin.openshift:
            return None
        try:
            return journals.answer(machine.journal.entries(), query)
        except ValueError as error:
            return f"Failed to parse the query: {error}\n".encode()  # as journalctl: words, no entries

    async def _log(
        self, pod: Object, spec: Object, *, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        path = self._kubelets.log_path(pod, spec["name"])
        view = self._kubelets.view(pod, spec)
        uid = pod["metadata"]["uid"]
        at = 0
        while True:
            live = uid in self._kubelets.runners and self._kubelets.runners[uid].progress.main in {
                RUNNING,
                READY,
            }
            data = path.read_bytes()[at:] if path.exists() else b""
            if at == 0 and tail is not None:
                data = b"".join(data.splitlines(keepends=True)[-tail:]) if tail else b""
                at = path.stat().st_size - len(data) if path.exists() else 0
            at += len(data)
            if data:
                yield view.taken_out(data)
            if not follow or not live:
                return
            await asyncio.sleep(FOLLOW_S)

    def _machine(self, node: str) -> Machine:
        machine = self._twin.world.machines.get(node)
        if machine is None:
            raise NodeUnreachableError(f"node {node} has no kubelet that answers")
        if not machine.up:
            raise NodeUnreachableError(f"dial tcp: connect to node {node}: no route to host")
        return machine

    def _find(self, namespace: str, pod: str, container: str) -> tuple[Object, Object]:
        obj = self._twin.cache.get(POD, pod, namespace)
        if obj is None or not node_of(obj):
            raise ContainerNotFoundError(f"pod {namespace}/{pod} does not run on any node yet")
        for spec in (*obj["spec"]["containers"], *(obj["spec"].get("initContainers") or ())):
            if not container or spec["name"] == container:
                return obj, spec
        raise ContainerNotFoundError(f"container {container} is not valid for pod {json.dumps(pod)}")
